"""DeepSpeed's ZeRO-1 and ZeRO-2: the optimizer's state, and with ZeRO-2 the gradients, are divided among processes.

`accelerate launch` starts the processes and says the stage; the engine is set up here instead of by accelerate, which
would turn the trained weights into bf16 (they are float32 under autocast, as everywhere else in this package), apply a
gradient inside the backward pass and cannot run on a CPU. Checkpoints are those of every other run: a run that was
begun with DDP can go on under DeepSpeed and the other way round.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DeepSpeedPlugin
from accelerate.utils import patch_environment

from emogen.extras import how_to_install
from emogen.training.config import ConfigError, RunConfig, TrainingConfig
from emogen.training.families import EmotionModel, Family
from emogen.training.life import optimizer_state
from emogen.training.optim import Stepper

_ASKED = "ACCELERATE_USE_DEEPSPEED"  # what `accelerate launch` sets
# ZeRO lays a group's weights end to end and cuts them anywhere: right for optimizers that treat each number by itself.
ELEMENTWISE = ("torch.optim.AdamW", "torch.optim.Adam", "torch.optim.SGD")
_AWAY = ("cpu", "nvme")
_COPIES, _SHARDS = "configs/accelerate/eight_gpus.yaml", "configs/accelerate/eight_gpus_fsdp2.yaml"


def zero_settings(config: TrainingConfig) -> dict[str, Any] | None:
    """What `accelerate launch` says of DeepSpeed (a DeepSpeed configuration), or None when it does not ask for it.

    Raises:
        ConfigError: DeepSpeed is not installed, or what is asked for cannot be had with it.
    """
    if os.environ.get(_ASKED, "false").lower() != "true":
        return None
    if config.run.cpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed takes a GPU where there is one
    try:
        import deepspeed  # noqa: F401
    except Exception as error:  # an ImportError, or its own when it misses a part of CUDA
        raise ConfigError(
            f"DeepSpeed is asked for (accelerate's distributed_type) but cannot be imported: {error}. "
            f"{how_to_install('deepspeed')}, or launch with {_COPIES} or {_SHARDS}"
        ) from error
    settings = copy.deepcopy(DeepSpeedPlugin().deepspeed_config)
    _check(settings, config)
    return settings


def _check(settings: Mapping[str, Any], config: TrainingConfig) -> None:
    def refuse(wrong: bool, message: str) -> None:
        if wrong:
            raise ConfigError(f"DeepSpeed: {message}")

    zero, name = settings["zero_optimization"], config.optimizer.optimizer
    refuse(
        zero["stage"] not in (1, 2),
        f"zero_stage must be 1 or 2, not {zero['stage']}; "
        + (f"to divide the base too, launch with {_SHARDS}" if zero["stage"] == 3 else f"launch with {_COPIES}"),
    )
    moved = [key for key in ("offload_optimizer", "offload_param") if (zero.get(key) or {}).get("device") in _AWAY]
    refuse(
        bool(moved),
        f"{', '.join(moved)} must be none; configs/accelerate/one_gpu_offload.yaml keeps the base "
        "in the computer's memory",
    )
    foreign = [key for key in ("optimizer", "scheduler", "fp16", "bf16", "amp", "torch_autocast") if key in settings]
    refuse(
        bool(foreign),
        f"its configuration sets {', '.join(foreign)}, which the training configuration says (its "
        "optimizer section and run.mixed_precision); take it out",
    )
    refuse(
        name not in ELEMENTWISE,
        f"optimizer.optimizer: {name} may look at whole matrices, which ZeRO cuts up; use "
        f"{', '.join(ELEMENTWISE)}, or launch with {_COPIES}",
    )
    refuse(
        config.run.mixed_precision == "fp16",
        f"run.mixed_precision: fp16 would need its gradient scaler; use bf16 or no, or launch with {_COPIES}",
    )
    refuse(
        config.run.ulysses > 1,
        f"run.ulysses has not been shown to give the right gradients with it; launch with {_COPIES} or {_SHARDS}",
    )
    storage = config.model.base_storage
    refuse(
        storage != "same",
        f"model.base_storage: {storage}: it would send such weights to all processes, which is "
        f"not known to work; use same, or launch with {_COPIES}",
    )


def check_experts(family: Family) -> None:
    """See that every step trains everything that ZeRO has laid end to end.

    Raises:
        ConfigError: two transformers take turns.
    """
    if len(family.experts) > 1:
        raise ConfigError(
            "DeepSpeed: model.experts: both: the transformers take turns, and ZeRO would move the one that rests; set "
            f"model.experts to high or low, or launch with {_COPIES}"
        )


def without_deepspeed() -> AbstractContextManager[None]:
    """Inside, an Accelerator is made that leaves DeepSpeed to this module."""
    return patch_environment(**{_ASKED: "false"})


class ZeroStepper(Stepper):
    """DeepSpeed's engine.

    Args:
        settings: from `zero_settings`.
        run: says how many clips a process and micro-step, and how many micro-steps a step.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: EmotionModel,
        optimizer: torch.optim.Optimizer,
        max_norm: float,
        *,
        settings: Mapping[str, Any],
        run: RunConfig,
    ):
        import deepspeed

        self.accelerator, self.max_norm = accelerator, max_norm
        self.options = optimizer_state.options(optimizer.param_groups)
        self.model = accelerator.prepare_model(model, evaluation_mode=True)  # its device and autocast, without DDP
        batch, accumulation = run.train_batch_size, run.gradient_accumulation_steps
        zero = {k: v for k, v in settings["zero_optimization"].items() if not k.startswith("offload_")}
        engine, self.optimizer, _, _ = deepspeed.initialize(
            model=self.model,
            optimizer=optimizer,
            config={
                **settings,
                "zero_optimization": zero,
                "zero_allow_untested_optimizer": True,
                "train_micro_batch_size_per_gpu": batch,
                "gradient_accumulation_steps": accumulation,
                "train_batch_size": batch * accumulation * accelerator.num_processes,
                "gradient_clipping": max_norm,
            },
        )
        self.wrapped = engine
        self.parameters = self.model.trainable()

    def accumulating(self, last: bool) -> AbstractContextManager[None]:
        self.wrapped.set_gradient_accumulation_boundary(is_boundary=last)
        self._last = last
        return nullcontext()

    def backward(self, loss: torch.Tensor) -> None:
        self.wrapped.backward(loss, scale_wrt_gas=False)
        if not self._last:
            self.wrapped.step()  # counts the micro-step

    def clip(self) -> torch.Tensor:
        """Clips and applies in one: the engine leaves the weights alone, and says inf, if the norm is not finite."""
        self.wrapped.step()
        return torch.as_tensor(float(self.wrapped.get_global_grad_norm()), device=self.accelerator.device)

    def step(self) -> None:
        pass  # done in `clip`

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        from deepspeed.utils import safe_get_full_optimizer_state

        self._link()
        states: dict[str, dict[str, Any]] = {}
        for names, flat in self._groups():
            for name in names:
                states[name] = {
                    key: safe_get_full_optimizer_state(self.parameters[name], key) if _divided(value, flat)
                    else value.clone() if isinstance(value, torch.Tensor) else value
                    for key, value in self._kept.get(flat, {}).items()
                }  # fmt: skip
        return optimizer_state.named(states, self.optimizer.param_groups, self.options)

    def restore(self, path: Path, state: Mapping[str, Any]) -> list[str]:
        from deepspeed.utils import safe_set_full_optimizer_state

        self.optimizer.refresh_fp32_params()  # the engine steps on copies of the weights, not on the model's own
        stored = optimizer_state.read(path, self.parameters, state)
        if not stored:
            return optimizer_state.restore_groups(self.optimizer.param_groups, state, self.options)
        for names, flat in self._groups():
            values, like = stored[names[0]], self.parameters[names[0]]
            self._kept[flat] = {
                key: torch.zeros_like(flat) if _divided(value, like)
                else value.to(flat.device) if isinstance(value, torch.Tensor) else value
                for key, value in values.items()
            }  # fmt: skip
        self._link()
        for names, flat in self._groups():
            divided = [key for key, value in self._kept[flat].items() if _divided(value, flat)]
            for name in names:
                for key in divided:
                    safe_set_full_optimizer_state(self.parameters[name], stored[name][key].to(flat.device), key)
        return optimizer_state.restore_groups(self.optimizer.param_groups, state, self.options)

    @property
    def _kept(self) -> dict[torch.Tensor, dict[str, Any]]:
        """The state of the optimizer inside the engine's, by this process's part of a group."""
        return self.optimizer.optimizer.state

    def _groups(self) -> Iterator[tuple[list[str], torch.Tensor]]:
        """For each group the names of its parameters and this process's part of their numbers, end to end."""
        names = {id(parameter): name for name, parameter in self.parameters.items()}
        parts = self.optimizer.single_partition_of_fp32_groups
        for group, flat in zip(self.optimizer.bit16_groups, parts, strict=True):
            yield [names[id(parameter)] for parameter in group], flat

    def _link(self) -> None:
        """The engine ties state to parameters once, in its first group's first step, when other groups have none."""
        from deepspeed.utils import lazy_init_hp_params_optimizer_state

        for names, flat in self._groups():
            lazy_init_hp_params_optimizer_state([self.parameters[name] for name in names], flat, self._kept)


def _divided(value: Any, whole: torch.Tensor) -> bool:
    """Whether it holds a number for every weight, unlike a count of steps."""
    return isinstance(value, torch.Tensor) and value.shape == whole.shape
