"""How often each emotion occurs in all clips, from a model's labels of all and people's of a random share.

A model's counts are biased by its errors; people's counts of a few clips are noisy. The prediction-powered estimate
(Angelopoulos et al., Science 2023; with the weight of "PPI++", 2023) takes the model's rate on all clips and corrects
it by the mean difference between people and model on the clips that people saw, which must have been drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emogen.curation.agreement import MIN_GROUPS, RESAMPLES
from emogen.curation.labels import ANSWERS


@dataclass(frozen=True)
class Rate:
    """How often an answer occurs.

    Attributes:
        value: the corrected rate; low, high: its 95 % interval over groups, None for fewer than `MIN_GROUPS`.
        model: the model's own rate on all clips. people: people's on the clips that they saw.
    """

    value: float
    low: float | None
    high: float | None
    model: float
    people: float


def corrected_rates(
    model: Mapping[str, str], people: Mapping[str, str], groups: Mapping[str, str] | None = None
) -> dict[str, Rate]:
    """Answer -> rate, for every answer that occurs.

    Args:
        model: clip -> what the model says, of all clips.
        people: clip -> what people say, of clips drawn at random among these.
        groups: clip -> group (film, character); intervals resample groups.

    Raises:
        ValueError: people and model have no clip in common.
    """
    both = [clip for clip in people if clip in model]
    if not both:
        raise ValueError("people and the model have labelled no clip in common")
    names = list(model)
    seen = np.array([clip in people for clip in names])
    said = np.array([ANSWERS.index(model[clip]) for clip in names])
    true = np.array([ANSWERS.index(people[clip]) if clip in people else -1 for clip in names])
    group = [groups.get(clip, clip) if groups is not None else clip for clip in names]
    order = {name: row for row, name in enumerate(sorted(set(group)))}
    of = np.array([order[name] for name in group])
    found = {}
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(order), np.full(len(order), 1 / len(order)), size=RESAMPLES).astype(float)
    for place, answer in enumerate(ANSWERS):
        f, y = (said == place).astype(float), (true == place).astype(float)
        if not f.any() and not y[seen].any():
            continue
        # sums over groups of what the estimate is made of: clips, f, seen clips, f and y and f * y of these
        columns = np.stack([np.ones_like(f), f, seen * 1.0, seen * f, seen * y, seen * f * y], axis=1)
        sums = np.zeros((len(order), columns.shape[1]))
        np.add.at(sums, of, columns)
        value = float(_estimate(sums.sum(0)))
        low = high = None
        if len(order) >= MIN_GROUPS:
            values = _estimate(drawn @ sums)
            low, high = (float(np.clip(v, 0, 1)) for v in np.nanquantile(values, (0.025, 0.975)))
        found[answer] = Rate(min(max(value, 0.0), 1.0), low, high, float(f.mean()), float(y[seen].mean()))
    return found


def _estimate(sums: np.ndarray) -> np.ndarray:
    """`[..., 6]` -> the estimate with the weight that makes its variance least: 0 for a model that tells nothing."""
    total, f_all, count, f, y, fy = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = fy / count - (f / count) * (y / count)
        variance = (f_all / total) * (1 - f_all / total)
        weight = np.clip(np.nan_to_num(covariance / (variance * (1 + count / total))), 0, 1)
        return y / count + weight * (f_all / total - f / count)
