"""One film of one's own: a judge's curves as a page with a player, as CSV, and as arcs.

OUT/film.html       the page: the film in it if it is small, else beside it
OUT/curves.csv      a row a window
OUT/arc.txt         the film's emotion as an arc that `--emotion` takes
"""

from __future__ import annotations

import base64
import shutil
import tempfile
import warnings as python_warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emogen.analysis.annotated import file_rate
from emogen.analysis.annotations import Annotated, concordance, read_annotations, sums_of
from emogen.analysis.arc_of import CurveArc, arc_of
from emogen.analysis.film_page import film_page
from emogen.analysis.plots import COLOURS, SERIES
from emogen.analysis.run import as_csv
from emogen.analysis.sliding import Curve, Judge, Windows, read_curve
from emogen.emotion import MIKELS
from emogen.files import atomic, only_writer, remove_leftovers, write_text
from emogen.media.pictures import is_picture
from emogen.media.reader import read_video
from emogen.media.writer import write_video

PAGE, CURVES, ARC = "film.html", "curves.csv", "arc.txt"
SIZES = (4, 8, 16, 32)
_EMBED = 24 * 2**20  # bytes of a film that is put into the page
_KINDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime"}


@dataclass(frozen=True)
class FilmRead:
    """What was read of a film.

    Attributes:
        curve: with times of the film.
        arcs: from few keyframes to many.
        agreement: concordance with people's annotation, by measure; empty without one.
        warnings: what may mislead.
    """

    curve: Curve
    arcs: list[CurveArc]
    agreement: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def analyze_film(
    path: str | Path,
    output: str | Path,
    judge: Judge,
    judge_name: str,
    *,
    windows: Windows | None = None,
    start: float = 0.0,
    end: float | None = None,
    annotations: Path | None = None,
    warnings: tuple[str, ...] = (),
    done: Callable[[float], Any] = lambda time: None,
) -> FilmRead:
    """Read a film and write its page, CSV and arc into a folder.

    Raises:
        OSError, ValueError: the film cannot be read, the part is empty, or the annotations do not fit.
        FolderInUse: another process writes there.
    """
    path, output, windows = Path(path), Path(output), windows or Windows()
    given = _annotation(path, annotations)
    rate = file_rate(path) if given is not None else 0.0
    with only_writer(output):
        remove_leftovers(output)
        curve, damage = read_curve(path, judge, windows, start, end, done)
        arcs = _arcs(curve)
        rows = [{**row, "time": round(row["time"] + start, 4)} for row in curve.rows()]
        people, agreement = None, {}
        if given is not None:
            said = given.over(curve, rate, start)
            there = np.isfinite(said[0])
            people = {name: [None if np.isnan(v) else round(float(v), 4) for v in column]
                      for name, column in zip(("valence", "arousal"), said, strict=True)}  # fmt: skip
            for name, mine, column in zip(people, (curve.valence, curve.arousal), said, strict=True):
                agreement[name] = float(concordance(sums_of(mine[there], column[there]).sum(0)))
            rows = [{**row, **{f"people {name}": values[k] for name, values in people.items()}}
                    for k, row in enumerate(rows)]  # fmt: skip
        notes = [*warnings, *([damage] if damage else [])]
        text = as_csv(rows)
        data = {
            "name": path.name, "judge": judge_name, "csv": text, "start": start, "seconds": curve.seconds,
            "how": f"windows of {windows.frames / windows.fps:.2g} s, one every {windows.step / windows.fps:.2g} s",
            "time": [row["time"] for row in rows], "valence": [row["valence"] for row in rows],
            "arousal": [row["arousal"] for row in rows], "emotions": list(MIKELS),
            "strengths": np.round(curve.strengths, 4).tolist(), "people": people,
            "colours": {**COLOURS, "valence": SERIES[0], "arousal": SERIES[1]},
            "arcs": [vars(arc) for arc in arcs],
        }  # fmt: skip
        write_text(output / CURVES, text)
        write_text(output / ARC, arcs[min(1, len(arcs) - 1)].text + "\n")
        write_text(output / PAGE, film_page(data, _source(path, output), notes))
    return FilmRead(curve, arcs, agreement, notes)


def _arcs(curve: Curve) -> list[CurveArc]:
    """With more and more keyframes, each number once."""
    found: dict[int, CurveArc] = {}
    for most in SIZES:
        arc = arc_of(curve, most)
        found.setdefault(arc.keyframes, arc)
    return list(found.values())


def _annotation(path: Path, folder: Path | None) -> Annotated | None:
    if folder is None:
        return None
    given = read_annotations(folder)
    if path.stem not in given:
        raise ValueError(f"{folder}: holds no {path.stem}_valence.csv; the annotations of a film carry its name")
    return given[path.stem]


def _source(path: Path, output: Path) -> str | None:
    """The film's address in the page. What a browser cannot play in a player is written as MP4, if it is a picture that
    moves; other kinds are left as they are, and the page lets people pick a file."""
    if is_picture(path):
        with tempfile.TemporaryDirectory() as folder, python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")  # damage is said with the curve
            frames, fps = read_video(path)
            return _embedded(write_video(Path(folder) / "film.mp4", frames, fps), "video/mp4")
    kind = _KINDS.get(path.suffix.lower(), "video/mp4")
    if path.stat().st_size <= _EMBED:
        return _embedded(path, kind)
    beside = output / f"film{path.suffix.lower()}"
    with atomic(beside) as temporary:
        shutil.copyfile(path, temporary)
    return beside.name


def _embedded(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
