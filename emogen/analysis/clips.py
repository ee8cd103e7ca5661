"""The clips of a labelled set as columns, wherever they come from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from emogen.data.records import ClipRecord, read_records
from emogen.data.tables import Columns, RecordError, good_rows
from emogen.emotion import MIKELS, parse_emotion

NEUTRAL = -1
UNLABELLED = -2

_TEXTS = (
    "clip_id", "source_path", "domain", "group", "caption", "emotion", "emotion_soft", "label_kind", "judge",
    "model_emotion", "no_label", "split", "dropped", "error", "duplicate_of", "file",
)  # fmt: skip
_NUMBERS = (
    "order", "start", "end", "duration", "gap_before", "paper_hue", "paper_colourfulness", "paper_brightness", "hue",
    "hue_strength", "saturation", "brightness", "contrast", "motion", "agreement", "confidence", "votes", "valence",
    "arousal",
)  # fmt: skip


@dataclass(frozen=True)
class Clips:
    """Columns of equal length, a place a clip.

    Attributes:
        texts: column -> object array of `str` or None.
        values: column -> float array, NaN where there is no value.
        answers: clip -> annotator -> answer, where people have labelled.
        source: what was read, for the page.
    """

    texts: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    answers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    source: str = ""

    def __len__(self) -> int:
        return len(self.texts["clip_id"])

    def text(self, name: str) -> np.ndarray:
        """A column of text: object array, None where there is no value."""
        return self.texts[name] if name in self.texts else np.full(len(self), None, object)

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers: float array, NaN where there is no value."""
        return self.values[name] if name in self.values else np.full(len(self), np.nan)

    def has(self, name: str) -> bool:
        """Whether any clip has a value in the column."""
        if name in self.values:
            return bool(np.isfinite(self.values[name]).any())
        return any(value not in (None, "") for value in self.text(name))

    @cached_property
    def label(self) -> np.ndarray:
        """Place among Mikels' eight, `NEUTRAL` or `UNLABELLED`."""
        return np.array([_code(value) for value in self.text("emotion")], int)

    @cached_property
    def group(self) -> np.ndarray:
        """Number of the clip's film or character, from 0. A clip without a group is its own."""
        names = [value if value is not None else f"\0{row}" for row, value in enumerate(self.text("group"))]
        return np.unique(names, return_inverse=True)[1] if names else np.zeros(0, int)

    @cached_property
    def usable(self) -> np.ndarray:
        """The clips that count: not failed, not dropped, not the same clip again."""
        out = np.ones(len(self), bool)
        for name in ("error", "dropped", "duplicate_of"):
            out &= np.array([value in (None, "") for value in self.text(name)], bool)
        return out

    def where(self, mask: np.ndarray) -> Clips:
        """The clips that the mask (or the places) picks."""
        return Clips(
            {name: column[mask] for name, column in self.texts.items()},
            {name: column[mask] for name, column in self.values.items()},
            self.answers,
            self.source,
        )

    @cached_property
    def labelled(self) -> Clips:
        """The usable clips that have one of the eight."""
        return self.where(self.usable & (self.label >= 0))


def _code(value: str | None) -> int:
    if value in MIKELS:
        return MIKELS.index(value)
    return NEUTRAL if value == "neutral" else UNLABELLED


def clips_of(rows: Sequence[Mapping[str, Any]], answers: Mapping | None = None, source: str = "") -> Clips:
    """The clips of rows with the columns of the working table (`clips.parquet`); columns may be missing."""

    def texts(name: str) -> np.ndarray:
        column = np.empty(len(rows), object)
        for place, row in enumerate(rows):
            value = row.get(name)
            column[place] = None if value is None or value == "" else str(value)
        return column

    def number(value: Any) -> float:
        try:
            return float(value) if value is not None and value != "" else math.nan
        except (TypeError, ValueError):
            return math.nan

    values = {name: np.array([number(row.get(name)) for row in rows]) for name in _NUMBERS}
    made = Clips({name: texts(name) for name in _TEXTS}, values, dict(answers or {}), source)
    _fill(made)
    return made


