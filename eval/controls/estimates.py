"""Correlations, and intervals by drawing whole prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from emogen.eval.statistics import FEWEST_PROMPTS, clustered_mean

Figure = dict[str, Any]
"""`value` with its 95 % interval `low` and `high` (None with fewer than `FEWEST_PROMPTS` prompts) and `n` prompts."""


def of_prompts(
    values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], draws: int = 2000, seed: int = 0
) -> Figure:
    """A statistic of the mean over prompts, with a percentile bootstrap that draws whole prompts.

    Args:
        values: `[P, ...]`, of each prompt. statistic: `[..., D]` means over prompts -> `[...]`.
    """
    values = np.asarray(values, float)
    if not len(values):
        return {"value": None, "low": None, "high": None, "n": 0}
    found: Figure = {"value": float(statistic(values.mean(0))), "low": None, "high": None, "n": len(values)}
    if len(values) >= FEWEST_PROMPTS:
        picks = np.random.default_rng(seed).integers(len(values), size=(draws, len(values)))
        low, high = np.quantile(statistic(values[picks].mean(1)), [0.025, 0.975])
        found |= {"low": float(low), "high": float(high)}
    return found


def mean_of(values: Sequence[float], prompts: Sequence[int]) -> Figure:
    """A mean over clips; the interval draws whole prompts (`statistics.clustered_mean`)."""
    count = len(set(prompts))
    if not len(values):
        return {"value": None, "low": None, "high": None, "n": 0}
    mean, low, high = clustered_mean(values, prompts, draws=2000)
    return {"value": mean, "low": low, "high": high, "n": count}


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the last axis, equal values sharing their mean rank."""
    less = (values[..., None, :] < values[..., :, None]).sum(-1)
    same = (values[..., None, :] == values[..., :, None]).sum(-1)
    return less + (same + 1) / 2


def spearman(asked: Sequence[float], judged: np.ndarray) -> np.ndarray:
    """Spearman's rho along the last axis: `[L]` against `[..., L]` -> `[...]`; 0 where one of them is constant.

    Values that agree to nine digits count as equal: what a judge repeats but for rounding has no order.
    """
    return pearson(ranks(np.asarray(asked, float)), ranks(np.round(np.asarray(judged, float), 9)))


def pearson(x: Sequence[float], y: np.ndarray) -> np.ndarray:
    """Pearson's r along the last axis: `[L]` against `[..., L]` -> `[...]`; 0 where one of them is constant."""
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    count = np.full(y.shape[:-1], y.shape[-1], float)
    sums = [count, *(values.sum(-1) for values in (x, y, x * x, y * y, x * y))]
    return correlation_of(np.stack(sums, -1))


def moments(x: Sequence[float], y: Sequence[float]) -> np.ndarray:
    """`[6]`: n and the sums of x, y, xx, yy and xy. Those of several prompts add up."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    return np.array([len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])


def correlation_of(sums: np.ndarray) -> np.ndarray:
    """Pearson's r of moments `[..., 6]`, or of their means over prompts; 0 where x or y does not vary."""
    xx, yy, xy = _centred(sums)
    varies = (xx > 1e-10) & (yy > 1e-10)
    return np.where(varies, xy / np.sqrt(np.where(varies, xx * yy, 1.0)), 0.0).clip(-1, 1)


def slope_of(sums: np.ndarray) -> np.ndarray:
    """Least squares slope of y on x, of moments `[..., 6]`; 0 where x does not vary."""
    xx, _, xy = _centred(sums)
    return np.where(xx > 1e-10, xy / np.where(xx > 1e-10, xx, 1.0), 0.0)


def _centred(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, x, y, xx, yy, xy = np.moveaxis(np.asarray(sums, float), -1, 0) / np.asarray(sums, float)[..., 0]
    return xx - x * x, yy - y * y, xy - x * y
