"""Checkpoints: everything a run needs to go on as if it had never stopped, without pickle.

A checkpoint is a folder `checkpoint-1000` with the trained weights, the optimizer's state, the moving average if there
is one, every process's random state (all safetensors) and `state.json`. It is written under a temporary name and
renamed, so a folder with a final name is always whole; if the disk is full the old ones stay. The schedule, the order
of the clips, noise and dropouts are functions of the step, so there is nothing else to store.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

_PREFIX = "checkpoint-"


class CheckpointError(ValueError):
    """A checkpoint is missing, cannot be written, or does not fit the run."""


def list_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    found = (path for path in folder.glob(f"{_PREFIX}*") if (path / "state.json").is_file())
    return sorted(found, key=lambda path: int(path.name.removeprefix(_PREFIX)))


def find_resume(output_dir: Path, wanted: str | None) -> Path | None:
    """The checkpoint that a run begins from; None begins anew.

    Args:
        wanted: None, "latest" (the newest in `output_dir`, if any) or the folder of one checkpoint.

    Raises:
        CheckpointError: None, but the folder holds checkpoints, which would be mixed up with the new ones; or
            the one that is named is none.
    """
    found = list_checkpoints(output_dir)
    if wanted == "latest":
        return found[-1] if found else None
    if wanted is None:
        if found:
            raise CheckpointError(
                f"{output_dir} already holds a run (up to {found[-1].name}): continue it with --resume_from_checkpoint "
                "latest, or choose another --output_dir"
            )
        return None
    for folder in (Path(wanted), output_dir / wanted):
        if (folder / "state.json").is_file():
            return folder
    raise CheckpointError(f"--resume_from_checkpoint {wanted}: not a checkpoint's folder (no state.json), nor latest")


def optimizer_state(
    parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's state by the parameters' names: its tensors, and everything else as JSON. Gathers shards, so all
    processes must call it."""
    return named_state({n: optimizer.state.get(p, {}) for n, p in parameters.items()}, optimizer.param_groups)


def named_state(
    states: Mapping[str, Mapping[str, Any]], param_groups: Sequence[Mapping[str, Any]]
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
    groups = [
        {k: v for k, v in group.items() if isinstance(v, (int, float, str, bool, type(None)))} for group in param_groups
    ]
    return whole(tensors), {"scalars": scalars, "groups": groups}


def whole(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies on the CPU, sharded ones gathered."""
    full = {n: v.full_tensor() if isinstance(v, DTensor) else v for n, v in tensors.items()}
    return {name: value.detach().cpu().contiguous() for name, value in full.items()}


def write_checkpoint(
    folder: Path, step: int, files: Mapping[str, Mapping[str, torch.Tensor]], state: Mapping[str, Any], limit: int
) -> Path:
    """Write the checkpoint of a step, then delete all but the newest `limit`.

    Args:
        files: name -> tensors of each safetensors file.
        state: what else to remember (JSON).

    Raises:
        CheckpointError: it cannot be written; the older ones are untouched.
    """
    final = folder / f"{_PREFIX}{step}"
    temporary = folder / f".{final.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        for name, tensors in files.items():
            save_file(dict(tensors), temporary / f"{name}.safetensors")
        (temporary / "state.json").write_text(json.dumps({"step": step, **state}, indent=2), encoding="utf-8")
        shutil.rmtree(final, ignore_errors=True)
        os.replace(temporary, final)
    except Exception as error:  # a full disk is an OSError from Python and another from safetensors
        shutil.rmtree(temporary, ignore_errors=True)
        kept = list_checkpoints(folder)
        raise CheckpointError(
            f"{final}: cannot be written: {error}. "
            + (f"The last good checkpoint is {kept[-1]}" if kept else "There is no checkpoint yet")
        ) from error
    for old in list_checkpoints(folder)[:-limit]:
        shutil.rmtree(old)
    return final


def read_state(path: Path) -> dict[str, Any]:
    return json.loads((path / "state.json").read_text(encoding="utf-8"))


def restore_optimizer(
    path: Path,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
) -> None:
    """Put back what `optimizer_state` took.

    Raises:
        CheckpointError: the state of a parameter is missing.
    """
    stored = read_optimizer(path, parameters, state)
    for name, values in stored.items():
        parameter = parameters[name]
        optimizer.state[parameter] = {
            key: _like(value, parameter) if isinstance(value, torch.Tensor) else value for key, value in values.items()
        }
    if stored:
        restore_groups(optimizer.param_groups, state)


def read_optimizer(path: Path, names: Collection[str], state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Parameter's name -> its optimizer's state, on the CPU; empty for a stateless optimizer, such as plain SGD.

    Raises:
        CheckpointError: the state of a parameter is missing.
    """
    stored: dict[str, dict[str, Any]] = {}
    for name, value in load_file(path / "optimizer.safetensors").items():
        parameter, _, key = name.rpartition("#")
        stored.setdefault(parameter, {})[key] = value
    scalars = state["scalars"]
    if not stored and not scalars:
        return {}
    for name in names:
        if name not in stored and name not in scalars:
            raise CheckpointError(f"{path}: the optimizer's state of {name} is missing")
    return {name: {**stored.get(name, {}), **scalars.get(name, {})} for name in names}


def restore_groups(param_groups: Sequence[dict[str, Any]], state: Mapping[str, Any]) -> None:
    for group, values in zip(param_groups, state["groups"], strict=True):
        group.update(values)


@torch.no_grad()
def restore(file: Path, into: Mapping[str, torch.Tensor]) -> None:
    """Copy a file's tensors into the ones of the same names.

    Raises:
        CheckpointError: it is missing, or holds other tensors than the run trains.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: missing; was the checkpoint made with other settings?")
    stored = load_file(file)
    if stored.keys() != into.keys():
        only = sorted(stored.keys() ^ into.keys())
        raise CheckpointError(
            f"{file}: holds other parameters than this run trains ({len(only)} differ, first {only[0]}); "
            "resume with the lora, adapter and model settings the checkpoint was made with"
        )
    for name, target in into.items():
        if stored[name].shape != target.shape:
            raise CheckpointError(
                f"{file}: {name} is {tuple(stored[name].shape)} but this run trains {tuple(target.shape)}"
            )
        target.copy_(_like(stored[name], target))


def _like(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """On the target's device, sharded as the target is if it is as large."""
    if isinstance(target, DTensor) and value.shape == target.shape:
        return distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
    return value.to(target.device)
