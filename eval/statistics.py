"""Intervals and paired tests for agreement rates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval (1927) of a proportion, 95 % by default; `(0, 1)` when `n` is 0."""
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def clustered_difference(
    a: Sequence[float], b: Sequence[float], clusters: Sequence, *, draws: int = 5000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of `a - b` on paired items with a 95 % percentile bootstrap that draws whole clusters (prompts).

    Returns:
        `(difference, low, high)`.

    Raises:
        ValueError: when the three are not of one length.
    """
    if not len(a) == len(b) == len(clusters):
        raise ValueError(f"lengths differ: {len(a)}, {len(b)}, {len(clusters)}")
    delta = np.asarray(a, float) - np.asarray(b, float)
    names = sorted(set(clusters))
    sums = np.array([delta[[c == n for c in clusters]].sum() for n in names])
    sizes = np.array([sum(c == n for c in clusters) for n in names], float)
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(names), size=(draws, len(names)))
    means = sums[picks].sum(1) / sizes[picks].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(delta.mean()), float(low), float(high)


def mcnemar_exact(a: Sequence[bool], b: Sequence[bool]) -> float:
    """Two-sided exact McNemar test on paired hits (McNemar 1947): p under 'the arms are equally often right'."""
    more = sum(bool(x) and not y for x, y in zip(a, b, strict=True))
    less = sum(bool(y) and not x for x, y in zip(a, b, strict=True))
    n, k = more + less, min(more, less)
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    return min(1.0, 2 * tail)


def clustered_mean(
    values: Sequence[float], clusters: Sequence, *, draws: int = 5000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean with a 95 % percentile bootstrap that draws whole clusters (prompts): `(mean, low, high)`.

    Raises:
        ValueError: when the two are not of one length, or empty.
    """
    if len(values) != len(clusters) or not len(values):
        raise ValueError(f"lengths differ or are 0: {len(values)}, {len(clusters)}")
    return clustered_difference(values, [0.0] * len(values), clusters, draws=draws, seed=seed)


def sign_flip(a: Sequence[float], b: Sequence[float], clusters: Sequence, *, draws: int = 5000, seed: int = 0) -> float:
    """Two-sided p of a paired permutation test of the mean difference that flips the sign of whole clusters."""
    delta = np.asarray(a, float) - np.asarray(b, float)
    names = sorted(set(clusters))
    sums = np.array([delta[[c == n for c in clusters]].sum() for n in names])
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (draws, len(names)))
    as_large = (np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12).sum()
    return float((as_large + 1) / (draws + 1))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) of several p values, in their order."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = largest
    return corrected
