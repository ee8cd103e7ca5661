"""How the gradients of a step are summed over processes, clipped and applied."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.distributed.tensor import DTensor

from emogen.training.life import checkpoint as checkpoints
from emogen.training.model import WanEmotionModel


class Stepper:
    """accelerate's way: one process, DDP or FSDP2; `emogen.training.parallel.deepspeed` has another.

    A step is, for every micro-step, a forward pass of `wrapped` and `backward` inside `accumulating`; then `clip`, and
    `step` if what it says is finite.

    Args:
        max_norm: the gradient's norm is clipped to it.
    """

    def __init__(
        self, accelerator: Accelerator, model: WanEmotionModel, optimizer: torch.optim.Optimizer, max_norm: float
    ):
        self.accelerator, self.max_norm = accelerator, max_norm
        self.wrapped, self.optimizer = accelerator.prepare(model, optimizer)
        self.model: WanEmotionModel = accelerator.unwrap_model(self.wrapped)
        self.parameters = self.model.trainable()

    def accumulating(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Around a micro-step: gradients are summed over processes in the last one only."""
        return contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped)

    def backward(self, loss: torch.Tensor) -> None:
        """Add a micro-step's gradients; its loss is already divided by the number of micro-steps."""
        self.accelerator.backward(loss)

    def clip(self) -> float:
        """Clip the gradient over all processes. Returns its norm before that, the same on every process."""
        norm = self.accelerator.clip_grad_norm_(list(self.parameters.values()), self.max_norm)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def step(self) -> None:
        """Apply the clipped gradients and forget them."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """The optimizer's state as `checkpoint.optimizer_state` gives it. All processes must call it."""
        return checkpoints.optimizer_state(self.parameters, self._bare())

    def restore(self, path: Path, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint, whose weights the parameters already hold.

        Raises:
            CheckpointError: the state of a parameter is missing.
        """
        checkpoints.restore_optimizer(path, self.parameters, self._bare(), state)

    def _bare(self) -> torch.optim.Optimizer:
        return getattr(self.optimizer, "optimizer", self.optimizer)
