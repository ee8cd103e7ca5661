"""Reading a labelled set into columns: the table of `emogen data`, a metadata file or folder, or a data set of the hub.

Columns are read one at a time and their words are kept once, so that memory is that of the columns and not of a
dictionary a row.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emogen.analysis.clips import NUMBERS, TEXTS, Clips
from emogen.data.records import ClipRecord, read_records
from emogen.data.tables import Columns, RecordError, good_rows
from emogen.emotion import parse_emotion

_OTHER_NAMES = {"model_emotion": ("judge_emotion",), "file": ("file_name", "source_path"), "folder": ("source_folder",)}
"""Column -> what else it is called; the first that is there counts."""


def clips_of(rows: Sequence[Mapping[str, Any]], answers: Mapping | None = None, source: str = "") -> Clips:
    """The clips of rows with the columns of the working table (`clips.parquet`); columns may be missing."""
    there = {name for row in rows for name, value in row.items() if value not in (None, "")}
    called = {name: _called(name, there) for name in TEXTS}
    texts = {name: _texts([row.get(other) for row in rows]) for name, other in called.items()}
    values = {name: np.array([_number(row.get(name)) for row in rows]) for name in NUMBERS}
    return _filled(Clips(texts, values, dict(answers or {}), source))


def _called(name: str, there: Container[str]) -> str:
    """What a column of text is called where these columns are there."""
    return next((one for one in (name, *_OTHER_NAMES.get(name, ())) if one in there), name)


def _texts(values: Sequence[Any]) -> np.ndarray:
    """As an object array of text or None, every text once."""
    once: dict[str, str] = {}
    column = np.empty(len(values), object)
    for place, value in enumerate(values):
        text = None if value is None or value == "" else str(value)
        column[place] = text if text is None else once.setdefault(text, text)
    return column


def _number(value: Any) -> float:
    try:
        return float(value) if value is not None and value != "" else math.nan
    except (TypeError, ValueError):
        return math.nan


def _filled(made: Clips) -> Clips:
    """With what follows from other columns: clips without an id get their place, the plane's place comes from the
    label."""
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
    return made


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
        texts, values = _working_columns(table)
        return _filled(Clips(texts, values, _answers(given), str(data)))
    if path.is_dir() and (path / "stages.json").is_file():
        raise RecordError(f"{path}: holds no clips.parquet; `emogen data join {path}` writes it")
    return clips_of([_row(record) for record in read_records(data)], _answers(votes), str(data))


def _working_columns(table: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(table) as file:
            names = file.schema_arrow.names
            if "clip_id" not in names:
                raise RecordError(f"{table}: has no column clip_id; it is no table of `emogen data`")
            rows = file.metadata.num_rows
            if not rows:
                raise RecordError(f"{table}: holds no rows")

            def column(name: str) -> list[Any]:
                return file.read(columns=[name]).column(0).to_pylist()

            texts = {}
            for name in TEXTS:
                other = _called(name, names)
                texts[name] = _texts(column(other)) if other in names else np.full(rows, None, object)
            values = {
                name: np.array([_number(value) for value in column(name)]) if name in names else np.full(rows, np.nan)
                for name in NUMBERS
            }
            return texts, values
    except (OSError, ArrowException) as error:
        raise RecordError(f"{table}: cannot be read as Parquet ({error})") from error


def _row(record: ClipRecord) -> dict[str, Any]:
    row = dict(record.extra)
    kind = str(row.get("label_kind") or record.label_source or "").lower()
    return {
        **row,
        # the clip as it lies here, not the film that it was cut from
        "source_folder": None,
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
