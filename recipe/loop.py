"""The one training loop: autoencoder, text encoder, bases, judges and readers all go through it.

It counts steps and never the clock. A step's random numbers are a function of (seed, step, rank) alone, so that a run
that was killed goes on from its last checkpoint with exactly the numbers that it would have had. Under `torchrun`
every process takes its own batch and the gradients are averaged.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import signal
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from emogen.files import fingerprint_value
from emogen.processes import leave_at_exit
from recipe import state
from recipe.config import Phase, Schedule
from recipe.optim import Optimizers, rate_factor
from recipe.progress import Progress


class Task(Protocol):
    """What is trained. The loop saves every parameter of `modules` and trains those that want gradients."""

    modules: nn.ModuleDict

    def loss(self, rng: np.random.Generator, phase: Phase) -> torch.Tensor:
        """The mean loss of a batch drawn with `rng`; torch's generator is seeded too."""

    def held_out(self, average: nn.ModuleDict) -> dict[str, float]:
        """Figures of the averaged weights on what is not trained on; equal weights give equal figures."""


class Stopped(Exception):
    """A signal asked the run to stop; its checkpoint is written."""


def train(task: Task, schedule: Schedule, folder: Path, name: str) -> None:
    """Train to the schedule's end, from `folder/NAME.safetensors` if it exists. `folder/NAME.jsonl` is the log.

    Raises:
        Stopped: SIGTERM or SIGINT came; run the same again to resume.
        state.StateError: the state there was made with another schedule or other networks.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("gloo")
        leave_at_exit()
    modules, path = task.modules, folder / f"{name}.safetensors"
    average = copy.deepcopy(modules).eval().requires_grad_(False)
    optimizers = Optimizers(modules, schedule)
    identity, first, pending = _identity(schedule, modules, world), 0, []
    if path.exists():
        about = state.read_about(path)
        if about["identity"] != identity:
            raise state.StateError(
                f"{path} was made with other settings, networks or processes; remove it, or choose another --work"
            )
        state.load(path, modules, average, optimizers)
        first, pending = about["step"], about["losses"]
    if first >= schedule.steps:
        return
    if schedule.compile:
        for module in modules.values():
            if hasattr(module, "compile_repeated_blocks"):
                module.compile_repeated_blocks(fullgraph=True)
    progress = Progress(folder, name, first, schedule, pending) if rank == 0 else None
    with _Signals() as signals:
        step = first
        while step < schedule.steps:
            phase, inner = _phase_of(schedule, step)
            rng = _seed(schedule.seed, step, rank)
            with torch.autocast("cpu", torch.bfloat16, enabled=schedule.bf16):
                loss = task.loss(rng, phase)
            loss.backward()
            if world > 1:
                _average_gradients(optimizers.parameters, world)
            norm = optimizers.step(phase, rate_factor(inner, phase))
            _follow(average, modules, min(schedule.ema, (step + 1) / (step + 10)))
            step += 1
            value = loss.item()
            if not math.isfinite(value):
                raise FloatingPointError(f"{name}: the loss is {value} at step {step}; lower the rates of {phase.name}")
            stop = _any(signals.asked, world)
            last = step == schedule.steps
            if progress:
                progress.note(step, phase, value, norm)
                if last or step % schedule.validate_every == 0:
                    progress.held_out(step, phase, task.held_out(average))
            if last or stop or step % schedule.checkpoint_every == 0:
                optimizers.gather()
                if progress:
                    about = {"step": step, "identity": identity, "losses": progress.pending}
                    state.save(path, modules, average, optimizers, about)
                if world > 1:
                    dist.barrier()
            if stop and not last:
                raise Stopped(f"{name}: stopped at step {step} of {schedule.steps}; run the same again to resume")


def _identity(schedule: Schedule, modules: nn.Module, world: int) -> str:
    """What must be equal to go on. Steps may be added, and how often is logged and saved may change."""
    settings = schedule.model_dump(
        mode="json", exclude={"checkpoint_every", "log_every", "validate_every", "compile", "phases"}
    )
    settings["phases"] = [phase.model_dump(mode="json", exclude={"steps"}) for phase in schedule.phases]
    shapes = {name: list(value.shape) for name, value in state.plain_names(modules).items()}
    return fingerprint_value([settings, shapes, world])


def _phase_of(schedule: Schedule, step: int) -> tuple[Phase, int]:
    for phase in schedule.phases:
        if step < phase.steps:
            return phase, step
        step -= phase.steps
    raise IndexError(step)


def _seed(seed: int, step: int, rank: int) -> np.random.Generator:
    """Seeds torch and gives numpy's generator of a step; neighbouring steps get unrelated streams."""
    digest = hashlib.sha256(json.dumps([seed, step, rank]).encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return np.random.default_rng(int.from_bytes(digest[8:16], "big"))


@torch.no_grad()
def _follow(average: nn.Module, modules: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in modules.parameters()], 1 - decay)


def _average_gradients(parameters: list[nn.Parameter], world: int) -> None:
    used = [p for p in parameters if p.grad is not None]  # an image uses no convolution over time; all ranks alike
    flat = torch.cat([p.grad.reshape(-1) for p in used])
    dist.all_reduce(flat)
    flat.div_(world)
    for p, piece in zip(used, flat.split([p.numel() for p in used]), strict=True):
        p.grad.copy_(piece.view_as(p))


def _any(flag: bool, world: int) -> bool:
    """Whether any process says so: all must leave the loop at the same step."""
    if world == 1:
        return flag
    value = torch.tensor([float(flag)])
    dist.all_reduce(value)
    return value.item() > 0


class _Signals:
    """Notes SIGTERM and SIGINT instead of dying of them, within its block."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _Signals:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _note(self, number: int, frame: object) -> None:
        self.asked = True

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
