"""From rows to figures: every one with its n and an interval, every comparison paired."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from emogen.eval.benchmark.config import EvalConfig
from emogen.eval.benchmark.measure import Measurement
from emogen.eval.judges.ensemble import kappa_table
from emogen.eval.metrics.base import BenchmarkMetric, Row
from emogen.eval.metrics.frechet import ENOUGH
from emogen.eval.statistics import (
    FEWEST_PROMPTS,
    clustered_difference,
    holm,
    independent_worth,
    intraclass_correlation,
    sign_flip,
)

Metrics = Mapping[str, BenchmarkMetric]
Systems = Mapping[str, Sequence[Row]]


def summarise(config: EvalConfig, found: Measurement, metrics: Metrics) -> dict[str, Any]:
    """The figures of every system, and of every system against the baseline.

    Agreement rates have Wilson's interval and, because clips of a prompt are alike, one from a bootstrap of whole
    prompts; the second is the wider and the one to believe. Differences are paired on prompt, emotion and seed, and
    their tests exchange whole prompts.
    """
    judge = config.judge_names[0]
    systems = {s.name: [row for row in found.rows if row["system"] == s.name] for s in config.systems}
    summary: dict[str, Any] = {"judge": judge, "systems": {}, "against": {}, "notes": []}
    for name, rows in systems.items():
        if rows:
            summary["systems"][name] = _system(rows, config, metrics)
            for domain in sorted({row["domain"] for row in rows}):
                mine = [row for row in rows if row["domain"] == domain]
                summary["systems"][name].setdefault("domains", {})[domain] = _system(mine, config, metrics)
        else:
            summary["notes"].append(f"{name}: no clip could be read")
    if config.baseline is not None:
        summary["against"] = _against(config, systems, judge, metrics)
    if config.reference is not None:
        for key in sorted(found.arrays):
            across = metrics[key].across(found.arrays[key], systems, config.reference, config.baseline)
            for name, figure in across.items():
                summary["systems"][name][key] = figure
    names = config.judge_names
    summary["judges"] = kappa_table({n: [row["judges"][n]["read"] for row in found.rows] for n in names})
    summary["notes"] += _notes(config, summary, systems, metrics)
    return summary


def _system(rows: Sequence[Row], config: EvalConfig, metrics: Metrics) -> dict[str, Any]:
    figures: dict[str, Any] = {"n": len(rows), "prompts": len({row["prompt"] for row in rows})}
    for metric in metrics.values():
        figures |= metric.figures(rows, config.judge_names, config.emotions)
    return figures


def _paired(mine: Sequence[Row], base: Sequence[Row], value: Callable[[Row], Any]) -> tuple[list, list, list]:
    """Values of both systems on the clips that both have, and the prompts."""
    other = {row["clip"]: row for row in base if value(row) is not None}
    pairs = [(row, other[row["clip"]]) for row in mine if row["clip"] in other and value(row) is not None]
    return [value(a) for a, _ in pairs], [value(b) for _, b in pairs], [a["prompt"] for a, _ in pairs]


def _against(config: EvalConfig, systems: Systems, judge: str, metrics: Metrics) -> dict[str, Any]:
    """Each system minus the baseline, with `p` of the test that flips whole prompts, and `icc`, how alike the
    differences of one prompt are. The p values of EA-8 and EA-2 are corrected together (Holm 1979)."""
    found: dict[str, Any] = {}
    corrected: list[dict[str, Any]] = []
    base = systems[config.baseline]
    for name, rows in systems.items():
        if name in (config.baseline, config.reference) or not rows or not base:
            continue
        found[name] = {}
        for key, value in [pair for metric in metrics.values() for pair in metric.paired(judge).items()]:
            a, b, prompts = _paired(rows, base, value)
            if not a:
                continue
            difference, low, high = clustered_difference(a, b, prompts)
            change = [float(x) - float(y) for x, y in zip(a, b, strict=True)]
            entry = {"difference": difference, "low": low, "high": high, "n": len(a), "p": sign_flip(a, b, prompts),
                     "icc": intraclass_correlation(change, prompts)}  # fmt: skip
            found[name][key] = entry
            if key in ("EA-8", "EA-2"):
                corrected.append(entry)
    for entry, p in zip(corrected, holm([entry["p"] for entry in corrected]), strict=True):
        entry["p_holm"] = p
    return found


def _notes(config: EvalConfig, summary: Mapping[str, Any], systems: Systems, metrics: Metrics) -> list[str]:
    """What a reader has to know before believing."""
    notes = []
    smallest = min((len(rows) for rows in systems.values() if rows), default=0)
    if any(metric.about.interval == "halves" for metric in metrics.values()) and smallest < ENOUGH:
        notes.append(f"Frechet distances of fewer than {ENOUGH} clips (here {smallest}) are mostly the bias of a small "
                     "sample: compare them only with each other, at this n")  # fmt: skip
    few = min((one["prompts"] for one in summary["systems"].values()), default=FEWEST_PROMPTS)
    if few < FEWEST_PROMPTS:
        notes.append(f"figures of fewer than {FEWEST_PROMPTS} prompts (here {few}) have no interval: clips of one "
                     "prompt are alike, and so few prompts do not tell how far prompts differ")  # fmt: skip
    compared = {name: rows for name, rows in systems.items() if rows and name != config.reference}
    if compared:
        notes.append(_power(compared, summary))
    if config.reference is not None and config.reference in summary["systems"]:
        ceiling = summary["systems"][config.reference]["EA-8"]
        notes.append(f"the judge reads {100 * ceiling['value']:.0f} % of the reference's own clips as labelled "
                     f"(n = {ceiling['n']}): no system can be shown to be better than that")  # fmt: skip
    return notes


def _power(compared: Systems, summary: Mapping[str, Any]) -> str:
    """How large a difference can be found, and how far clips of one prompt count as one."""
    name = min(compared, key=lambda one: len(compared[one]))
    n, prompts = len(compared[name]), len({row["prompt"] for row in compared[name]})
    known = [one["EA-8"]["icc"] for one in summary["against"].values() if one.get("EA-8", {}).get("icc") is not None]
    about = "differences in EA-8"
    if not known:
        known = [summary["systems"][one]["EA-8"]["icc"] for one in compared]
        known, about = [icc for icc in known if icc is not None], "readings"
    icc = sum(known) / len(known) if known else 0.0
    worth = independent_worth(n, prompts, icc)
    said = f"{about} of one prompt correlate by {icc:.2f}, so that these are worth about {worth:.0f} independent ones"
    points = f"{100 * detectable(worth):.0f}"
    return (
        f"with {n} paired clips of {prompts} prompts a difference in EA-8 of about {points} points is found four times "
        f"out of five, if the systems differ on a quarter of the clips ({said})"
    )


def detectable(n: float, discordance: float = 0.25) -> float:
    """The difference of two paired rates that is found with power 0.8 at a level of 0.05 on n independent pairs, by the
    normal approximation (Connor 1987)."""
    return (1.959964 + 0.841621) * math.sqrt(discordance / n)
