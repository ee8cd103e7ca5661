"""The card of a set: what is in it, under which licences, how far people agree, what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from emogen.curation.stage import Row
from emogen.emotion import MIKELS, NEUTRAL


def data_card(name: str, clips: Iterable[Row], stages: Mapping[str, Mapping[str, Any]], agreement: Any = None) -> str:
    """Markdown with the head that the Hugging Face hub reads.

    Args:
        clips: rows of the working table, gone through once.
        stages: stage -> version and settings (`Workspace.stages`).
        agreement: of `agreement_report`; None if nobody has labelled.
    """
    told: dict[str, Counter[Any]] = {what: Counter() for what in ("label", "judge", "why", *_TOLD)}
    groups: set[int] = set()
    seconds, total = 0.0, 0
    for row in clips:
        total += 1
        if row.get("judge"):
            told["judge"][row["judge"]] += 1
        if why := _left_out(row):
            told["why"][why] += 1
            continue
        told["label"][row["emotion"], str(row.get("domain"))] += 1
        for what, (column, otherwise) in _TOLD.items():
            told[what][row.get(column) or otherwise] += 1
        groups.add(hash((row.get("domain"), row.get("group"))))
        seconds += row.get("duration") or 0.0
    licences = [licence for licence in told["licence"] if licence != _TOLD["licence"][1]]
    one = licences[0].lower() if len(told["licence"]) == 1 and licences else "other"
    head = ["---", f"license: {one}",
            "task_categories: [text-to-video, video-classification]", "tags: [emotion]", "---", ""]  # fmt: skip
    labelled = told["label"].total()
    text = [
        f"# {name}",
        "",
        f"{labelled} labelled clips of {len(groups)} films or characters, {seconds / 60:.1f} minutes; {total} rows.",
        "",
        *_section("Labels", _labels(told["label"])),
        *_section("Parts", _counted("part", told["part"])),
        *_section("Who labelled", _counted("label by", told["label by"])),
        *_section("Judges", _counted("judge", told["judge"])),
        *_section("Captions", _counted("caption by", told["caption by"])),
        *_section("Licences", _counted("licence", told["licence"])),
        *_section("Origins", _counted("origin", told["origin"])),
        *_section("Agreement", _agreement(agreement)),
        *_section("Left out", _counted("why", told["why"])),
        *_section("How it was made", [f"- {stage}, version {one['version']}: `{one['settings']}`"
                                      for stage, one in stages.items()]),
    ]  # fmt: skip
    return "\n".join([*head, *text]).rstrip() + "\n"


_TOLD = {
    "part": ("split", "not split"),
    "label by": ("label_kind", "not stated"),
    "caption by": ("caption_by", "no caption"),
    "licence": ("license", "not stated"),
    "origin": ("origin", "not stated"),
}
"""What is counted of the clips that can be used -> its column, and what is said where there is nothing."""


def _why_not(row: Row) -> str | None:
    if row.get("error"):
        return f"failed: {row['error']}"
    if row.get("duplicate_of"):
        return "the same clip again"
    return f"dropped: {row['dropped']}" if row.get("dropped") else None


def _left_out(row: Row) -> str | None:
    if why := _why_not(row):
        return why
    return None if row.get("emotion") else f"no label: {row.get('no_label') or 'not labelled'}"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""] if lines else []


def _labels(counts: Mapping[tuple[str, str], int]) -> list[str]:
    domains = sorted({domain for _, domain in counts})
    lines = [f"| emotion | {' | '.join(domains)} |", "|---" * (len(domains) + 1) + "|"]
    shown = [label for label in (*MIKELS, NEUTRAL) if any(counts[label, domain] for domain in domains)]
    return [*lines, *(f"| {e} | {' | '.join(str(counts[e, d]) for d in domains)} |" for e in shown)] if shown else []


def _counted(what: str, values: Mapping[str, int]) -> list[str]:
    counts: Counter[str] = Counter()
    for value, number in values.items():
        counts[str(value).replace("|", "/").replace("\n", " ")[:120]] += number
    lines = [f"| {value} | {count} |" for value, count in counts.most_common(30)]
    if len(counts) > 30:
        lines.append(
            f"| {len(counts) - 30} more | {sum(counts.values()) - sum(c for _, c in counts.most_common(30))} |"
        )
    return [f"| {what} | clips |", "|---|---|", *lines] if lines else []


def _agreement(report: Any) -> list[str]:
    if not report:
        return []
    parts = {"": report["people"], " (people and model)": report.get("people and model", {}).get("figures", {})}
    lines = []
    for after, figures in parts.items():
        for name, figure in figures.items():
            if figure["value"] is not None:
                low = "" if figure["low"] is None else f", 95 % {figure['low']:.3f} to {figure['high']:.3f}"
                lines.append(f"- {name}{after}: {figure['value']:.3f}{low} ({figure['clips']} clips)")
    return lines
