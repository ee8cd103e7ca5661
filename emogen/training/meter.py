"""Training losses between two lines of the log: on the whole, by emotion and by noise level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator

BINS = 5


class LossMeter:
    """Sums of per-clip losses over the steps since the last reading, over all processes.

    Args:
        labels: every label a clip can carry.
    """

    def __init__(self, labels: Sequence[str], accelerator: Accelerator):
        self._labels = {label: row for row, label in enumerate(labels)}
        self._accelerator = accelerator
        self._sums = torch.zeros(len(labels) + BINS, 2, dtype=torch.float64)

    def add(self, losses: torch.Tensor, labels: Sequence[str], quantiles: torch.Tensor) -> None:
        """`losses` [B] unweighted, `quantiles` [B] of the noise levels, in (0, 1)."""
        values = losses.detach().double().cpu()
        bins = (quantiles.double().cpu() * BINS).long().clamp(0, BINS - 1) + len(self._labels)
        for rows in (torch.tensor([self._labels[label] for label in labels]), bins):
            self._sums[:, 0].index_add_(0, rows, values)
            self._sums[:, 1].index_add_(0, rows, torch.ones_like(values))

    def read(self) -> dict[str, float]:
        """`loss`, `loss/<label>` and `loss/quantile/<middle>` of what was seen, and start anew. All processes must
        call it."""
        sums = self._accelerator.reduce(self._sums.float().to(self._accelerator.device), "sum").cpu().double()
        self._sums.zero_()
        count = len(self._labels)
        found = {"loss": (sums[:count, 0].sum() / sums[:count, 1].sum()).item()}
        for label, row in self._labels.items():
            if sums[row, 1] > 0:
                found[f"loss/{label}"] = (sums[row, 0] / sums[row, 1]).item()
        for column in range(BINS):
            if sums[count + column, 1] > 0:
                middle = (column + 0.5) / BINS
                found[f"loss/quantile/{middle:g}"] = (sums[count + column, 0] / sums[count + column, 1]).item()
        return found