def _fill(made: Clips) -> None:
    """What follows from other columns: clips without an id get their place, the plane's place comes from the label."""
    ids = made.texts["clip_id"]
    for place in range(len(made)):
        if ids[place] is None:
            ids[place] = made.texts["file"][place] or f"clip {place + 1}"
    valence, arousal = made.values["valence"], made.values["arousal"]
    known: dict[str, tuple[float, float]] = {}
    for place, word in enumerate(made.texts["emotion"]):
        text = made.texts["emotion_soft"][place] or word
        if text is None or np.isfinite(valence[place]):
            continue
        if text not in known:
            try:
                state = parse_emotion(text)
                known[text] = (state.valence, state.arousal)
            except ValueError:
                known[text] = (math.nan, math.nan)
        valence[place], arousal[place] = known[text]


def read_clips(data: str | Path, votes: str | Path | None = None) -> Clips:
    """The clips of a labelled set.

    Args:
        data: the output folder of `emogen data` (its `clips.parquet`), that file, a metadata file or folder, or the id
            of a data set on the hub.
        votes: a table `clip_id, annotator, emotion`; by default `votes.parquet` beside `clips.parquet`.

    Raises:
        RecordError: there is no such set, or its rows are wrong.
    """
    path = Path(data)
    table = path / "clips.parquet" if path.is_dir() else path
    if table.name == "clips.parquet" and table.is_file():
        beside = table.parent / "votes.parquet"
        given = votes or (beside if beside.is_file() else None)
        return clips_of(_working_rows(table), _answers(given), str(data))
    if path.is_dir() and (path / "stages.json").is_file():
        raise RecordError(f"{path}: holds no clips.parquet; `emogen data join {path}` writes it")
    return clips_of([_row(record) for record in read_records(data)], _answers(votes), str(data))


def _working_rows(table: Path) -> list[dict[str, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(table) as file:
            names = file.schema_arrow.names
            if "clip_id" not in names:
                raise RecordError(f"{table}: has no column clip_id; it is no table of `emogen data`")
            read = [name for name in (*_TEXTS, *_NUMBERS, "file_name", "source_folder") if name in names]
            rows = file.read(columns=read).to_pylist()
    except (OSError, ArrowException) as error:
        raise RecordError(f"{table}: cannot be read as Parquet ({error})") from error
    if not rows:
        raise RecordError(f"{table}: holds no rows")
    for row in rows:
        row["file"] = row.get("file_name") or row.get("source_path")
    return rows


def _row(record: ClipRecord) -> dict[str, Any]:
    row = dict(record.extra)
    kind = str(row.get("label_kind") or record.label_source or "").lower()
    return {
        **row,
        "clip_id": row.get("clip_id") or record.file_name,
        "file": str(record.path),
        "caption": record.caption,
        "emotion": record.label,
        "split": record.split,
        "domain": record.domain,
        "agreement": record.agreement,
        "confidence": record.confidence,
        "valence": record.emotion.valence,
        "arousal": record.emotion.arousal,
        "label_kind": next((word for word in ("human", "model") if word in kind), None),
    }


def _answers(votes: str | Path | None) -> dict[str, dict[str, str]]:
    """Clip -> annotator -> answer; the first answer of an annotator on a clip counts, "unsure" does not."""
    found: dict[str, dict[str, str]] = {}
    if votes is None:
        return found
    columns = Columns({"clip_id": str, "annotator": str, "emotion": str}, ("clip_id",))
    for where, _, row in good_rows(votes, columns):
        try:
            clip, who, said = row["clip_id"], row["annotator"], row["emotion"].strip().lower()
        except KeyError as error:
            raise RecordError(f"{where}: lacks {error.args[0]}; a vote has clip_id, annotator and emotion") from error
        if said != "unsure":
            found.setdefault(clip, {}).setdefault(who, said)
    return found


def describe(clips: Clips) -> str:
    """One line for the head of the page."""
    labelled = clips.labelled
    domains = sorted({name for name in clips.text("domain") if name})
    parts = [f"{len(clips):,} clips", f"{len(labelled):,} with one of the eight emotions"]
    if clips.has("group"):
        parts.append(f"{len(np.unique(labelled.group)):,} films or characters")
    if domains:
        parts.append("domains: " + ", ".join(domains))
    return "; ".join(parts)
