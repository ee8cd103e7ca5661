"""How far annotators agree: Cohen's, Fleiss' and Krippendorff's figures, with intervals that know the clips' groups.

Each figure is a function of a table of counts that adds up over clips (a confusion matrix, or coincidences). So a
bootstrap over groups (films, characters) only has to weigh the groups' tables, and thousands of resamples cost little.
Groups and not clips are drawn, for the clips of one film are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from emogen.curation.labels import ANSWERS

RESAMPLES = 2000
MIN_GROUPS = 5
"""No interval is given for fewer groups."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval.

    Attributes:
        value: at most 1; 0 is what chance gives; None where it is not defined (all answers are the same).
        low, high: percentile bootstrap over groups; None for fewer than `MIN_GROUPS` groups.
        clips, groups: how many it rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    clips: int
    groups: int


def cohen(one: Mapping[str, str], other: Mapping[str, str], groups: Mapping[str, str] | None = None) -> Figure:
    """Cohen's kappa (1960) of two annotators on the clips that both have answered.

    Args:
        one, other: clip -> answer.
        groups: clip -> group; by default each clip is its own.
    """
    both = [clip for clip in one if clip in other]
    tables = np.zeros((len(both), len(ANSWERS), len(ANSWERS)))
    for row, clip in enumerate(both):
        tables[row, ANSWERS.index(one[clip]), ANSWERS.index(other[clip])] = 1
    return _figure(tables, both, groups, _cohen)


def fleiss(answers: Mapping[str, Mapping[str, str]], groups: Mapping[str, str] | None = None) -> Figure:
    """Fleiss' kappa (1971) over the clips that have as many answers as most have; it is not defined for others.

    Args:
        answers: clip -> annotator -> answer.
    """
    sizes = [len(given) for given in answers.values() if len(given) > 1]
    usual = max(set(sizes), key=lambda size: (sizes.count(size), size)) if sizes else 0
    clips = [clip for clip, given in answers.items() if len(given) == usual and usual > 1]
    counts = _counts(answers, clips)
    # per clip: how many answers each category has, and beside them the clip's own agreement and a 1 to count by
    own = ((counts**2).sum(1) - usual) / (usual * (usual - 1)) if usual > 1 else np.zeros(0)
    tables = np.concatenate([counts, own[:, None], np.ones((len(clips), 1))], axis=1)
    return _figure(tables, clips, groups, lambda total: _fleiss(total, usual))


def krippendorff(answers: Mapping[str, Mapping[str, str]], groups: Mapping[str, str] | None = None) -> Figure:
    """Krippendorff's alpha for nominal data (2011), which takes clips with missing answers.

    Args:
        answers: clip -> annotator -> answer; clips with one answer do not count.
    """
    clips = [clip for clip, given in answers.items() if len(given) > 1]
    counts = _counts(answers, clips)
    size = counts.sum(1)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(len(ANSWERS))
    pairs[:, diagonal, diagonal] -= counts
    tables = pairs / np.maximum(size - 1, 1)[:, None, None]
    return _figure(tables, clips, groups, _krippendorff)


def pairs_of_annotators(
    answers: Mapping[str, Mapping[str, str]], groups: Mapping[str, str] | None = None
) -> dict[tuple[str, str], Figure]:
    """Cohen's kappa of every two annotators who share a clip."""
    by_annotator: dict[str, dict[str, str]] = {}
    for clip, given in answers.items():
        for annotator, answer in given.items():
            by_annotator.setdefault(annotator, {})[clip] = answer
    return {
        (a, b): cohen(by_annotator[a], by_annotator[b], groups)
        for a, b in combinations(sorted(by_annotator), 2)
        if by_annotator[a].keys() & by_annotator[b].keys()
    }


def share(flags: Mapping[str, bool], groups: Mapping[str, str] | None = None) -> Figure:
    """How many of the clips are flagged, in [0, 1].

    Args:
        flags: clip -> whether.
    """
    clips = list(flags)
    tables = np.array([[float(flags[clip]), 1.0] for clip in clips]).reshape(-1, 2)
    return _figure(tables, clips, groups, lambda total: total[..., 0] / total[..., 1])


def confusion(one: Mapping[str, str], other: Mapping[str, str]) -> np.ndarray:
    """Counts `[9, 9]` in the order of `ANSWERS`: rows are `one`'s answers, columns `other`'s."""
    table = np.zeros((len(ANSWERS), len(ANSWERS)), int)
    for clip in one.keys() & other.keys():
        table[ANSWERS.index(one[clip]), ANSWERS.index(other[clip])] += 1
    return table


def _counts(answers: Mapping[str, Mapping[str, str]], clips: Sequence[str]) -> np.ndarray:
    counts = np.zeros((len(clips), len(ANSWERS)))
    for row, clip in enumerate(clips):
        for answer in answers[clip].values():
            counts[row, ANSWERS.index(answer)] += 1
    return counts


def _figure(tables: np.ndarray, clips: Sequence[str], groups: Mapping[str, str] | None, of) -> Figure:
    """`of` a sum of tables, with the interval from sums over resampled groups. `of` takes `[..., *table]`."""
    names = [groups[clip] if groups is not None else clip for clip in clips]
    order = {name: row for row, name in enumerate(sorted(set(names)))}
    by_group = np.zeros((len(order), *tables.shape[1:]))
    np.add.at(by_group, [order[name] for name in names], tables)
    value = _or_none(of(by_group.sum(0))) if len(clips) else None
    low = high = None
    if len(order) >= MIN_GROUPS and value is not None:
        rng = np.random.default_rng(0)
        weights = rng.multinomial(len(order), np.full(len(order), 1 / len(order)), size=RESAMPLES)
        drawn = of(np.tensordot(weights.astype(float), by_group, axes=1))
        drawn = drawn[np.isfinite(drawn)]
        low, high = (float(v) for v in np.quantile(drawn, (0.025, 0.975))) if len(drawn) else (None, None)
    return Figure(value, low, high, len(clips), len(order))


def _or_none(value: np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None


def _cohen(table: np.ndarray) -> np.ndarray:
    total = table.sum((-2, -1))
    same = np.trace(table, axis1=-2, axis2=-1) / total
    chance = (table.sum(-1) * table.sum(-2)).sum(-1) / total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return (same - chance) / (1 - chance)


def _fleiss(table: np.ndarray, raters: int) -> np.ndarray:
    clips = table[..., -1]
    chance = ((table[..., :-2] / (clips * raters)[..., None]) ** 2).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (table[..., -2] / clips - chance) / (1 - chance)


def _krippendorff(table: np.ndarray) -> np.ndarray:
    margin = table.sum(-1)
    total = margin.sum(-1)
    differ = total - np.trace(table, axis1=-2, axis2=-1)
    expected = (total**2 - (margin**2).sum(-1)) / np.where(total > 1, total - 1, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - differ / expected
