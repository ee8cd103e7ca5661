"""A run's state in one safetensors file, so that it is whole or the one before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from emogen.files import atomic
from recipe.optim import Optimizers


class StateError(ValueError):
    """A state cannot be read, or belongs to another run."""


def plain_names(module: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict under the names it has without compilation."""
    return {name.replace("._orig_mod", ""): value for name, value in module.state_dict().items()}


def save(path: Path, modules: nn.Module, average: nn.Module, optimizers: Optimizers, about: dict[str, Any]) -> None:
    """Write all that a run needs to go on exactly; `about` is JSON."""
    tensors = {f"modules/{k}": v for k, v in plain_names(modules).items()}
    tensors |= {f"average/{k}": v for k, v in average.state_dict().items()}
    for name, optimizer in optimizers.all.items():
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{key}": value for key, value in values.items()}
    with atomic(path) as temporary:
        save_file(
            {k: v.detach().contiguous().clone() for k, v in tensors.items()}, temporary, {"about": json.dumps(about)}
        )


def read_about(path: Path) -> dict[str, Any]:
    """What was noted beside the tensors.

    Raises:
        StateError: the file is cut or foreign.
    """
    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["about"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise StateError(f"{path} is not a whole state of this recipe ({error}); remove it to begin anew") from error


def load(path: Path, modules: nn.Module, average: nn.Module, optimizers: Optimizers) -> None:
    """Put a state into modules that are not compiled yet, and into their optimizers."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 - not a dict
            part, _, name = key.partition("/")
            parts.setdefault(part, {})[name] = file.get_tensor(key)
    modules.load_state_dict(parts["modules"])
    average.load_state_dict(parts["average"])
    for name, optimizer in optimizers.all.items():
        parameters = [value for group in optimizer.param_groups for value in group["params"]]
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in parts.get(name, {}).items():
            index, _, what = key.partition("/")
            state.setdefault(int(index), {})[what] = _laid_out_as(parameters[int(index)], value)
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out_as(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A fused optimizer walks through parameter and moments in step, so they must lie in memory alike."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def load_average(path: Path, module: nn.Module, prefix: str = "") -> nn.Module:
    """The averaged weights of a run, or those under `prefix`, in a module; returns it in eval mode."""
    start = f"average/{prefix}"
    with safe_open(path, "pt") as file:
        values = {k.removeprefix(start): file.get_tensor(k) for k in file.keys() if k.startswith(start)}  # noqa: SIM118
    module.load_state_dict(values)
    return module.eval()
