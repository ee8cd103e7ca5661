"""Learning rate, optimizer and moving average."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from emogen.training.config import OptimizerConfig, TrainingConfig
from emogen.training.model import WanEmotionModel


def learning_rate_factor(step: int, steps: int, config: OptimizerConfig) -> float:
    """What the peak learning rates are multiplied by at a step (from 0) of a run of `steps`: a linear
    warm-up, then constant or half a cosine down to `final_lr`. A function of the step, without a state."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def make_optimizer(model: WanEmotionModel, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW with one group for the LoRA and one for the adapter; `peak` holds each group's own rate."""
    peaks = {"lora": config.lora_lr, "adapter": config.adapter_lr}
    groups = [
        {"params": values, "name": name, "peak": peaks[name]} for name, values in model.parameter_groups().items()
    ]
    return torch.optim.AdamW(
        groups,
        lr=0.0,  # set before every step
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, config: TrainingConfig) -> None:
    factor = learning_rate_factor(step, config.run.steps, config.optimizer)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


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
