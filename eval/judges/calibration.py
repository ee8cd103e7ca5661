"""Does a judge that says 0.8 hit 80 times of 100? Expected calibration error and temperature scaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torchmetrics.classification import MulticlassCalibrationError

LIMITS = (0.02, 50.0)
"""Temperatures are kept in this range: a judge that is always right has no finite best one."""


def reliability_table(probabilities: np.ndarray, target: Sequence[int], bins: int = 10) -> list[dict[str, float]]:
    """The reliability diagram as a table (Guo et al., ICML 2017, section 2).

    Args:
        probabilities: `[n, k]`, rows sum to 1.
        target: n places of the right class.
        bins: of equal width over [0, 1]; a confidence on an edge belongs to the bin below it.

    Returns:
        One row a bin that holds a clip: `low`, `high`, `n`, `confidence` (mean top share), `accuracy`.

    Raises:
        ValueError: other shapes, or nothing given.
    """
    probabilities, truth = _checked(probabilities, target)
    top, hit = probabilities.max(1), probabilities.argmax(1) == truth
    member = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    rows = []
    for index in range(bins):
        mine = member == index
        if mine.any():
            rows.append({"low": index / bins, "high": (index + 1) / bins, "n": int(mine.sum()),
                         "confidence": float(top[mine].mean()), "accuracy": float(hit[mine].mean())})  # fmt: skip
    return rows


def expected_calibration_error(probabilities: np.ndarray, target: Sequence[int], bins: int = 10) -> float:
    """ECE in [0, 1] (Naeini et al., AAAI 2015; Guo et al. 2017, equation 3): the mean over clips of the gap between
    confidence and accuracy of the clip's bin. Small samples push it up: n clips a bin give a gap by chance alone.

    Raises:
        ValueError: as `reliability_table`.
    """
    probabilities, truth = _checked(probabilities, target)
    metric = MulticlassCalibrationError(probabilities.shape[1], n_bins=bins, sync_on_compute=False)
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(probabilities), torch.from_numpy(truth))
    return float(metric.compute())


def negative_log_likelihood(logits: np.ndarray, target: Sequence[int], temperature: float = 1.0) -> float:
    """Mean NLL in nats of `softmax(logits / temperature)`.

    Raises:
        ValueError: other shapes, or nothing given.
    """
    logits, truth = _checked(logits, target)
    return float(F.cross_entropy(torch.from_numpy(logits) / temperature, torch.from_numpy(truth)))


def fit_temperature(logits: np.ndarray, target: Sequence[int]) -> float:
    """The temperature T that makes `softmax(logits / T)` most likely (Guo et al. 2017, section 4.2), within `LIMITS`.

    The NLL is convex in 1/T, so a search over a line finds its one minimum.

    Args:
        logits: `[n, k]`; log-probabilities serve as well. Of clips the judge was not trained on.
        target: n places of the right class.

    Raises:
        ValueError: other shapes, or nothing given.
    """
    logits, truth = _checked(logits, target)
    z, y = torch.from_numpy(logits), torch.from_numpy(truth)
    low, high = 1 / LIMITS[1], 1 / LIMITS[0]
    for _ in range(60):  # bisection on the slope in 1/T
        middle = torch.tensor((low * high) ** 0.5, dtype=torch.float64, requires_grad=True)
        F.cross_entropy(z * middle, y).backward()
        low, high = (low, middle.item()) if middle.grad > 0 else (middle.item(), high)
    return 1 / (low * high) ** 0.5


def calibration(logits: np.ndarray, target: Sequence[int], bins: int = 10, seed: int = 0) -> dict[str, Any]:
    """ECE and NLL before and after temperature scaling, the second on clips the temperature was not fitted on.

    The clips are halved by lot; each half is scaled by the temperature of the other. `temperature` is that of all.

    Returns:
        `n`, `temperature`, `ece_before`, `ece_after`, `nll_before`, `nll_after`, `reliability` (before). With fewer
        than 20 clips the figures after are None: halves of ten fit nothing.

    Raises:
        ValueError: as `fit_temperature`.
    """
    logits, truth = _checked(logits, target)
    before = _softmax(logits)
    found: dict[str, Any] = {
        "n": len(truth), "bins": bins, "temperature": fit_temperature(logits, truth),
        "ece_before": expected_calibration_error(before, truth, bins), "ece_after": None,
        "nll_before": negative_log_likelihood(logits, truth), "nll_after": None,
        "reliability": reliability_table(before, truth, bins),
    }  # fmt: skip
    if len(truth) < 20:
        return found
    order = np.random.default_rng(seed).permutation(len(truth))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    scaled = logits.copy()
    for mine, other in (halves, halves[::-1]):
        scaled[mine] /= fit_temperature(logits[other], truth[other])
    found["ece_after"] = expected_calibration_error(_softmax(scaled), truth, bins)
    found["nll_after"] = negative_log_likelihood(scaled, truth)
    return found


def _softmax(logits: np.ndarray) -> np.ndarray:
    return torch.from_numpy(logits).softmax(-1).numpy()


def _checked(values: np.ndarray, target: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    values, truth = np.asarray(values, np.float64), np.asarray(target, np.int64)
    if values.ndim != 2 or not len(values) or truth.shape != values.shape[:1]:
        raise ValueError(f"expected [n, k] and n targets, n >= 1, not {list(values.shape)} and {list(truth.shape)}")
    if not ((truth >= 0) & (truth < values.shape[1])).all():
        raise ValueError(f"targets must lie in 0..{values.shape[1] - 1}")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite")
    return values, truth
