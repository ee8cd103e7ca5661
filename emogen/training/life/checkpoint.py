"""Checkpoints: everything a run needs to go on as if it had never stopped, without pickle.

A checkpoint is a folder `checkpoint-1000` with the trained weights, the optimizer's state, the moving average if there
is one, every process's random state (all safetensors) and `state.json`. It is written under a temporary name and
renamed, so a folder with a final name is whole; if the disk is full the old ones stay. `state.json` holds the
fingerprints of the other files, so that what is damaged afterwards is noticed, and the branch: which checkpoints the
run went through. The schedule, the order of the clips, noise and dropouts are functions of the step, so there is
nothing else to store.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from emogen.files import atomic, fingerprint_file, write_json
from emogen.training.life.optimizer_state import CheckpointError, like, load_tensors

__all__ = ["Checkpoint", "CheckpointError", "SaveError", "find_resume", "list_checkpoints", "write_checkpoint"]

_NAME = re.compile(r"checkpoint-(\d+)")
_STATE = "state.json"


class SaveError(CheckpointError):
    """A checkpoint cannot be written; those before it are whole."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's folder, the step it was written after, and when it was written (seconds; a file's time where an
    older version did not note it)."""

    path: Path
    step: int
    written: float

    @property
    def key(self) -> list[Any]:
        """What a branch remembers of it."""
        return [self.step, self.written]


def list_checkpoints(folder: Path, say: Callable[[str], None] = lambda line: None) -> list[Checkpoint]:
    """The checkpoints of a folder in the order they were written. Says which folders are passed over, and why."""
    found = []
    for path in sorted(folder.glob("checkpoint-*")):
        if not _NAME.fullmatch(path.name):
            say(f"{path}: ignored, for its name is not checkpoint-NUMBER")
            continue
        try:
            state = read_state(path)
        except CheckpointError as error:
            say(f"ignored: {error}")
            continue
        found.append(_described(path, state))
    return sorted(found, key=lambda one: (one.written, one.step))


def _described(path: Path, state: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(path, state["step"], state.get("written") or (path / _STATE).stat().st_mtime)


def find_resume(output_dir: Path, wanted: str | None, say: Callable[[str], None] = lambda line: None) -> Path | None:
    """The checkpoint that a run begins from; None begins anew.

    Args:
        wanted: None, "latest" (the whole one in `output_dir` that was written last, if any) or the folder of one.
        say: told what is passed over.

    Raises:
        CheckpointError: None, but the folder holds checkpoints, which would be mixed up with the new ones; or
            the one that is named is none, or damaged; or all are damaged.
    """
    if wanted not in (None, "latest"):
        for folder in (Path(wanted), output_dir / wanted):
            if (folder / _STATE).is_file():
                damage = damaged(folder)
                if damage is not None:
                    others = [one.path for one in list_checkpoints(folder.parent) if damaged(one.path) is None]
                    raise CheckpointError(f"{damage}; resume from {others[-1] if others else 'another checkpoint'}")
                return folder
        raise CheckpointError(f"--resume_from_checkpoint {wanted}: not a checkpoint's folder (no {_STATE}), nor latest")
    found = list_checkpoints(output_dir, say)
    if wanted is None:
        if found:
            raise CheckpointError(
                f"{output_dir} already holds a run (up to {found[-1].path.name}): continue it with "
                "--resume_from_checkpoint latest, or choose another --output_dir"
            )
        return None
    broken = []
    for one in reversed(found):
        damage = damaged(one.path)
        if damage is None:
            if broken:
                say(f"{'; '.join(broken)}; going back to {one.path}")
            return one.path
        broken.append(damage)
    if broken:
        raise CheckpointError(
            f"no checkpoint of {output_dir} is whole: {'; '.join(broken)}; choose another --output_dir"
        )
    return None


def damaged(path: Path) -> str | None:
    """None if a checkpoint is whole; else which file is not, and why."""
    try:
        state = read_state(path)
        for name, digest in state.get("sha256", {}).items():
            file = path / name
            if not file.is_file():
                return f"{file}: missing"
            if fingerprint_file(file) != digest:
                return f"{file}: damaged: its contents have changed since it was written"
        for file in sorted(path.glob("*.safetensors")):
            with safe_open(file, "pt"):
                pass
    except CheckpointError as error:
        return str(error)
    except (SafetensorError, OSError) as error:
        return f"{file}: damaged: {error}"
    return None


def write_checkpoint(
    folder: Path,
    step: int,
    files: Mapping[str, Mapping[str, torch.Tensor]],
    state: Mapping[str, Any],
    branch: Sequence[Sequence[Any]] = (),
) -> Checkpoint:
    """Write the checkpoint of a step.

    Args:
        files: name -> tensors of each safetensors file.
        state: what else to remember (JSON).
        branch: the keys of the checkpoints before it in this run and in those that it continues.

    Raises:
        SaveError: it cannot be written; the older ones are untouched.
    """
    final, written = folder / f"checkpoint-{step}", time.time()
    try:
        with atomic(final) as temporary:
            temporary.mkdir()
            for name, tensors in files.items():
                save_file(dict(tensors), temporary / f"{name}.safetensors")
            digests = {file.name: fingerprint_file(file) for file in sorted(temporary.iterdir())}
            about = {"step": step, "written": written, "branch": [*branch, [step, written]], "sha256": digests}
            write_json(temporary / _STATE, {**about, **state})
    except Exception as error:  # a full disk is an OSError from Python and another from safetensors
        kept = list_checkpoints(folder)
        raise SaveError(
            f"{final}: cannot be written: {error}. "
            + (f"The last good checkpoint is {kept[-1].path}" if kept else "There is no checkpoint yet")
        ) from error
    return Checkpoint(final, step, written)


def keep_newest(folder: Path, branch: Sequence[Sequence[Any]], limit: int) -> None:
    """Delete the checkpoints of a branch but the newest `limit`; those of other branches stay."""
    own = [one for one in list_checkpoints(folder) if one.key in [list(key) for key in branch]]
    for old in own[:-limit]:
        shutil.rmtree(old.path)


def branch_of(path: Path) -> list[list[Any]]:
    """The keys of the checkpoints that led to one, and its own. A checkpoint of an older version does not say: then
    they are those of its folder that came before it."""
    state = read_state(path)
    own = _described(path, state)
    if "branch" in state:
        return state["branch"]
    before = [one for one in list_checkpoints(path.parent) if one.step <= own.step and one.written <= own.written]
    return [one.key for one in before]


def read_state(path: Path) -> dict[str, Any]:
    """`state.json`.

    Raises:
        CheckpointError: it cannot be read.
    """
    file = path / _STATE
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read: {error}") from error
    if not isinstance(state, dict) or not isinstance(state.get("step"), int):
        raise CheckpointError(f"{file}: damaged: it holds no step")
    return state


@torch.no_grad()
def restore(file: Path, into: Mapping[str, torch.Tensor]) -> None:
    """Copy a file's tensors into the ones of the same names.

    Raises:
        CheckpointError: it is missing, damaged, or holds other tensors than the run trains.
    """
    stored = load_tensors(file)
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
        target.copy_(like(stored[name], target))
