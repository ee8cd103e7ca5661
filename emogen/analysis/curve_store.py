"""Curves of many clips in one file, so that a judge reads a clip once: `curves.parquet`, a row a window.

The file says which judge made it and how it looked; curves of another judge, or of clips that have changed since, are
not used again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.sliding import Curve, Judge, Windows, read_curve
from emogen.emotion import MIKELS
from emogen.files import atomic

FILE = "curves.parquet"
_NUMBERS = ("time", "valence", "arousal", "confidence", *MIKELS)
_KEEP_EVERY = 60.0  # seconds after which what has been read is written down


@dataclass(frozen=True)
class CurveSet:
    """Curves by clip.

    Attributes:
        curves: clip id -> its curve.
        judge: the judge's name.
        failed: clip id -> why it has no curve.
        chosen: clips that were asked for by name, to be drawn each; empty when all were.
    """

    curves: Mapping[str, Curve]
    judge: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()


def read_curves(
    clips: Clips,
    judge: Judge,
    about: Mapping[str, Any],
    store: Path,
    only: Iterable[str] | None = None,
    windows: Windows | None = None,
    done: Callable[[str], Any] = lambda clip: None,
) -> CurveSet:
    """A judge's curves of the clips that count, read again only where they have not been read.

    Args:
        about: what tells the judge from others (its name, card, weights), as JSON.
        store: the file; made anew if it is of another judge or other windows.
        only: ids of clips; all of them for None.
        done: called with a clip's id after it.

    Raises:
        ValueError: an id that no clip has.
    """
    windows = windows or Windows()
    recipe = {"judge": dict(about), "windows": asdict(windows)}
    ids = clips.text("clip_id")
    place = {name: row for row, name in enumerate(ids) if clips.usable[row]}
    wanted = list(dict.fromkeys(only)) if only is not None else list(place)
    for name in wanted:
        if name not in place:
            raise ValueError(f"--curves {name}: no clip that counts has this id; `--curves all` takes all of them")
    marks = {name: _mark(clips, place[name]) for name in wanted}
    held, seen = _load(store, recipe)
    curves = {name: held[name] for name in wanted if name in held and seen.get(name) == marks[name]}
    failed: dict[str, str] = {}
    fresh, last = not store.is_file(), time.monotonic()
    try:
        for name in wanted:
            if name in curves:
                continue
            try:
                curves[name] = _one(clips, place[name], judge, windows)
                fresh = True
            except (OSError, ValueError) as error:
                failed[name] = str(error)
            done(name)
            if fresh and time.monotonic() - last > _KEEP_EVERY:
                _save(store, recipe, {**held, **curves}, {**seen, **marks})
                last = time.monotonic()
    finally:  # what has been read is kept when a person stops it, too
        if fresh:
            _save(store, recipe, {**held, **curves}, {**seen, **marks})
    return CurveSet(curves, str(about.get("name", "")), failed, tuple(wanted) if only is not None else ())


def _one(clips: Clips, place: int, judge: Judge, windows: Windows) -> Curve:
    path = clips.path(place)
    if path is None:
        raise ValueError("the table does not say where the clip is")
    start, end = (float(clips.numbers(name)[place]) for name in ("start", "end"))
    # a clip that lies here by itself is the whole file, and so is a span without an end
    whole = clips.text("folder")[place] is None or not np.isfinite(end) or clips.text("kind")[place] == "image"
    start = 0.0 if whole or not np.isfinite(start) else start
    return read_curve(path, judge, windows, start, None if whole else end)[0]


def _mark(clips: Clips, place: int) -> str:
    """What changes when the clip does: its file's place, size and date, and its span."""
    path = clips.path(place)
    try:
        stat = path.stat() if path is not None else None
    except OSError:
        stat = None
    about = [str(path), stat.st_size if stat else 0, stat.st_mtime_ns if stat else 0,
             str(clips.numbers("start")[place]), str(clips.numbers("end")[place])]  # fmt: skip
    return json.dumps(about)


def _load(store: Path, recipe: Mapping[str, Any]) -> tuple[dict[str, Curve], dict[str, str]]:
    """What the file holds; nothing if it is another's, or damaged."""
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(store)
        notes = json.loads((table.schema.metadata or {})[b"emogen"])
        if notes["recipe"] != json.loads(json.dumps(recipe)):
            return {}, {}
        columns = {name: table[name].to_numpy() for name in (*_NUMBERS, "seconds")}
        ids = np.array(table["clip_id"].to_pylist(), object)
    except (OSError, ArrowException, KeyError, ValueError):
        return {}, {}
    edges = [*np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]]), len(ids)] if len(ids) else []
    found = {}
    for first, last in pairwise(edges):
        part = {name: column[first:last] for name, column in columns.items()}
        shares = np.stack([part[name] for name in MIKELS], 1)
        found[ids[first]] = Curve(part["time"], part["valence"], part["arousal"], shares, part["confidence"],
                                  float(part["seconds"][0]))  # fmt: skip
    return found, dict(notes["marks"])


def _save(store: Path, recipe: Mapping[str, Any], curves: Mapping[str, Curve], marks: Mapping[str, str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def column(of: Callable[[Curve], np.ndarray]) -> np.ndarray:
        return np.concatenate([of(curve) for curve in curves.values()]) if curves else np.zeros(0)

    columns = {"clip_id": pa.array([name for name, curve in curves.items() for _ in range(len(curve))], pa.string())}
    for name in ("time", "valence", "arousal", "confidence"):
        columns[name] = column(lambda curve, name=name: getattr(curve, name))
    for k, name in enumerate(MIKELS):
        columns[name] = column(lambda curve, k=k: curve.shares[:, k])
    columns["seconds"] = column(lambda curve: np.full(len(curve), curve.seconds))
    notes = {"recipe": recipe, "marks": {name: mark for name, mark in marks.items() if name in curves}}
    table = pa.table(columns).replace_schema_metadata({"emogen": json.dumps(notes)})
    with atomic(store) as temporary:
        parquet.write_table(table, temporary)
