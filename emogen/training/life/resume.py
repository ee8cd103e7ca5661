"""Going on from a checkpoint: what is put back, what the new configuration decides, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from emogen.made import differences
from emogen.training.life import checkpoint as checkpoints
from emogen.training.life.checkpoint import CheckpointError
from emogen.training.life.optimizer_state import load_tensors

if TYPE_CHECKING:
    from emogen.training.trainer import Trainer


def check_optimizer(path: Path, optimizer: str) -> None:
    """Refuse to go on with another optimizer than the checkpoint's: its state would mean nothing to it.

    Raises:
        CheckpointError: they differ.
    """
    before = (checkpoints.read_state(path).get("identity", {}).get("optimizer") or {}).get("optimizer", optimizer)
    if before != optimizer:
        raise CheckpointError(
            f"{path}: its run used {before}, whose state {optimizer} cannot take; resume with --optimizer {before}, or "
            "begin another run from its weights (--adapter_weights, --lora_weights)"
        )


def resume_run(trainer: Trainer, path: Path) -> None:
    """Put a trainer where a checkpoint was written. Weights, the optimizer's state, the moving average and random
    states come from the checkpoint; learning rates, weight decay and all other options from the configuration.

    Raises:
        CheckpointError: it is damaged, or does not fit the run.
    """
    state = checkpoints.read_state(path)
    check_optimizer(path, trainer.config.optimizer.optimizer)
    checkpoints.restore(path / "trained.safetensors", trainer.parameters)
    lines = [f"resuming after step {state['step']} from {path}"]
    stored = (path / "ema.safetensors").is_file()
    if trainer.average is not None and stored:
        checkpoints.restore(path / "ema.safetensors", trainer.average.values)
    elif trainer.average is not None:
        trainer.average.restart()
        lines.append("run.ema_decay: the checkpoint has no moving average; it begins with the weights of now")
    elif stored:
        lines.append("run.ema_decay: the checkpoint's moving average is left; the weights themselves go on")
    trainer.stepper.restore(path, state)
    scaler = trainer.accelerator.scaler
    if state["scaler"] is not None and scaler is not None:
        scaler.load_state_dict(state["scaler"])
    _restore_random_state(path / "random.safetensors", trainer.accelerator.process_index, trainer.accelerator.device)
    trainer.step, trainer.branch = state["step"], checkpoints.branch_of(path)
    lines += _changes(state["identity"], trainer.identity)
    others = [one for one in checkpoints.list_checkpoints(trainer.output) if one.key not in trainer.branch]
    if others:
        names = ", ".join(one.path.name for one in others)
        lines.append(f"{names}: of another branch; they stay, each until this run has a checkpoint of its name")
    if trainer.accelerator.is_main_process:
        print("\n".join(lines))


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between a run and its continuation, a line each."""
    before = {"ema_decay": now.get("ema_decay"), **before}
    changed = differences(before, now)
    wins = [name for name in changed if name.startswith("optimizer.") or name == "ema_decay"]
    lines = [
        f"{name}: {_at(before, name)} in the checkpoint, {_at(now, name)} now; the new value is used" for name in wins
    ]
    rest = sorted({name.partition(".")[0] for name in changed if name not in wins})
    if rest:
        lines.append(f"warning: {', '.join(rest)} changed, so this does not continue exactly that run")
    return lines


def _at(values: Mapping[str, Any], dotted: str) -> Any:
    for name in dotted.split("."):
        values = values.get(name, "nothing") if isinstance(values, Mapping) else "nothing"
    return values


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _restore_random_state(file: Path, rank: int, device: torch.device) -> None:
    """Training draws from generators of its own; this is for what an optimizer or a kernel may draw."""
    stored = load_tensors(file)
    if f"{rank}.cpu" in stored:
        torch.set_rng_state(stored[f"{rank}.cpu"])
    if device.type == "cuda" and f"{rank}.cuda" in stored:
        torch.cuda.set_rng_state(stored[f"{rank}.cuda"], device)
