"""Time: how emotions hold, drift and leap from clip to clip in a film, as labelled, by people alone, and corrected."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Picture, Result, Settings, register
from emogen.analysis.intervals import MIN_GROUPS, bounds, resample, wilson
from emogen.analysis.plots import INK, QUIET, SERIES, dots, draw, heat, picture, pictured
from emogen.analysis.transitions import (
    Films,
    across,
    clip_confusion,
    corrected,
    drifts,
    dwell,
    films_of,
    rates,
    second_order,
    shuffled,
    stays,
)
from emogen.emotion import MIKELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CHAINS = (("sadness", "fear"), ("sadness", "anger"), ("fear", "anger"))
_SHUFFLES = 200
_FEW = 20
_AS = {"people's labels": "by people's labels", "corrected": "corrected"}
_OVERALL = {"stays": stays, "drifts within its valence": drifts, "leaps across valence": across}


def run(clips: Clips, settings: Settings) -> Found:
    """Transitions, their intervals, the shuffled null, the correction, chains, runs and order."""
    films = films_of(clips, settings.max_gap)
    counts = films.counts()
    pairs = int(counts.sum())
    if pairs < _FEW:
        raise NotPossible(
            f"Only {pairs} labelled clips adjoin another of their film (within {settings.max_gap:g} s); transitions "
            f"take clips with source_path and start and end, or order, and {_FEW} pairs."
        )
    kept = counts[counts.sum((1, 2)) > 0]
    null = shuffled(films, _SHUFFLES, settings.seed)
    confusion = measured_confusion(clips, settings.confusion)
    drawn = resample(kept, settings) if len(kept) >= MIN_GROUPS else np.full((2, 8, 8), np.nan)
    seen = _Seen(kept, drawn, null)
    results = _overall(seen, len(films.state))
    views = {"as labelled": (counts.sum(0), drawn)}
    human = films.counts(human=True)
    if 0 < human.sum() < pairs:
        part = human[human.sum((1, 2)) > 0]
        views["people's labels"] = (
            part.sum(0),
            resample(part, settings) if len(part) >= MIN_GROUPS else drawn[:2] * np.nan,
        )
    warnings = []
    # a file speaks of all labels; clips with two labels speak of the model's alone, and people's are taken as right
    sure = float(films.human[films.state >= 0].mean()) if settings.confusion is None else 0.0
    if confusion is not None and np.linalg.cond(_given(confusion, sure)) < 50:
        noise = _given(_draw_confusion(confusion, len(drawn), settings.seed), sure)
        views["corrected"] = (corrected(counts.sum(0), _given(confusion, sure)), corrected(drawn, noise))
    elif confusion is not None:
        warnings.append("The labels' confusion cannot be inverted: labels say too little of the truth to correct for.")
    table, side = _tables(seen, views)
    results += _side_results(side, pairs)
    results += _chains(seen)
    results += _order(films)
    warnings += _part_ways(views, len(kept), confusion)
    lost = int((films.state < 0).sum())
    if lost:
        warnings.append(f"{lost:,} clips in the films have no label that counts; their neighbours are not joined.")
    said = results[0]
    sentence = (
        f"From one clip to the next an emotion stays with {said.value:.2f}{_range(said)}; shuffled within films it "
        f"would stay with {stays(null).mean():.2f}. {across(counts.sum(0)):.0%} of the steps cross valence."
    )
    pictures = {"transitions": _draw_table(counts.sum(0), views), "persistence": _draw_side(side)}
    return Found(sentence, results, pictures, {"transitions": table, "persistence": side}, warnings)


class _Seen:
    """Counts by film, resampled, and shuffled."""

    def __init__(self, films: np.ndarray, drawn: np.ndarray, null: np.ndarray):
        self.films, self.drawn, self.null = films, drawn, null
        self.counts = films.sum(0)


def _range(result: Result) -> str:
    if result.low is None or not np.isfinite(result.low):
        return ""
    return f" ({result.low:.2f} to {result.high:.2f})"


def measured_confusion(clips: Clips, path: Path | None) -> np.ndarray | None:
    """Counts `[8, 8]` of labels (columns) by truth (rows): of the file, or of clips that people and the model have both
    labelled (`model_emotion`); None where nothing says how labels err, or some emotion was never looked at.

    Raises:
        ValueError: the file is not such a table.
    """
    if path is not None:
        return _read_confusion(path)
    model = clips.text("model_emotion")
    rows = [(true, MIKELS.index(said)) for true, said, who in zip(clips.label, model, clips.by_people, strict=True)
            if who and true >= 0 and said in MIKELS]  # fmt: skip
    table = clip_confusion(rows)
    return table if (table.sum(1) > 0).all() else None


def _read_confusion(path: Path) -> np.ndarray:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    try:
        head = [MIKELS.index(name.strip().lower()) for name in rows[0][1:]]
        table = np.full((8, 8), np.nan)
        for row in rows[1:]:
            table[MIKELS.index(row[0].strip().lower()), head] = [float(cell) for cell in row[1:]]
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: a confusion has the eight emotions in its first row and column ({error})") from error
    if not (table >= 0).all() or not (table.sum(1) > 0).all():
        raise ValueError(f"{path}: a confusion holds eight times eight counts of 0 or more, and no empty row")
    return table


def _given(confusion: np.ndarray, sure: float) -> np.ndarray:
    """Probabilities of a label given the truth, when a share of the labels is surely right."""
    return sure * np.eye(8) + (1 - sure) * confusion / confusion.sum(-1, keepdims=True)


def _draw_confusion(confusion: np.ndarray, times: int, seed: int) -> np.ndarray:
    """Confusions `[times, 8, 8]` as they may truly be, given the counts: the correction is no surer than they are."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.dirichlet(row + 1e-3, size=times) for row in confusion], 1)


