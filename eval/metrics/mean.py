"""Metrics that are the mean of one number a clip."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.aggregation import MeanMetric


class ClipMean(MeanMetric):
    """The mean of `score` over all clips; sums are kept in float64 and added up over processes.

    `score` takes what `update` takes and gives the values of single clips, which paired tests need; it changes no
    state.
    """

    full_state_update = False

    def __init__(self, **kwargs: Any):
        super().__init__(nan_strategy="error", **kwargs)
        self.set_dtype(torch.float64)

    def score(self, *args: Any, **kwargs: Any) -> Tensor:
        """One number a clip, `[B]`."""
        raise NotImplementedError

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add clips; arguments and errors are those of `score`."""
        super().update(self.score(*args, **kwargs).to(self.device, torch.float64))

    def compute(self) -> Tensor:
        """The mean, a float64 scalar.

        Raises:
            ValueError: no clips were given.
        """
        if not self.weight:
            raise ValueError(f"{type(self).__name__}: no clips were given, so there is no mean")
        return super().compute()
