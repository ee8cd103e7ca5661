"""Intervals: Wilson's for shares of independent clips, and a bootstrap over groups for everything else.

The clips of one film are not independent, so films and not clips are drawn. Every statistic here is a function of sums
over groups, so that a resample only weighs the groups' sums, and thousands of resamples cost little.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emogen.analysis.interface import Settings

MIN_GROUPS = 5
"""No interval over groups is given for fewer."""
_CELLS = 500_000  # weights held at a time


def wilson(hits: np.ndarray | float, n: np.ndarray | float, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's (1927) interval of a share of independent trials; NaN where there is none."""
    from scipy.stats import norm

    z = norm.ppf(0.5 + level / 2)
    hits, n = np.asarray(hits, float), np.asarray(n, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / n
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def sum_by_group(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Sums of rows over groups, `[groups, ...]`, of `values` `[clips, ...]`; groups in the order of their numbers."""
    numbers, place = np.unique(group, return_inverse=True)
    sums = np.zeros((len(numbers), *values.shape[1:]))
    np.add.at(sums, place, values)
    return sums


def resample(sums: np.ndarray, settings: Settings) -> np.ndarray:
    """Totals over resampled groups, `[resamples, ...]`, of sums `[groups, ...]`. The same number of groups and seed
    gives the same resamples, so that statistics of two calls can be compared."""
    groups = len(sums)
    rng = np.random.default_rng(settings.seed)
    flat = sums.reshape(groups, -1)
    out = np.empty((settings.resamples, flat.shape[1]))
    step = max(1, min(settings.resamples, _CELLS // max(groups, 1)))
    for first in range(0, settings.resamples, step):
        many = min(step, settings.resamples - first)
        drawn = rng.integers(groups, size=(many, groups)) + np.arange(many)[:, None] * groups
        weights = np.bincount(drawn.ravel(), minlength=many * groups).reshape(many, groups)
        out[first : first + many] = weights.astype(float) @ flat
    return out.reshape(settings.resamples, *sums.shape[1:])


def bounds(drawn: np.ndarray, groups: int, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The interval of a bootstrap distribution `[resamples, ...]`: percentiles, set further out as a t interval with as
    many groups would be (Hesterberg 2015, "expanded percentile"), for plain percentiles are too narrow with few groups.
    NaN for fewer than `MIN_GROUPS` groups, and where fewer than half of the resamples define the statistic."""
    from scipy.stats import norm, t

    shape = drawn.shape[1:]
    if groups < MIN_GROUPS:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    tail = norm.cdf(np.sqrt(groups / (groups - 1)) * t.ppf((1 - level) / 2, groups - 1))
    flat = drawn.reshape(len(drawn), -1)
    low, high = np.full(flat.shape[1], np.nan), np.full(flat.shape[1], np.nan)
    for column in range(flat.shape[1]):
        kept = flat[np.isfinite(flat[:, column]), column]
        if len(kept) >= len(drawn) / 2:
            low[column], high[column] = np.quantile(kept, (tail, 1 - tail))
    return low.reshape(shape), high.reshape(shape)


def group_interval(
    values: np.ndarray, group: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], settings: Settings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A statistic of sums with its bounds over groups.

    Args:
        values: what is summed, `[clips, ...]`.
        group: each clip's group.
        statistic: takes sums `[resamples, ...]` and returns `[resamples, ...]`.

    Returns:
        The value, low and high; low and high are NaN for fewer than `MIN_GROUPS` groups.
    """
    sums = sum_by_group(values, group)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = statistic(sums.sum(0, keepdims=True))[0]
        if len(sums) < MIN_GROUPS:
            return value, np.full(np.shape(value), np.nan), np.full(np.shape(value), np.nan)
        low, high = bounds(statistic(resample(sums, settings)), len(sums))
    return value, low, high