def _overall(seen: _Seen, clips: int) -> list[Result]:
    found = []
    for name, of in _OVERALL.items():
        low, high = bounds(of(seen.drawn), len(seen.films))
        null = np.quantile(of(seen.null), (0.025, 0.975))
        note = f"shuffled within films: {null[0]:.3f} to {null[1]:.3f}"
        found.append(Result(name, float(of(seen.counts)), float(low), float(high), int(seen.counts.sum()), note))
    return found


def _tables(seen: _Seen, views: dict) -> tuple[list[dict], list[dict]]:
    """Every transition as labelled, and self-persistence in every view side by side."""
    value, n = rates(seen.counts), seen.counts.sum(1)
    low, high = bounds(rates(seen.drawn), len(seen.films))
    naive = wilson(seen.counts, n[:, None])
    null = rates(seen.null)
    rows = [
        {"from": MIKELS[a], "to": MIKELS[b], "count": int(seen.counts[a, b]), "of": int(n[a]), "rate": value[a, b],
         "low": low[a, b], "high": high[a, b], "wilson_low": naive[0][a, b], "wilson_high": naive[1][a, b],
         "shuffled": float(np.nanmean(null[:, a, b])),
         "p_shuffled": float((1 + (null[:, a, b] >= value[a, b] - 1e-12).sum()) / (_SHUFFLES + 1))}
        for a in range(8) for b in range(8) if n[a]
    ]  # fmt: skip
    side = []
    for view, (table, drawn) in views.items():
        own, (low, high) = rates(table), bounds(rates(drawn), len(seen.films))
        side += [
            {"labels": view, "emotion": MIKELS[k], "stays": own[k, k], "low": low[k, k], "high": high[k, k]}
            for k in range(8) if np.isfinite(own[k, k])
        ]  # fmt: skip
        low, high = bounds(stays(drawn), len(seen.films))
        side.append({"labels": view, "emotion": "all", "stays": float(stays(table)), "low": float(low),
                     "high": float(high)})  # fmt: skip
    return rows, side


def _side_results(side: list[dict], pairs: int) -> list[Result]:
    return [
        Result(f"self-persistence, {row['labels']}: {row['emotion']}", row["stays"], row["low"], row["high"], pairs)
        for row in side
    ]


