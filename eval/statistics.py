"""Intervals and tests that know that clips of one prompt are alike."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

FEWEST_PROMPTS = 5
"""With fewer prompts no interval over prompts is given: a bootstrap of one prompt is a point, and one of two to four
covers the truth far less often than it says."""

Figure = dict[str, Any]
"""`value`, its 95 % interval `low` and `high` (None where there are fewer than `FEWEST_PROMPTS` prompts), and `n`."""


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval (1927) of a proportion, 95 % by default; `(0, 1)` when `n` is 0."""
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def rate(values: Sequence[bool]) -> Figure:
    """A share with its Wilson 95 % interval, which takes the clips as independent, and its n."""
    n, successes = len(values), int(np.sum(values))
    low, high = wilson(successes, n)
    return {"value": successes / n if n else None, "low": low, "high": high, "n": n}


def clustered_difference(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[Hashable], *, draws: int = 5000, seed: int = 0
) -> tuple[float, float | None, float | None]:
    """Mean of `a - b` on paired items with a 95 % percentile bootstrap that draws whole clusters (prompts).

    Returns:
        `(difference, low, high)`; no interval with fewer than `FEWEST_PROMPTS` clusters.

    Raises:
        ValueError: when the three are not of one length.
    """
    if not len(a) == len(b) == len(clusters):
        raise ValueError(f"lengths differ: {len(a)}, {len(b)}, {len(clusters)}")
    delta = np.asarray(a, float) - np.asarray(b, float)
    sums, sizes = _sums(delta, clusters)
    if len(sums) < FEWEST_PROMPTS:
        return float(delta.mean()), None, None
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(sums), size=(draws, len(sums)))
    low, high = np.quantile(sums[picks].sum(1) / sizes[picks].sum(1), [0.025, 0.975])
    return float(delta.mean()), float(low), float(high)


def clustered_mean(
    values: Sequence[float], clusters: Sequence[Hashable], *, draws: int = 5000, seed: int = 0
) -> tuple[float, float | None, float | None]:
    """Mean with a 95 % percentile bootstrap that draws whole clusters (prompts): `(mean, low, high)`; see
    `clustered_difference`.

    Raises:
        ValueError: when the two are not of one length, or empty.
    """
    if len(values) != len(clusters) or not len(values):
        raise ValueError(f"lengths differ or are 0: {len(values)}, {len(clusters)}")
    return clustered_difference(values, [0.0] * len(values), clusters, draws=draws, seed=seed)


def sign_flip(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[Hashable], *, draws: int = 5000, seed: int = 0
) -> float:
    """Two-sided p of a paired permutation test of the mean difference that flips the sign of whole clusters.

    It keeps its level whatever the correlation within a cluster. All `2**k` signs of k clusters are tried where these
    are at most `draws`, else so many of them by lot; no p below `2 / 2**k` can come.
    """
    sums, _ = _sums(np.asarray(a, float) - np.asarray(b, float), clusters)
    everything = 2 ** len(sums) <= draws
    if everything:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(sums))))
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (draws, len(sums)))
    as_large = (np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12).sum()
    return float(as_large / len(signs) if everything else (as_large + 1) / (draws + 1))


def intraclass_correlation(values: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """How alike the values of one cluster are: the one-way ANOVA estimate of the intraclass correlation (Donner and
    Koval 1980, for clusters of unequal sizes), at most 1 and cut at 0.

    Returns:
        None where it cannot be told: fewer than two clusters, no cluster of two values, or values that never differ.
    """
    values = np.asarray(values, float)
    sums, sizes = _sums(values, clusters)
    n, k = len(values), len(sums)
    if k < 2 or n == k:
        return None
    between = (sizes * (sums / sizes - values.mean()) ** 2).sum() / (k - 1)
    within = ((values**2).sum() - (sums**2 / sizes).sum()) / (n - k)
    size = (n - (sizes**2).sum() / n) / (k - 1)
    total = between + (size - 1) * within
    return float(min(1.0, max(0.0, (between - within) / total))) if total > 1e-12 else None


def independent_worth(n: int, clusters: int, correlation: float | None) -> float:
    """How many independent values `n` values in so many clusters are worth: `n / (1 + (m - 1) r)` with `m` values a
    cluster (Kish 1965)."""
    return n / (1 + (n / clusters - 1) * (correlation or 0.0)) if n else 0.0


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) of several p values, in their order."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = largest
    return corrected


def _sums(values: np.ndarray, clusters: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Sum and count of each cluster's values, clusters in sorted order."""
    names = sorted(set(clusters))
    sums = np.array([values[[c == n for c in clusters]].sum() for n in names])
    return sums, np.array([sum(c == n for c in clusters) for n in names], float)
