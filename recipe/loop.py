"""The training loop of the bases: a time budget a phase, averaged weights, exact continuation."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Phase:
    """A stretch of training: how many latent frames, how many clips a step and rank, for how long."""

    name: str
    latent_frames: int
    batch: int
    minutes: float
    peak_lr: float
    floor: float = 0.0


def train(
    modules: nn.ModuleDict,
    loss_of: Callable[[np.random.Generator, Phase], torch.Tensor],
    folder: Path,
    name: str,
    phases: list[Phase],
    *,
    seed: int = 0,
    ema_decay: float = 0.998,
    compile_blocks: bool = True,
    save_every: float = 90.0,
) -> None:
    """Train what needs gradients in the modules; under `torchrun` the ranks average them.

    Goes on from `folder/NAME_state.pt` when it exists. Leaves the averaged (EMA) weights in `folder/NAME_ema.pt`.

    Args:
        modules: with a "transformer", whose blocks are compiled.
        loss_of: draws a batch with the generator it is given and returns the mean loss.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("gloo")
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // world))
    parameters = [p for p in modules.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.97), weight_decay=0.01, fused=True)
    average = copy.deepcopy(modules).eval()
    progress = {"phase": 0, "spent": 0.0, "step": 0}
    state = folder / f"{name}_state.pt"
    if state.exists():
        saved = torch.load(state, weights_only=True)
        modules.load_state_dict(saved["modules"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        progress = saved["progress"]
    if compile_blocks:
        modules["transformer"].compile_repeated_blocks(fullgraph=True)
    log = (folder / f"{name}_log.jsonl").open("a") if rank == 0 else None
    for number in range(progress["phase"], len(phases)):
        phase = phases[number]
        if progress["phase"] < number:
            progress.update(phase=number, spent=0.0)
        budget, losses = phase.minutes * 60, []
        clock = last_save = time.time()
        phase_step = 0
        while progress["spent"] < budget:
            rng = np.random.default_rng([seed, progress["step"], rank])  # a resumed run draws what it would have
            done = progress["spent"] / budget
            warm = min(1.0, (phase_step + 1) / 100)
            lr = warm * (phase.floor + (phase.peak_lr - phase.floor) * 0.5 * (1 + math.cos(math.pi * done)))
            for group in optimizer.param_groups:
                group["lr"] = lr
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(rng, phase)
            loss.backward()
            if world > 1:
                flat = torch.cat([p.grad.view(-1) for p in parameters])
                dist.all_reduce(flat)
                flat.div_(world)
                for p, piece in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
                    p.grad.copy_(piece.view_as(p))
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            decay = min(ema_decay, (progress["step"] + 1) / (progress["step"] + 10))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(modules.parameters()), 1 - decay)
            losses.append(loss.item())
            progress["step"] += 1
            phase_step += 1
            now = time.time()
            spent = torch.tensor([progress["spent"] + now - clock])
            if world > 1:
                dist.broadcast(spent, 0)  # all ranks must leave the loop at the same step
            progress["spent"], clock = spent.item(), now
            if log and progress["step"] % 25 == 0:
                entry = {
                    "phase": phase.name,
                    "step": progress["step"],
                    "loss": round(float(np.mean(losses[-25:])), 4),
                    "lr": round(lr, 6),
                    "spent": round(progress["spent"], 1),
                    "of": budget,
                }
                log.write(json.dumps(entry) + "\n")
                log.flush()
            if rank == 0 and (now - last_save > save_every or progress["spent"] >= budget):
                torch.save(
                    {
                        "modules": _plain(modules),
                        "average": average.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "progress": progress,
                    },
                    state.with_suffix(".tmp"),
                )
                state.with_suffix(".tmp").replace(state)
                torch.save(average.state_dict(), folder / f"{name}_ema.tmp")
                (folder / f"{name}_ema.tmp").replace(folder / f"{name}_ema.pt")
                last_save = clock = time.time()
    if world > 1:
        dist.barrier()


def _plain(modules: nn.Module) -> dict[str, torch.Tensor]:
    return {k.replace("._orig_mod", ""): v for k, v in modules.state_dict().items()}
