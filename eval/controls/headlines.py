"""Figures as text, and the table for a terminal or a README."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def interval(figure: Mapping[str, Any], in_percent: bool = False) -> str:
    """`0.95 [0.90, 0.98]`, or `95 % [90, 98]`; without an interval where there were few prompts."""
    factor, given = 100 if in_percent else 1, (figure[key] for key in ("value", "low", "high"))
    value, low, high = (number(one if one is None else one * factor, 0 if in_percent else 2) for one in given)
    head = f"{value} %" if in_percent and value != "-" else value
    return head if low == "-" else f"{head} [{low}, {high}]"


def headlines(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(control, what is measured, figure) of one judge's studies."""
    rows: list[tuple[str, str, str]] = []
    if "intensity" in summary:
        one = summary["intensity"]
        for emotion, found in one["emotions"].items():
            rows.append((f"intensity: {emotion}", "Spearman's rho, level against judged share", interval(found["rho"])))
        many = f"{one['all']['at_least_0.9']} of {one['all']['emotions']}"
        rows.append(("intensity", "emotions with rho of at least 0.9", many))
        for scale in one["all"]["scales"]:
            name = f"emotion_scale {scale['scale']:g}"
            rows.append((name, "share of the emotion", interval(scale["share"])))
            rows.append((name, "valence toward the emotion's own sign", interval(scale["toward"])))
    if "plane" in summary:
        for axis in ("valence", "arousal"):
            found = summary["plane"][axis]
            rows.append((f"plane: {axis}", "Pearson's r of clips, asked against judged", interval(found["r"])))
            rows.append((f"plane: {axis}", "Pearson's r of the points' means", interval(found["r_of_means"])))
    if "mixtures" in summary:
        one = summary["mixtures"]
        for kind, what in (("both", "the two largest are the two asked"), ("first", "the largest is one of the two")):
            rows.append(("mixtures", what, f"{interval(one[kind], True)}, {_chance(one, kind)}"))
    for shape, one in summary.get("arcs", {}).items():
        rows.append((f"arcs: {shape}", "Pearson's r, asked against judged curve", interval(one["r"])))
        rows.append((f"arcs: {shape}", "clips that switch", interval(one["switches"], True)))
        other = f", held against other arcs {percent(one['shuffled'])}"
        rows.append((f"arcs: {shape}", "switch within one latent frame", interval(one["within"], True) + other))
        distance = f"{number(one['median_distance'])} ({_signed(one['median_offset'])})"
        rows.append((f"arcs: {shape}", "latent frames from the asked switch, median (signed)", distance))
    return rows


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _chance(one: Mapping[str, Any], kind: str) -> str:
    return f"chance {percent(one['chance'][kind])}, held against other pairs {percent(one['shuffled'][kind])}"


def markdown(results: Mapping[str, Any]) -> str:
    """One table, with a column a judge."""
    judges = list(results["studies"])
    tables = {judge: headlines(results["studies"][judge]) for judge in judges}
    lines = ["| control | measured | " + " | ".join(judges) + " |", "|" + "---|" * (2 + len(judges))]
    for place, (control, what, _) in enumerate(tables[judges[0]]):
        lines.append(f"| {control} | {what} | " + " | ".join(tables[judge][place][2] for judge in judges) + " |")
    return "\n".join(lines)
