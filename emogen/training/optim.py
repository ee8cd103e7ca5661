"""Learning rate and optimizer."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable
from typing import Any

import torch

from emogen.training.config import ConfigError, OptimizerConfig
from emogen.training.model import WanEmotionModel


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


def make_optimizer(model: WanEmotionModel, config: OptimizerConfig) -> torch.optim.Optimizer:
    """One group for the LoRA and one for the adapter; `peak` holds each group's own rate.

    The optimizer gets those of weight decay, betas and epsilon that it knows, and `optimizer_args` as they are.

    Raises:
        ConfigError: it cannot be had, or does not take an argument.
    """
    make = find_optimizer(config.optimizer)
    peaks = {"lora": config.learning_rate, "adapter": config.adapter_learning_rate}
    groups = [
        {"params": values, "name": name, "peak": peaks[name]} for name, values in model.parameter_groups().items()
    ]
    offered: dict[str, Any] = {
        "betas": (config.adam_beta1, config.adam_beta2),
        "eps": config.adam_epsilon,
        "weight_decay": config.adam_weight_decay,
        "fused": True,
    }
    known = inspect.signature(make).parameters
    if make is not torch.optim.AdamW:
        offered.pop("fused")  # other optimizers' fused forms may lack a device
    accepted = {name: value for name, value in offered.items() if name in known}
    try:
        # the rate is set before every step
        return make(groups, lr=max(peaks.values()), **(accepted | config.optimizer_args))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer.optimizer_args: {config.optimizer} refuses: {error}") from error


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, steps: int, config: OptimizerConfig) -> None:
    factor = learning_rate_factor(step, steps, config)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
