"""Muon for the matrices inside the blocks, AdamW for the rest, as one optimizer."""

from __future__ import annotations

import torch
from torch import nn

from recipe.config import Phase, Schedule


class Optimizers:
    """What trains a module: AdamW alone, or Muon for the matrices of its blocks and AdamW for everything else.

    Embeddings, the first and the last projection, norms and biases are no maps between hidden states, and Muon's
    authors advise AdamW for them.
    """

    def __init__(self, module: nn.Module, schedule: Schedule):
        named = [(name, value) for name, value in module.named_parameters() if value.requires_grad]
        self.parameters = [value for _, value in named]
        matrices = [v for n, v in named if schedule.optimizer == "muon" and ".blocks." in f".{n}" and v.ndim == 2]
        chosen = {id(value) for value in matrices}
        rest = [value for value in self.parameters if id(value) not in chosen]
        self._adamw = torch.optim.AdamW(
            rest, lr=1e-3, betas=schedule.betas, weight_decay=schedule.weight_decay, fused=True
        )
        self._muon = torch.optim.Muon(matrices, lr=0.02, weight_decay=schedule.weight_decay) if matrices else None
        self._clip_norm = schedule.clip_norm

    @property
    def all(self) -> dict[str, torch.optim.Optimizer]:
        return {"adamw": self._adamw} | ({"muon": self._muon} if self._muon is not None else {})

    def step(self, phase: Phase, factor: float) -> float:
        """Clip, step and clear the gradients at `factor` times the phase's rates; returns the gradients' norm."""
        norm = nn.utils.clip_grad_norm_(self.parameters, self._clip_norm).item()
        for name, optimizer in self.all.items():
            for group in optimizer.param_groups:
                group["lr"] = factor * (phase.lr if name == "adamw" else phase.muon_lr)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm


def rate_factor(step: int, phase: Phase) -> float:
    """Share of the peak rate at a step (from 0) of a phase: a line up, level, and a line down at the end.

    Unlike half a cosine it is level until the end is near, so that steps may be added to a run.
    """
    if step < phase.warmup:
        return (step + 1) / phase.warmup
    left = phase.steps - step
    length = max(1.0, phase.decay * phase.steps)
    return phase.floor + (1 - phase.floor) * min(1.0, left / length)