def _chains(seen: _Seen) -> list[Result]:
    found = []
    value, null = rates(seen.counts), rates(seen.null)
    low, high = bounds(rates(seen.drawn), len(seen.films))
    for first, then in _CHAINS:
        a, b = MIKELS.index(first), MIKELS.index(then)
        if not np.isfinite(value[a, b]):
            continue
        above = (1 + (null[:, a, b] >= value[a, b] - 1e-12).sum()) / (_SHUFFLES + 1)
        note = f"the way back {value[b, a]:.3f}; shuffled {np.nanmean(null[:, a, b]):.3f}, p = {above:.2g}"
        found.append(Result(f"{first} to {then}", value[a, b], low[a, b], high[a, b], int(seen.counts[a].sum()), note))
    return found


def _order(films: Films) -> list[Result]:
    statistic, df, p = second_order(films)
    found = []
    if df:
        note = f"{df} degrees of freedom, p = {p:.2g}; films that differ look like order too"
        found.append(Result("second order against first: chi squared", statistic, n=len(films.pairs()), note=note))
    length, state = dwell(films)
    for k, name in enumerate(MIKELS):
        mine = length[state == k]
        if len(mine):
            note = f"clips in a row; the longest {mine.max()}; holes, gaps and ends cut runs"
            found.append(Result(f"run length: {name}", float(mine.mean()), n=len(mine), note=note))
    return found


def _part_ways(views: dict, films: int, confusion: np.ndarray | None) -> list[str]:
    raw = float(stays(views["as labelled"][0]))
    said = []
    for view, (table, _) in views.items():
        value = float(stays(table))
        if abs(value - raw) > 0.05:
            said.append(f"Self-persistence reads {raw:.2f} as labelled, {value:.2f} {_AS[view]}: wrong labels hide it.")
    if confusion is None:
        said.append(
            "Nothing says how often the labels are wrong, so that nothing is corrected. Wrong labels make emotions "
            "look less persistent: with 80 % right labels .50 reads .36. Give --confusion, or a column model_emotion."
        )
    if films < MIN_GROUPS:
        said.append(f"The clips are from {films} films, which is too few for intervals over films.")
    return said


def _draw_table(counts: np.ndarray, views: dict) -> Picture:
    tables = {"as labelled": counts} | ({"corrected": views["corrected"][0]} if "corrected" in views else {})

    def make(columns: int) -> Figure:
        lines = len(tables) // columns
        figure, axes = draw(3.9 * columns, 3.7 * lines, lines, columns)
        for place, (name, table) in zip(axes.flat, tables.items(), strict=True):
            heat(place, rates(table), MIKELS)
            place.set_title(name, fontsize=9.5, loc="left")
        return figure

    said = "Probability of the next clip's emotion (columns) after each emotion (rows)."
    return pictured(make, said, len(tables))


def _draw_side(side: list[dict]) -> Picture:
    names = [*MIKELS, "all"]
    views = list(dict.fromkeys(row["labels"] for row in side))
    figure, axes = draw(5.4, 3.4)
    for number, view in enumerate(views):
        mine = {row["emotion"]: row for row in side if row["labels"] == view}
        value, low, high = ([mine[n][k] if n in mine else np.nan for n in names] for k in ("stays", "low", "high"))
        colour = SERIES[number]
        shift = 0.24 * (number - (len(views) - 1) / 2)
        dots(axes[0, 0], names, value, low, high, colours=[colour] * 9, shift=shift, label=view)
    axes[0, 0].axhline(7.5, color=QUIET, lw=0.7)
    axes[0, 0].set_xlabel("probability that the next clip has the same emotion", color=INK)
    axes[0, 0].set_xlim(0, 1)
    figure.legend(loc="outside upper center", ncols=len(views), frameon=False, fontsize=8.5)
    return picture(figure, "Self-persistence with 95 % intervals over films.")


ANALYSIS = register(Analysis("time", "From clip to clip", ("emotion",), run))
