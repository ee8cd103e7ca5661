"""The metadata of a data set: one JSON line a clip, read and checked before anything expensive starts.

The file is the `metadata.jsonl` of a Hugging Face VideoFolder: every line is an object with `file_name`
(relative to the file's own folder), `caption` and `emotion`, and optionally `intensity`, `valence`,
`arousal`, `split`, `domain` and any other key, which is kept but not interpreted.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emogen.emotion import EmotionState, parse_emotion

_KNOWN = ("file_name", "caption", "emotion", "intensity", "valence", "arousal", "split", "domain")
_SHOWN = 20  # problems listed in one error


class RecordError(ValueError):
    """The metadata has wrong rows. The message lists them with their line numbers."""


@dataclass(frozen=True)
class ClipRecord:
    """One clip and what it is labelled with."""

    path: Path
    """Where the clip lies."""
    file_name: str
    """The name as written in the metadata."""
    caption: str
    emotion: EmotionState
    split: str = "train"
    domain: str | None = None
    row: int = 0
    """Line number in the metadata, from 1."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The dominant of the eight emotions, or "neutral"."""
        return self.emotion.dominant


def read_records(metadata: str | Path) -> list[ClipRecord]:
    """Read and check every row.

    Args:
        metadata: the JSON-lines file, or the folder that holds `metadata.jsonl`.

    Returns:
        The records in the order of the file. Whether the clips exist is not checked here (`missing_clips`).

    Raises:
        RecordError: the file is missing or empty, or rows are wrong; all wrong rows are named together.
    """
    metadata = Path(metadata)
    if metadata.is_dir():
        metadata = metadata / "metadata.jsonl"
    if not metadata.is_file():
        raise RecordError(f"{metadata}: no such file; it should hold one JSON object a line, one a clip")
    records: list[ClipRecord] = []
    problems: list[str] = []
    first_row: dict[str, int] = {}
    with metadata.open(encoding="utf-8") as lines:
        for row, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = _parse_row(line, row, metadata.parent)
            except ValueError as error:
                problems.append(f"  {metadata.name}:{row}: {error}")
                continue
            if record.file_name in first_row:
                problems.append(
                    f"  {metadata.name}:{row}: {record.file_name!r} is already on line {first_row[record.file_name]}"
                )
                continue
            first_row[record.file_name] = row
            records.append(record)
    if problems:
        more = f"\n  ... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise RecordError(f"{metadata}: {len(problems)} wrong rows\n" + "\n".join(problems[:_SHOWN]) + more)
    if not records:
        raise RecordError(f"{metadata}: holds no rows")
    return records


def missing_clips(records: Iterable[ClipRecord]) -> list[ClipRecord]:
    """The records whose file does not exist."""
    return [record for record in records if not record.path.is_file()]


def count_emotions(records: Iterable[ClipRecord]) -> dict[str, int]:
    """How many records carry each label, most frequent first."""
    return dict(Counter(record.label for record in records).most_common())


def describe(records: Sequence[ClipRecord]) -> str:
    """A small table: one line a label, one column a split."""
    splits = list(dict.fromkeys(record.split for record in records))
    counts = {split: count_emotions(r for r in records if r.split == split) for split in splits}
    rows = [("emotion", *splits)]
    for label in count_emotions(records):
        rows.append((label, *(str(counts[split].get(label, 0)) for split in splits)))
    rows.append(("total", *(str(sum(counts[split].values())) for split in splits)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _parse_row(line: str, row: int, folder: Path) -> ClipRecord:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(values, dict):
        raise ValueError(f"expected an object with file_name, caption and emotion, not {values!r}")
    file_name = _text(values, "file_name")
    parts = Path(file_name).parts
    if Path(file_name).is_absolute() or ".." in parts:
        raise ValueError(f"file_name {file_name!r} must lie inside the metadata's folder")
    caption = _text(values, "caption", empty=True)
    split = _text(values, "split") if values.get("split") is not None else "train"
    domain = _text(values, "domain") if values.get("domain") is not None else None
    return ClipRecord(
        path=folder / file_name,
        file_name=file_name,
        caption=caption,
        emotion=_emotion(values),
        split={"validation": "val", "valid": "val"}.get(split, split),
        domain=domain,
        row=row,
        extra={key: value for key, value in values.items() if key not in _KNOWN},
    )


def _text(values: Mapping[str, Any], key: str, empty: bool = False) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not (value.strip() or empty):
        raise ValueError(f"{key!r} is missing" if value is None else f"{key!r} must be text, not {value!r}")
    return value


def _number(values: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{key!r} must be a number, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{key!r} must lie between {low:g} and {high:g}, not {value:g}")
    return float(value)


def _emotion(values: Mapping[str, Any]) -> EmotionState:
    """The row's emotion. The row's own valence, arousal and intensity win over those of the word."""
    valence = _number(values, "valence", -1, 1)
    arousal = _number(values, "arousal", -1, 1)
    intensity = _number(values, "intensity", 0, 2)
    if values.get("emotion") is None:
        if valence is None or arousal is None:
            raise ValueError("'emotion' is missing (write \"neutral\" for none, or give valence and arousal)")
        state = EmotionState.from_va(valence, arousal)
    else:
        state = parse_emotion(_text(values, "emotion"))
    if state.is_neutral:
        if intensity:
            raise ValueError(f"the emotion is neutral, so 'intensity' cannot be {intensity:g}")
        return state
    changes = {"valence": valence, "arousal": arousal, "intensity": intensity}
    return replace(state, **{key: value for key, value in changes.items() if value is not None})
