"""The Frechet distance of two sets of features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def frechet_distance(real: np.ndarray | Tensor, fake: np.ndarray | Tensor, ddof: int = 0) -> float:
    """Frechet distance of the Gaussians fitted to two sets of features (Dowson and Landau 1982).

    `|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)`, in float64. No matrix square root is taken: with `S1 = A^T A`
    and `S2 = B^T B`, `tr (S1 S2)^(1/2)` is the sum of the singular values of `A B^T`, and the triangular factors of
    the centred features serve as A and B. That holds for fewer clips than features too, where `sqrtm` is unstable.

    Args:
        real, fake: `(n, d)` and `(m, d)`, n, m >= 2.
        ddof: covariances are divided by `n - ddof`. 0 is StyleGAN-V's and cd-fvd's FVD, 1 is `numpy.cov`
            (common_metrics_on_video_quality, torchmetrics' FID).

    Returns:
        The distance, >= 0.

    Raises:
        ValueError: another shape, different widths, fewer than two rows, NaN or infinity, or another `ddof`.
    """
    check_ddof(ddof)
    x, y = matrix(real, "real"), matrix(fake, "fake")
    _check_width(x.shape[1], y.shape[1])
    check_count(len(x), len(y))
    means, traces, factors = [], [], []
    for rows in (x, y):
        means.append(rows.mean(0))
        centred = (rows - means[-1]) / math.sqrt(len(rows) - ddof)
        traces.append(centred.square().sum())
        factors.append(torch.linalg.qr(centred, mode="r").R)
    return _distance(means, traces, factors)


def frechet_from_moments(means: tuple[Tensor, Tensor], covariances: tuple[Tensor, Tensor]) -> float:
    """The same distance from means `[d]` and covariances `[d, d]`, both float64; the factors come from eigenvectors."""
    factors = []
    for covariance in covariances:
        values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
        factors.append((vectors * values.clamp_min(0).sqrt()).T)  # those below 0 are rounding
    return _distance(means, [c.diagonal().sum() for c in covariances], factors)


def _distance(means: Sequence[Tensor], traces: Sequence[Tensor], factors: Sequence[Tensor]) -> float:
    nuclear = torch.linalg.svdvals(factors[0] @ factors[1].T).sum()
    value = (means[0] - means[1]).square().sum() + traces[0] + traces[1] - 2 * nuclear
    return max(0.0, float(value))  # equal sets come out at plus or minus rounding


def matrix(features: np.ndarray | Tensor, what: str) -> Tensor:
    """Features as a finite float64 tensor `(n, d)`, or a ValueError that says what they are."""
    if not isinstance(features, Tensor):
        features = torch.from_numpy(np.asarray(features, dtype=np.float64))
    if features.ndim != 2 or not features.shape[1]:
        raise ValueError(f"{what} features must be (n, d), not {list(features.shape)}")
    features = features.detach().double()
    bad = (~features.isfinite()).any(1).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"{what} features of {len(bad)} clips are NaN or infinite, the first in row {bad[0]}")
    return features


def check_ddof(ddof: int) -> None:
    """A ValueError unless `ddof` is 0 or 1."""
    if ddof not in (0, 1):
        raise ValueError(f"ddof is {ddof!r}; it is 0 (population covariance) or 1 (sample covariance)")


def _check_width(real: int, fake: int) -> None:
    if real != fake:
        raise ValueError(f"real features are {real} wide and fake ones {fake}: they come from different networks")


def check_count(real: int, fake: int) -> None:
    """A ValueError unless there are two clips a side."""
    if real < 2 or fake < 2:
        raise ValueError(f"a Frechet distance needs at least 2 clips a side, not {real} real and {fake} fake")
