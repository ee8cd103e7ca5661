"""Which emotion follows which in a film: counts of clips that really adjoin, corrected for wrong labels.

Two traps are avoided. A clip that was dropped leaves a hole, and its neighbours do not adjoin. And wrong labels hide
persistence: with 80 % right labels a true self-persistence of .50 reads .36. With C the probabilities of a label given
the truth, the labels of two clips that adjoin have the joint distribution C' J C, where J is that of the truth, if the
two labels err independently; so J is found by inverting C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emogen.analysis.clips import Clips

HOLE = -1
"""The state of a clip that is dropped, failed, neutral or without a label."""


@dataclass(frozen=True)
class Films:
    """The clips of films in their order, films one after the other.

    Attributes:
        state: place among the eight, or `HOLE`.
        film: number of the film.
        adjoins: whether a clip adjoins the one before it in its film.
        human: whether people gave the label.
    """

    state: np.ndarray
    film: np.ndarray
    adjoins: np.ndarray
    human: np.ndarray

    def pairs(self, human: bool = False) -> np.ndarray:
        """Places of the second clips of pairs that adjoin and both have one of the eight."""
        here = self.adjoins.copy()
        here[1:] &= (self.state[1:] >= 0) & (self.state[:-1] >= 0)
        if human:
            here[1:] &= self.human[1:] & self.human[:-1]
        return np.flatnonzero(here)

    def counts(self, state: np.ndarray | None = None, human: bool = False) -> np.ndarray:
        """Transitions `[films, 8, 8]`, from rows to columns; `state` in place of the films' own."""
        state = self.state if state is None else state
        places = self.pairs(human)
        table = np.zeros((int(self.film.max(initial=-1)) + 1, 8, 8))
        np.add.at(table, (self.film[places], state[places - 1], state[places]), 1)
        return table


def films_of(clips: Clips, max_gap: float) -> Films:
    """The clips in the order of their films.

    Args:
        max_gap: seconds between two clips that still adjoin. Where there are no times, `order` must go up by one.
    """
    source = [s if s is not None else g for s, g in zip(clips.text("source_path"), clips.text("group"), strict=True)]
    order, start, end = clips.numbers("order"), clips.numbers("start"), clips.numbers("end")
    again = np.array([value is not None for value in clips.text("duplicate_of")], bool)
    ranked = np.where(np.isfinite(start), start, order)
    kept = np.flatnonzero(np.array([s is not None for s in source], bool) & np.isfinite(ranked) & ~again)
    if not len(kept):
        empty = np.zeros(0, int)
        return Films(empty, empty, empty.astype(bool), empty.astype(bool))
    film = np.unique([source[place] for place in kept], return_inverse=True)[1]
    sort = np.lexsort((ranked[kept], film))
    kept, film = kept[sort], film[sort]
    adjoins = np.zeros(len(kept), bool)
    same = film[1:] == film[:-1]
    gap = start[kept[1:]] - end[kept[:-1]]
    step = order[kept[1:]] - order[kept[:-1]]
    timed = np.isfinite(gap)
    adjoins[1:] = same & np.where(timed, np.abs(gap) <= max_gap, step == 1)
    # two scenes with another between them that has no row: the order says so even where the gap is short
    adjoins[1:] &= ~(np.isfinite(step) & (step > 1))
    state = np.where(clips.usable[kept] & (clips.label[kept] >= 0), clips.label[kept], HOLE)
    return Films(state, film, adjoins, clips.by_people[kept])


def rates(counts: np.ndarray) -> np.ndarray:
    """Probabilities by row of counts or joint probabilities `[..., 8, 8]`; NaN for a row without any."""
    total = counts.sum(-1, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1), np.nan)


def across(counts: np.ndarray) -> np.ndarray:
    """Share of transitions into the other valence, of counts `[..., 8, 8]`."""
    return (counts[..., :4, 4:].sum((-2, -1)) + counts[..., 4:, :4].sum((-2, -1))) / counts.sum((-2, -1))


def stays(counts: np.ndarray) -> np.ndarray:
    """Share of transitions that stay, of counts `[..., 8, 8]`."""
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))


def drifts(counts: np.ndarray) -> np.ndarray:
    """Share of transitions to another emotion of the same valence, of counts `[..., 8, 8]`."""
    return 1 - across(counts) - stays(counts)


def corrected(counts: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    """Joint probabilities `[..., 8, 8]` of the true emotions of clips that adjoin.

    Args:
        counts: of the labels, `[..., 8, 8]`.
        confusion: probability of a label (columns) given the truth (rows), `[..., 8, 8]`.

    Cells that come out below 0, as rare ones do in small sets, are set to 0.
    """
    joint = counts / np.maximum(counts.sum((-2, -1), keepdims=True), 1e-12)
    inverse = np.linalg.inv(confusion)
    out = np.maximum(np.swapaxes(inverse, -1, -2) @ joint @ inverse, 0)
    return out / np.maximum(out.sum((-2, -1), keepdims=True), 1e-12)


def shuffled(films: Films, times: int, seed: int) -> np.ndarray:
    """Transition counts `[times, 8, 8]` when the labels of each film are shuffled among its labelled clips: what a
    film's mood alone gives, without any order."""
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(films.state >= 0)
    film, state = films.film[known], films.state[known]
    out = np.empty((times, 8, 8))
    places = films.pairs()
    for turn in range(times):
        mixed = films.state.copy()
        # films lie one after the other, so sorting by film and chance shuffles within each
        mixed[known] = state[np.lexsort((rng.random(len(known)), film))]
        np.add.at(table := np.zeros((8, 8)), (mixed[places - 1], mixed[places]), 1)
        out[turn] = table
    return out


def dwell(films: Films) -> tuple[np.ndarray, np.ndarray]:
    """Length in clips of every run of one emotion, and which emotion. A hole, a gap and an end cut a run, so that long
    ones read shorter."""
    if not len(films.state):
        return np.zeros(0, int), np.zeros(0, int)
    goes_on = films.adjoins.copy()
    goes_on[1:] &= films.state[1:] == films.state[:-1]
    first = np.flatnonzero(~goes_on)
    length = np.diff(np.append(first, len(goes_on)))
    kept = films.state[first] >= 0
    return length[kept], films.state[first][kept]


def second_order(films: Films) -> tuple[float, int, float]:
    """Whether what follows depends on the clip before the last too: Pearson's chi squared of second against first
    order (which bears thin tables better than the likelihood ratio), its degrees of freedom, and its probability."""
    from scipy.stats import chi2

    places = films.pairs()
    places = places[np.isin(places - 1, places)]
    if not len(places):
        return 0.0, 0, 1.0
    table = np.zeros((8, 8, 8))
    np.add.at(table, (films.state[places - 2], films.state[places - 1], films.state[places]), 1)
    middle = table.sum(0)
    expected = table.sum(2, keepdims=True) * rates(middle)[None]
    some = np.nan_to_num(expected) > 0
    statistic = ((table[some] - expected[some]) ** 2 / expected[some]).sum()
    df = 0
    for now in range(8):
        df += max((table[:, now].sum(1) > 0).sum() - 1, 0) * max((middle[now] > 0).sum() - 1, 0)
    return float(statistic), int(df), float(chi2.sf(statistic, df)) if df else 1.0


def clip_confusion(rows: Sequence[tuple[int, int]]) -> np.ndarray:
    """Counts `[8, 8]` of (true, as labelled)."""
    table = np.zeros((8, 8))
    for true, said in rows:
        table[true, said] += 1
    return table
