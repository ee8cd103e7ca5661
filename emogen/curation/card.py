"""The card of a set: what is in it, under which licences, how far people agree, what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from emogen.curation.stage import Row
from emogen.emotion import MIKELS, NEUTRAL


def data_card(name: str, clips: Sequence[Row], stages: Mapping[str, Mapping[str, Any]], agreement: Any = None) -> str:
    """Markdown with the head that the Hugging Face hub reads.

    Args:
        clips: rows of the working table.
        stages: stage -> version and settings (`Workspace.stages`).
        agreement: of `agreement_report`; None if nobody has labelled.
    """
    usable = [row for row in clips if row.get("emotion") and not _why_not(row)]
    licences = Counter(row.get("license") or "not stated" for row in usable)
    known = [licence for licence in licences if licence != "not stated"]
    head = ["---", f"license: {known[0].lower() if len(licences) == 1 and known else 'other'}",
            "task_categories: [text-to-video, video-classification]", "tags: [emotion]", "---", ""]  # fmt: skip
    seconds = sum(row.get("duration") or 0.0 for row in usable)
    groups = len({(row.get("domain"), row.get("group")) for row in usable})
    text = [
        f"# {name}",
        "",
        f"{len(usable)} labelled clips of {groups} films or characters, {seconds / 60:.1f} minutes; {len(clips)} rows.",
        "",
        *_section("Labels", _labels(usable)),
        *_section("Parts", _counted("part", (row.get("split") or "not split" for row in usable))),
        *_section("Who labelled", _counted("by", (row.get("label_kind") or "not stated" for row in usable))),
        *_section("Judges", _counted("judge", (row["judge"] for row in clips if row.get("judge")))),
        *_section("Captions", _counted("by", (row.get("caption_by") or "no caption" for row in usable))),
        *_section("Licences", _counted("licence", (row.get("license") or "not stated" for row in usable))),
        *_section("Origins", _counted("origin", (row.get("origin") or "not stated" for row in usable))),
        *_section("Agreement", _agreement(agreement)),
        *_section("Left out", _counted("why", filter(None, map(_left_out, clips)))),
        *_section("How it was made", [f"- {stage}, version {one['version']}: `{one['settings']}`"
                                      for stage, one in stages.items()]),
    ]  # fmt: skip
    return "\n".join([*head, *text]).rstrip() + "\n"


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


def _labels(rows: Sequence[Row]) -> list[str]:
    domains = sorted({str(row.get("domain")) for row in rows})
    counts = Counter((row["emotion"], str(row.get("domain"))) for row in rows)
    lines = [f"| emotion | {' | '.join(domains)} |", "|---" * (len(domains) + 1) + "|"]
    shown = [label for label in (*MIKELS, NEUTRAL) if any(counts[label, domain] for domain in domains)]
    return [*lines, *(f"| {e} | {' | '.join(str(counts[e, d]) for d in domains)} |" for e in shown)] if shown else []


def _counted(what: str, values: Iterable[str]) -> list[str]:
    counts = Counter(str(value).replace("|", "/").replace("\n", " ")[:120] for value in values)
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
