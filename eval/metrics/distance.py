"""A Frechet distance in the benchmark: every system against the reference, with its spread and a paired test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emogen.eval.metrics.base import BenchmarkMetric, ClipBatch, Row
from emogen.eval.metrics.frechet import FrechetVideoDistance, frechet_distance
from emogen.eval.statistics import Figure

LEAST = 4
"""Clips a side without which no distance is given."""


class BenchmarkDistance(BenchmarkMetric, FrechetVideoDistance):
    """A Frechet distance by the network that `network` makes.

    It is never bootstrapped: repeated clips move the distance itself. Its spread is that over halves drawn without
    replacement.
    """

    @staticmethod
    def network(*weights: str) -> Callable[[Tensor], Tensor]:
        """The network of the features, from the paths that the metric needs.

        Raises:
            ImportError, OSError, ValueError: a package or weights are missing or wrong.
        """
        raise NotImplementedError

    @classmethod
    def open(cls, weights: Mapping[str, str]) -> BenchmarkDistance:
        """With its network."""
        return cls(cls.network(*(weights[key] for key in cls.about.weights)))

    def read(self, batch: ClipBatch) -> np.ndarray:
        """Features `[B, d]`."""
        with torch.no_grad():
            return self.feature(batch.clips).float().cpu().numpy()

    def figures(self, rows: Sequence[Row], judges: Sequence[str], emotions: Sequence[str]) -> dict[str, Any]:
        """None of a system alone."""
        return {}

    def paired(self, judge: str) -> dict[str, Callable[[Row], Any]]:
        """None: `across` has the test."""
        return {}

    def across(
        self, arrays: Mapping[str, np.ndarray], rows: Mapping[str, Sequence[Row]], reference: str, baseline: str | None
    ) -> dict[str, Figure]:
        """Each system's distance to the reference (of the reference, between its halves), with the p of a paired test
        against the baseline."""
        real = arrays.get(reference)
        found: dict[str, Figure] = {}
        for name, fake in arrays.items() if real is not None else ():
            if min(len(real), len(fake)) < LEAST:
                continue
            entry: Figure = {"n": len(fake), "n_real": len(real)}
            if name == reference:
                entry["value"], entry["note"] = (
                    _over_halves(real, real, same=True)[0],
                    "between halves of the real clips",
                )
            else:
                entry["value"] = frechet_distance(real, fake)
                entry["half_mean"], entry["half_sd"] = _over_halves(real, fake)
            if name not in (reference, baseline) and baseline is not None:
                entry["p"] = _permutation(real, (fake, arrays.get(baseline)), (rows[name], rows[baseline]))
            found[name] = entry
        return found


def _over_halves(real: np.ndarray, fake: np.ndarray, same: bool = False, draws: int = 20) -> tuple[float, float]:
    """Mean and standard deviation of the distance over halves drawn without replacement; `same` holds one half of the
    real clips against the other."""
    random = np.random.default_rng(0)
    values = []
    for _ in range(draws):
        a = random.permutation(len(real))
        if same:
            values.append(frechet_distance(real[a[: len(a) // 2]], real[a[len(a) // 2 :]]))
        else:
            b = random.permutation(len(fake))
            values.append(frechet_distance(real[a[: len(a) // 2]], fake[b[: len(b) // 2]]))
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _permutation(
    real: np.ndarray,
    features: tuple[np.ndarray, np.ndarray | None],
    rows: tuple[Sequence[Row], Sequence[Row]],
    draws: int = 200,
) -> float | None:
    """Paired permutation test: under the null a prompt's clips of the two systems may be exchanged."""
    a, b = features
    if b is None:
        return None
    other = {row["clip"]: index for index, row in enumerate(rows[1])}
    pairs = [(i, other[row["clip"]], row["prompt"]) for i, row in enumerate(rows[0]) if row["clip"] in other]
    if len(pairs) < LEAST:
        return None
    a, b = a[[i for i, _, _ in pairs]], b[[j for _, j, _ in pairs]]
    prompts = sorted({prompt for *_, prompt in pairs})
    member = np.array([prompts.index(prompt) for *_, prompt in pairs])
    observed = abs(frechet_distance(real, a) - frechet_distance(real, b))
    random = np.random.default_rng(0)
    as_large = 0
    for _ in range(draws):
        swap = random.integers(2, size=len(prompts)).astype(bool)[member][:, None]
        x, y = np.where(swap, b, a), np.where(swap, a, b)
        as_large += abs(frechet_distance(real, x) - frechet_distance(real, y)) >= observed - 1e-12
    return (as_large + 1) / (draws + 1)
