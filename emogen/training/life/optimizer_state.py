"""An optimizer's state as a checkpoint holds it: by the parameters' names, its tensors apart from everything else.

A group of an optimizer holds options, which the configuration says (weight decay, betas), and state, which the
optimizer changes itself (Prodigy's `d`, schedulefree's `weight_sum`). A resumed run takes its state from the checkpoint
and its options from its own configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

_PLAIN = (int, float, str, bool, type(None))
_SET_EVERY_STEP = ("lr",)
# What the configuration says in checkpoints that do not tell options from state.
_OPTIONS = ("name", "peak", "weight_decay", "betas", "eps", "fused", "foreach", "maximize", "amsgrad", "capturable",
            "differentiable", "decoupled_weight_decay", "momentum", "dampening", "nesterov")  # fmt: skip


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, cannot be written, or does not fit the run."""


def options(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The groups of an optimizer that was just made, without its parameters."""
    return [{key: value for key, value in group.items() if key != "params"} for group in groups]


def by_name(
    parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, made_with: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's state: its tensors, and everything else as JSON. Gathers shards, so all processes must call it.

    Args:
        made_with: its `options`.
    """
    states = {name: optimizer.state.get(parameter, {}) for name, parameter in parameters.items()}
    return named(states, optimizer.param_groups, made_with)


def named(
    states: Mapping[str, Mapping[str, Any]],
    param_groups: Sequence[Mapping[str, Any]],
    made_with: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The same of states that already lie by the parameters' names."""
    tensors: dict[str, torch.Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    for name, values in states.items():
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{name}#{key}"] = value
            else:
                scalars.setdefault(name, {})[key] = value
    groups = [{k: _number(v) for k, v in group.items() if _plain(v)} for group in param_groups]
    scalars |= {name: {} for name, values in states.items() if not values and tensors}  # not stepped yet
    given = [{k: _number(v) for k, v in group.items() if _plain(v)} for group in made_with]
    return whole(tensors), {"scalars": scalars, "groups": groups, "options": given}


def whole(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies on the CPU, sharded ones gathered."""
    full = {n: v.full_tensor() if isinstance(v, DTensor) else v for n, v in tensors.items()}
    return {name: value.detach().cpu().contiguous() for name, value in full.items()}


def restore(
    path: Path, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, state: Mapping[str, Any]
) -> None:
    """Put back the states of the parameters.

    Raises:
        CheckpointError: the state of a parameter is missing.
    """
    for name, values in read(path, parameters, state).items():
        parameter = parameters[name]
        optimizer.state[parameter] = {
            key: like(value, parameter) if isinstance(value, torch.Tensor) else value for key, value in values.items()
        }


def read(path: Path, names: Collection[str], state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Parameter's name -> its optimizer's state, on the CPU; empty for a stateless optimizer, such as plain SGD.

    Raises:
        CheckpointError: the state of a parameter is missing.
    """
    stored: dict[str, dict[str, Any]] = {}
    for name, value in load_tensors(path / "optimizer.safetensors").items():
        parameter, _, key = name.rpartition("#")
        stored.setdefault(parameter, {})[key] = value
    scalars = state["scalars"]
    if not stored and not scalars:
        return {}
    for name in names:
        if name not in stored and name not in scalars:
            raise CheckpointError(f"{path}: the optimizer's state of {name} is missing")
    return {name: {**stored.get(name, {}), **scalars.get(name, {})} for name in names}


def restore_groups(
    param_groups: Sequence[dict[str, Any]], state: Mapping[str, Any], made_with: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Put back what the optimizer itself changed in its groups; what the configuration says stays as it is.

    Args:
        made_with: the `options` of this run's optimizer.

    Returns:
        The options that differ from the checkpoint's, in words.
    """
    changed: list[str] = []
    before = state.get("options") or [{k: v for k, v in g.items() if k in _OPTIONS} for g in state["groups"]]
    for group, now, old, stored in zip(param_groups, made_with, before, state["groups"], strict=True):
        for key, value in stored.items():
            if key in _SET_EVERY_STEP:
                continue
            if key not in old or old[key] != value:
                group[key] = tuple(value) if isinstance(now.get(key), tuple) else value
            elif _number(now.get(key)) != value:
                changed.append(f"{group['name']}: {key} {value} -> {now.get(key)}")
    return changed


def load_tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: missing; was the checkpoint made with other settings?")
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: damaged: {error}") from error


def like(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """On the target's device, sharded as the target is if it is as large."""
    if isinstance(target, DTensor) and value.shape == target.shape:
        return distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
    return value.to(target.device)


def _plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(isinstance(one, _PLAIN) for one in value)
    return isinstance(value, _PLAIN) or (isinstance(value, torch.Tensor) and value.numel() == 1)


def _number(value: Any) -> Any:
    """As JSON gives it back."""
    if isinstance(value, torch.Tensor):
        return value.item()
    return list(value) if isinstance(value, (tuple, list)) else value
