"""The moving average of the trained weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import nn


class MovingAverage:
    """Exponential moving average of the trained parameters. The decay warms up as (1 + n) / (10 + n), so that
    the first weights do not linger."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float):
        self._live = dict(parameters)
        self._decay = decay
        self.values = {name: value.detach().clone() for name, value in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Call after optimizer step number `step` (from 1)."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.values.values()), [self._live[k].detach() for k in self.values], weight)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The model computes with the average inside the block and with its own weights again after it."""
        kept = {name: value.detach().clone() for name, value in self._live.items()}
        self._copy(self.values)
        try:
            yield
        finally:
            self._copy(kept)

    @torch.no_grad()
    def _copy(self, values: Mapping[str, torch.Tensor]) -> None:
        for name, parameter in self._live.items():
            parameter.copy_(values[name])
