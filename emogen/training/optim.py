"""The update of a step: learning rate, optimizer, the gradients of all processes, and the weights' moving average."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import nn
from torch.distributed.tensor import DTensor

from emogen.models.compat import lerp_all
from emogen.training.config import ConfigError, OptimizerConfig
from emogen.training.families import EmotionModel
from emogen.training.life import optimizer_state


def learning_rate_factor(step: int, steps: int, config: OptimizerConfig) -> float:
    """What the peak learning rates are multiplied by at a step (from 0) of a run of `steps`: a linear
    warm-up, then constant, or a line or half a cosine down to `final_lr`. A function of the step, without a state."""
    if step < config.lr_warmup_steps:
        return (step + 1) / config.lr_warmup_steps
    if config.lr_scheduler == "constant":
        return 1.0
    progress = min(1.0, (step - config.lr_warmup_steps) / max(1, steps - config.lr_warmup_steps))
    left = 1 - progress if config.lr_scheduler == "linear" else 0.5 * (1 + math.cos(math.pi * progress))
    return config.final_lr + (1 - config.final_lr) * left


def find_optimizer(name: str) -> Callable[..., torch.optim.Optimizer]:
    """The optimizer's class at a dotted path such as "torch.optim.AdamW", "bitsandbytes.optim.AdamW8bit" or
    "prodigyopt.Prodigy".

    Raises:
        ConfigError: the path leads nowhere, or the package is not installed.
    """
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ConfigError(f"optimizer.optimizer: {name!r} must be a dotted path such as torch.optim.AdamW")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigError(
            f"optimizer.optimizer: {name} cannot be imported (pip install {package}?): {error}"
        ) from error
    except AttributeError as error:
        raise ConfigError(f"optimizer.optimizer: {module} has no {attribute!r}") from error


def make_optimizer(groups: Mapping[str, list[nn.Parameter]], config: OptimizerConfig) -> torch.optim.Optimizer:
    """One group for the LoRA and one for the adapter; `peak` holds each group's own rate.

    The optimizer gets those of weight decay, betas and epsilon that it knows, and `optimizer_args` as they are.

    Args:
        groups: "lora" and "adapter" -> parameters (`EmotionModel.parameter_groups`).

    Raises:
        ConfigError: it cannot be had, or does not take an argument.
    """
    make = find_optimizer(config.optimizer)
    peaks = {"lora": config.learning_rate, "adapter": config.adapter_learning_rate}
    given = [{"params": values, "name": name, "peak": peaks[name]} for name, values in groups.items()]
    offered: dict[str, Any] = {
        "betas": (config.adam_beta1, config.adam_beta2),
        "eps": config.adam_epsilon,
        "weight_decay": config.adam_weight_decay,
        "fused": True,
    }
    try:
        known = inspect.signature(make).parameters
        if make is not torch.optim.AdamW:
            offered.pop("fused")  # other optimizers' fused forms may lack a device
        accepted = {name: value for name, value in offered.items() if name in known}
        if isinstance(getattr(known.get("eps"), "default", None), tuple):
            accepted.pop("eps")  # Adafactor's are two, of another meaning
        # the rate is set before every step
        optimizer = make(given, lr=max(peaks.values()), **(accepted | config.optimizer_args))
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"optimizer.optimizer_args: {config.optimizer} refuses: {error}") from error
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ConfigError(f"optimizer.optimizer: {config.optimizer} is not an optimizer of torch")
    return optimizer


def try_optimizer(config: OptimizerConfig) -> torch.optim.Optimizer:
    """An optimizer that has taken one step on weights of its own: what cannot be used here says so before a run.

    Raises:
        ConfigError: it cannot be made, or cannot take a step.
    """
    weights = {name: [nn.Parameter(torch.zeros(128, 128))] for name in ("lora", "adapter")}
    optimizer = make_optimizer(weights, config)
    for (parameter,) in weights.values():
        parameter.grad = torch.ones_like(parameter)
    set_learning_rate(optimizer, 0, 1, config)
    learning(optimizer, True)
    try:
        optimizer.step()
    except Exception as error:  # optimizers raise all sorts
        if "8bit" in config.optimizer.lower():  # needs a GPU, which a machine where a run is prepared may lack
            optimizer.state.clear()
            return optimizer
        raise ConfigError(f"optimizer.optimizer: {config.optimizer} cannot take a step: {error}") from error
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, steps: int, config: OptimizerConfig) -> None:
    factor = learning_rate_factor(step, steps, config)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def learning(optimizer: Any, on: bool) -> None:
    """Tell an optimizer that asks for it (schedulefree's) whether steps or evaluation follow."""
    switch = getattr(optimizer, "train" if on else "eval", None)
    if callable(switch):
        switch()


class Stepper:
    """accelerate's way: one process, DDP or FSDP2; `emogen.training.parallel.deepspeed` has another.

    A step is, for every micro-step, a forward pass of `wrapped` and `backward` inside `accumulating`; then `clip`, and
    `step` if what it says is finite.

    Args:
        max_norm: the gradient's norm is clipped to it.
        placed: the model is where it is trained already, and must not be moved.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: EmotionModel,
        optimizer: torch.optim.Optimizer,
        max_norm: float,
        *,
        placed: bool = False,
    ):
        self.accelerator, self.max_norm = accelerator, max_norm
        self.options = optimizer_state.options(optimizer.param_groups)
        if len(model.family.experts) > 1:  # a step is of one of them, and the others get no gradient
            accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=True)
        where = [False, True] if placed else None
        self.wrapped, self.optimizer = accelerator.prepare(model, optimizer, device_placement=where)
        self.model: EmotionModel = accelerator.unwrap_model(self.wrapped)
        self.parameters = self.model.trainable()

    def accumulating(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Around a micro-step: gradients are summed over processes in the last one only."""
        return contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped)

    def backward(self, loss: torch.Tensor) -> None:
        """Add a micro-step's gradients; its loss is already divided by the number of micro-steps."""
        self.accelerator.backward(loss)

    def clip(self) -> torch.Tensor:
        """Clip the gradient over all processes. Returns its norm before that, the same on every process, as a tensor
        without dimensions: reading it waits for the device."""
        norm = self.accelerator.clip_grad_norm_(list(self.parameters.values()), self.max_norm)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def step(self) -> None:
        """Apply the clipped gradients and forget them."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside, the weights are those to evaluate and export, for optimizers that train on others (schedulefree)."""
        learning(self.bare, False)
        try:
            yield
        finally:
            learning(self.bare, True)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """The optimizer's tensors and the rest (see `optimizer_state`). All processes must call it."""
        return optimizer_state.by_name(self.parameters, self.bare, self.options)

    def restore(self, path: Path, state: Mapping[str, Any]) -> list[str]:
        """Go on from a checkpoint, whose weights the parameters already hold.

        Returns:
            The options whose new value wins over the checkpoint's, in words.

        Raises:
            CheckpointError: the state of a parameter is missing.
        """
        optimizer_state.restore(path, self.parameters, self.bare, state)
        return optimizer_state.restore_groups(self.bare.param_groups, state, self.options)

    @property
    def bare(self) -> torch.optim.Optimizer:
        return getattr(self.optimizer, "optimizer", self.optimizer)


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
        lerp_all(list(self.values.values()), [self._live[k].detach() for k in self.values], weight)

    @torch.no_grad()
    def restart(self) -> None:
        """Begin anew from the weights as they are."""
        for name, value in self.values.items():
            value.copy_(self._live[name])

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
