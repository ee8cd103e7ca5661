"""How far a judge's curves agree with what people say of every frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emogen.analysis.annotations import Annotated, concordance, read_annotations, root_mean_square, sums_of
from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Picture, Result, Settings, register
from emogen.analysis.intervals import group_interval
from emogen.analysis.plots import INK, QUIET, SERIES, draw, pictured
from emogen.media import VideoError
from emogen.media.reader import open_clip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN = 2000
_MEASURES = ("valence", "arousal")


def run(clips: Clips, settings: Settings) -> Found:
    """Concordance of valence and arousal over all readings and by film."""
    if settings.annotations is None:
        raise NotPossible("Nobody has annotated the clips frame by frame; `--annotations FOLDER` takes VEATIC's form.")
    given = read_annotations(settings.annotations)
    if settings.curves is None:
        raise NotPossible(f"{len(given)} films are annotated, but no judge has read them; add `--curves all`.")
    pairs, names, groups = [], [], []
    for place, name in enumerate(clips.text("clip_id")):
        curve = settings.curves.curves.get(name)
        found = _annotation_of(clips, place, given)
        if curve is None or found is None:
            continue
        said = found.over(curve, _rate(clips, place), _start(clips, place))
        there = np.isfinite(said[0])
        if there.sum() < 2:
            continue
        mine = (curve.valence, curve.arousal)
        pairs.append(np.stack([np.stack([a[there], b[there]]) for a, b in zip(mine, said, strict=True)]))
        names.append(name)
        groups.append(clips.group[place])
    if not pairs:
        raise NotPossible(
            f"None of the clips with a curve is one of the {len(given)} annotated films; an annotation has the name of "
            "the film's file."
        )
    results, rows = _agreement(pairs, names, np.array(groups), settings)
    first = results[0]
    sure = first.low is not None and np.isfinite(first.low)
    sentence = (
        f"The judge's valence agrees with people's, frame by frame, with a concordance of {first.value:.2f}"
        + (f" ({first.low:.2f} to {first.high:.2f})" if sure else "")
        + f" over {len(pairs)} clips, and its arousal with {results[1].value:.2f}; 1 is full agreement and 0 none."
    )
    warnings = [] if sure else ["There are too few films for an interval: readings of one film are not independent."]
    return Found(sentence, results, {"annotated": _draw(pairs)}, {"annotated": rows}, warnings)


def _annotation_of(clips: Clips, place: int, given: dict[str, Annotated]) -> Annotated | None:
    """By the clip's id, or by its file's name without the ending."""
    path = clips.path(place)
    return given.get(clips.text("clip_id")[place]) or (given.get(path.stem) if path is not None else None)


def _start(clips: Clips, place: int) -> float:
    start = float(clips.numbers("start")[place])
    return start if np.isfinite(start) and clips.text("kind")[place] != "image" else 0.0


def _rate(clips: Clips, place: int) -> float:
    """Frames a second of the clip's file."""
    rate = float(clips.numbers("fps")[place])
    path = clips.path(place)
    return rate if np.isfinite(rate) or path is None else file_rate(path)


def file_rate(path: Path) -> float:
    """Frames a second that a file declares.

    Raises:
        ValueError: it cannot be opened, or declares none.
    """
    try:
        with open_clip(path) as clip:
            rate = clip.rate
    except (OSError, VideoError) as error:
        raise ValueError(f"{path}: annotations count its frames, and it cannot be opened ({error})") from error
    if not rate:
        raise ValueError(f"{path}: annotations count its frames, and it does not say its rate; convert it to MP4")
    return float(rate)


def _agreement(
    pairs: list[np.ndarray], names: list[str], group: np.ndarray, settings: Settings
) -> tuple[list[Result], list[dict]]:
    """Over all readings, the mean over clips, and a row a clip."""
    many = sum(pair.shape[2] for pair in pairs)
    pooled, means, others, rows = [], [], [], [{"clip_id": n, "readings": p.shape[2]} for n, p in
                                               zip(names, pairs, strict=True)]  # fmt: skip
    for m, name in enumerate(_MEASURES):
        sums = np.stack([sums_of(pair[m, 0], pair[m, 1]).sum(0) for pair in pairs])
        value, low, high = map(float, group_interval(sums, group, concordance, settings))
        pooled.append(Result(f"{name}: concordance", value, low, high, many, "over all readings, Lin's coefficient"))
        each = concordance(sums)
        there = np.isfinite(each)
        parts = np.stack([np.where(there, each, 0), there], -1).astype(float)
        value, low, high = map(float, group_interval(parts, group, lambda s: s[..., 0] / s[..., 1], settings))
        means.append(Result(f"{name}: concordance, mean over clips", value, low, high, int(there.sum())))
        value, low, high = map(float, group_interval(sums, group, root_mean_square, settings))
        others.append(Result(f"{name}: root mean square difference", value, low, high, many, "of a range from -1 to 1"))
        for row, one, off in zip(rows, each, root_mean_square(sums), strict=True):
            row |= {f"{name} concordance": one, f"{name} rmse": off}
    return [*pooled, *means, *others], rows


def _draw(pairs: list[np.ndarray]) -> Picture:
    every = np.concatenate(pairs, 2)
    step = max(1, every.shape[2] // _DRAWN)

    def make(columns: int) -> Figure:
        lines = 2 // columns
        figure, axes = draw(3.0 * columns + 0.2, 3.1 * lines, lines, columns, sharex=True, sharey=True)
        for place, name, (mine, said) in zip(axes.flat, _MEASURES, every, strict=True):
            place.plot([-1, 1], [-1, 1], color=QUIET, lw=0.8)
            place.scatter(said[::step], mine[::step], s=9, alpha=0.35, color=SERIES[0], linewidths=0)
            place.set(xlim=(-1, 1), ylim=(-1, 1), title=name)
            place.set_aspect("equal")
            place.set_xlabel("people", color=INK)
            place.set_ylabel("judge", color=INK)
        return figure

    return pictured(make, "The judge's reading against people's, a dot a window; the line is full agreement.")


ANALYSIS = register(Analysis("annotated", "Frame by frame: people and the judge", (), run))
