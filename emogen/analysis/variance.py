"""How much of a measure's variance the emotions explain, and which of them differ: statistics of sums over groups.

`moments` turns a measure into sums that add up over clips, from which every statistic here is computed, for the whole
set and for each resample of its groups. The tests that assume independent clips (Fisher's and Welch's) stand beside
one that does not (`equal_means`, with standard errors that are robust to groups).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from emogen.analysis.intervals import sum_by_group


@dataclass(frozen=True)
class Test:
    """A test: its statistic, degrees of freedom and probability under "no difference"."""

    statistic: float
    df: tuple[float, float]
    p: float


def moments(values: np.ndarray, label: np.ndarray, categories: int = 8) -> np.ndarray:
    """Count, sum and sum of squares by category, `[clips, categories, 3]`, of a measure `[clips]`."""
    hot = np.eye(categories)[label]
    return hot[:, :, None] * np.stack([np.ones_like(values), values, values**2], -1)[:, None, :]


def _squares(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Between, within, clips, categories that occur, of sums `[..., categories, 3]`."""
    n, total, square = sums[..., 0], sums[..., 1], sums[..., 2]
    some = np.where(n > 0, n, 1)
    within = (square - total**2 / some).sum(-1)
    clips = n.sum(-1)
    between = (total**2 / some).sum(-1) - total.sum(-1) ** 2 / clips
    return between, within, clips, (n > 0).sum(-1)


def eta_squared(sums: np.ndarray) -> np.ndarray:
    """Share of the variance that lies between categories, of sums `[..., categories, 3]`."""
    between, within, _, _ = _squares(sums)
    return between / (between + within)


def omega_squared(sums: np.ndarray) -> np.ndarray:
    """As `eta_squared`, freed of what chance alone would give (Hays 1963); it can fall below 0."""
    between, within, clips, many = _squares(sums)
    error = within / (clips - many)
    return (between - (many - 1) * error) / (between + within + error)


def one_way(sums: np.ndarray) -> Test:
    """Fisher's analysis of variance, of sums `[categories, 3]`; assumes independent clips of equal variances."""
    from scipy.stats import f

    between, within, clips, many = _squares(sums)
    df = (float(many - 1), float(clips - many))
    statistic = float(between / df[0] / (within / df[1]))
    return Test(statistic, df, float(f.sf(statistic, *df)))


def welch(sums: np.ndarray) -> Test | None:
    """Welch's (1951), which lets variances differ; None where a category has fewer than two clips or no variance."""
    from scipy.stats import f

    there = sums[sums[:, 0] > 0]
    n, mean = there[:, 0], there[:, 1] / there[:, 0]
    if (n < 2).any():
        return None
    variance = (there[:, 2] - n * mean**2) / (n - 1)
    if (variance <= 1e-15).any():
        return None
    weight = n / variance
    share = weight / weight.sum()
    many = len(there)
    spread = (weight * (mean - (share * mean).sum()) ** 2).sum() / (many - 1)
    slack = ((1 - share) ** 2 / (n - 1)).sum()
    statistic = float(spread / (1 + 2 * (many - 2) / (many**2 - 1) * slack))
    df = (float(many - 1), float((many**2 - 1) / (3 * slack)))
    return Test(statistic, df, float(f.sf(statistic, *df)))


def eta_bounds(test: Test, clips: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of eta squared that the noncentral F distribution gives (Steiger 2004), for independent clips."""
    from scipy.optimize import brentq
    from scipy.stats import ncf

    def at(share: float) -> float:
        def gap(size: float) -> float:
            return float(ncf.cdf(test.statistic, *test.df, size)) - share

        if gap(0.0) < 0:
            return 0.0
        top = max(10.0, 4 * test.statistic * (test.df[0] + 1))
        while gap(top) > 0:
            top *= 2
        return float(brentq(gap, 0.0, top, xtol=1e-9))

    low, high = at(0.5 + level / 2), at(0.5 - level / 2)
    return low / (low + clips), high / (high + clips)


@dataclass(frozen=True)
class Means:
    """Means of measures by category with their covariance, robust to groups.

    Attributes:
        mean: `[categories, measures]`, of the categories that occur.
        covariance: `[categories * measures] * 2`.
        present: numbers of the categories that occur.
        groups: how many groups there are.
    """

    mean: np.ndarray
    covariance: np.ndarray
    present: np.ndarray
    groups: int


def robust_means(values: np.ndarray, label: np.ndarray, group: np.ndarray) -> Means:
    """Means by category of measures `[clips, measures]`; the covariance is the sandwich over groups (Liang and Zeger
    1986) with the usual correction for few groups."""
    present, place = np.unique(label, return_inverse=True)
    hot = np.eye(len(present))[place]
    mean = hot.T @ values / hot.sum(0)[:, None]
    pull = hot[:, :, None] * ((values - mean[place])[:, None, :] / hot.sum(0)[None, :, None])
    by_group = sum_by_group(pull.reshape(len(values), -1), group)
    groups, clips = len(by_group), len(values)
    scale = groups / max(groups - 1, 1) * (clips - 1) / max(clips - len(present), 1)
    return Means(mean, scale * by_group.T @ by_group, present, groups)


def equal_means(means: Means) -> Test | None:
    """Whether all categories have the same means: a Wald test. None where there are too few groups for it."""
    from scipy.stats import f

    many, measures = means.mean.shape
    df = ((many - 1) * measures, means.groups - 1)
    if many < 2 or df[1] <= df[0]:
        return None
    contrast = np.kron(np.hstack([-np.ones((many - 1, 1)), np.eye(many - 1)]), np.eye(measures))
    gap = contrast @ means.mean.reshape(-1)
    spread = contrast @ means.covariance @ contrast.T
    if np.linalg.matrix_rank(spread) < len(spread):
        return None
    statistic = float(gap @ np.linalg.solve(spread, gap)) / df[0]
    return Test(statistic, (float(df[0]), float(df[1])), float(f.sf(statistic, *df)))


def hedges(sums: np.ndarray, one: int, other: int) -> np.ndarray:
    """Hedges' g (1981) between two categories of sums `[..., categories, 3]`: the difference of means in pooled
    standard deviations, corrected for small samples."""
    a, b = sums[..., one, :], sums[..., other, :]
    n = a[..., 0] + b[..., 0] - 2
    within = sum(part[..., 2] - part[..., 1] ** 2 / part[..., 0] for part in (a, b))
    return (a[..., 1] / a[..., 0] - b[..., 1] / b[..., 0]) / np.sqrt(within / n) * (1 - 3 / (4 * n - 1))


def pair_tests(means: Means) -> dict[tuple[int, int], float]:
    """Two categories -> probability that their means of the first measure are equal, robust to groups."""
    from scipy.stats import t

    measures = means.mean.shape[1]
    found = {}
    for one, other in combinations(range(len(means.present)), 2):
        a, b = one * measures, other * measures
        spread = means.covariance[a, a] + means.covariance[b, b] - 2 * means.covariance[a, b]
        if means.groups > 1 and spread > 0:
            size = abs(means.mean[one, 0] - means.mean[other, 0]) / np.sqrt(spread)
            found[int(means.present[one]), int(means.present[other])] = float(2 * t.sf(size, means.groups - 1))
    return found


def holm(p: np.ndarray) -> np.ndarray:
    """Probabilities corrected for their number (Holm 1979)."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    out = np.empty(len(p))
    out[order] = np.minimum(stepped, 1)
    return out
