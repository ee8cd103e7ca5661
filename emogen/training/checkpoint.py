"""Checkpoints: everything a run needs to go on as if it had never stopped, without pickle.

A checkpoint is a folder `step-00001000` with the trained weights, the optimizer's moments, the moving average
if there is one (all safetensors) and `state.json`. It is written under a temporary name and renamed, so a
folder with a final name is always whole. The schedule and all randomness are functions of the step, so there
is nothing else to store.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

_PREFIX = "step-"


class CheckpointError(ValueError):
    """A checkpoint is missing or does not fit the run."""


def list_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    found = (path for path in folder.glob(f"{_PREFIX}*") if (path / "state.json").is_file())
    return sorted(found, key=lambda path: int(path.name.removeprefix(_PREFIX)))


def find_resume(folder: Path, wanted: str) -> Path | None:
    """The checkpoint that a run whose checkpoints lie in `folder` begins from; None begins anew.

    Args:
        wanted: "never", "auto" (the newest, if any) or the folder of one checkpoint.

    Raises:
        CheckpointError: "never", but the folder holds checkpoints, which would be mixed up with the new ones; or
            the one that is named is none.
    """
    found = list_checkpoints(folder)
    if wanted == "auto":
        return found[-1] if found else None
    if wanted == "never":
        if found:
            raise CheckpointError(
                f"{folder.parent} already holds a run (up to {found[-1].name}): continue it with --resume auto, or "
                "choose another --run.output_dir"
            )
        return None
    if not (Path(wanted) / "state.json").is_file():
        raise CheckpointError(f"--resume {wanted}: not a checkpoint's folder (no state.json), nor auto, nor never")
    return Path(wanted)


def save_checkpoint(
    folder: Path,
    step: int,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    averaged: Mapping[str, torch.Tensor] | None,
    state: Mapping[str, Any],
    keep: int,
) -> Path:
    """Write the checkpoint of a step, then delete all but the newest `keep`.

    Args:
        averaged: the moving average of the parameters, if one is kept.
        state: what else to remember (JSON).
    """
    final = folder / f"{_PREFIX}{step:08d}"
    temporary = folder / f".{final.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(_plain(parameters), temporary / "trained.safetensors")
    save_file(_plain(_moments(parameters, optimizer)), temporary / "optimizer.safetensors")
    if averaged is not None:
        save_file(_plain(averaged), temporary / "ema.safetensors")
    (temporary / "state.json").write_text(json.dumps({"step": step, **state}, indent=2), encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    os.replace(temporary, final)
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return final


def load_checkpoint(
    path: Path,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    averaged: Mapping[str, torch.Tensor] | None,
) -> dict[str, Any]:
    """Restore weights, moments and average in place; returns the stored state.

    Raises:
        CheckpointError: the checkpoint holds other parameters than the run trains.
    """
    _copy(path / "trained.safetensors", parameters)
    if averaged is not None:
        _copy(path / "ema.safetensors", averaged)
    stored = load_file(path / "optimizer.safetensors")
    for name, parameter in parameters.items():
        moments = {key: stored.get(f"{name}#{key}") for key in ("step", "exp_avg", "exp_avg_sq")}
        if any(value is None for value in moments.values()):
            raise CheckpointError(f"{path}: the optimizer's state of {name} is missing")
        step = moments.pop("step")
        on_device = {key: value.to(parameter) for key, value in moments.items()}
        optimizer.state[parameter] = {"step": step.to(parameter.device), **on_device}
    return json.loads((path / "state.json").read_text(encoding="utf-8"))


def _moments(parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{name}#{key}": value
        for name, parameter in parameters.items()
        for key, value in optimizer.state[parameter].items()
    }


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


@torch.no_grad()
def _copy(file: Path, into: Mapping[str, torch.Tensor]) -> None:
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
        target.copy_(stored[name])
