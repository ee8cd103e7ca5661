"""Muon for the matrices and convolutions inside the blocks, AdamW for the rest, as one optimizer."""

from __future__ import annotations

import re

import torch
import torch.distributed as dist
from torch import nn

from recipe.config import Phase, Schedule

_INSIDE = re.compile(r"(^|\.)(blocks|\w+_blocks?)\.")
"""Names inside a transformer's or an autoencoder's blocks."""


class Optimizers:
    """What trains a module: AdamW alone, or Muon for what is inside its blocks and AdamW for everything else.

    Embeddings, the first and the last projection, norms and biases are no maps between hidden states, and Muon's
    authors advise AdamW for them. Muon sees a convolution as the matrix `[out, in x kernel]`. Processes that share a
    training divide Muon's matrices among them, for making one orthogonal costs as much as many clips do.
    """

    def __init__(self, module: nn.Module, schedule: Schedule):
        named = [(name, value) for name, value in module.named_parameters() if value.requires_grad]
        self.parameters = [value for _, value in named]
        muon = schedule.optimizer == "muon"
        self._mapping = [v for n, v in named if muon and _INSIDE.search(n) and v.numel() > v.shape[0]]
        self._matrices = [nn.Parameter(_as_matrix(value)) for value in self._mapping]
        self._world, self._rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
        chosen = {id(value) for value in self._mapping}
        rest = [value for value in self.parameters if id(value) not in chosen]
        decay = schedule.weight_decay
        self._adamw = torch.optim.AdamW(rest, lr=1e-3, betas=schedule.betas, weight_decay=decay, fused=True)
        self._muon = torch.optim.Muon(self._matrices, lr=0.02, weight_decay=decay) if self._matrices else None
        self._clip_norm = schedule.clip_norm

    @property
    def all(self) -> dict[str, torch.optim.Optimizer]:
        return {"adamw": self._adamw} | ({"muon": self._muon} if self._muon is not None else {})

    def step(self, phase: Phase, factor: float) -> float:
        """Clip, step and clear the gradients at `factor` times the phase's rates; returns the gradients' norm."""
        norm = nn.utils.clip_grad_norm_(self.parameters, self._clip_norm).item()
        for index, (parameter, matrix) in enumerate(zip(self._mapping, self._matrices, strict=True)):
            if parameter.grad is not None and index % self._world == self._rank:
                matrix.grad = _as_matrix(parameter.grad, like=parameter)
            parameter.grad = None
        for name, optimizer in self.all.items():
            for group in optimizer.param_groups:
                group["lr"] = factor * (phase.lr if name == "adamw" else phase.muon_lr)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._spread([matrix.detach() for matrix in self._matrices])
        return norm

    def gather(self) -> None:
        """Bring Muon's momenta from the processes that keep them to all, before one writes a checkpoint."""
        if self._world > 1 and self._muon is not None:
            states = [self._muon.state[matrix] for matrix in self._matrices]
            for state, matrix in zip(states, self._matrices, strict=True):
                state.setdefault("momentum_buffer", torch.zeros_like(matrix))
            self._spread([state["momentum_buffer"] for state in states])

    def _spread(self, values: list[torch.Tensor]) -> None:
        """Give everyone each process's share of `values`, in place."""
        for source in range(self._world if self._world > 1 else 0):
            own = values[source :: self._world]
            if own:
                flat = torch.cat([value.reshape(-1) for value in own])
                dist.broadcast(flat, source)
                for value, piece in zip(own, flat.split([v.numel() for v in own]), strict=True):
                    value.copy_(piece.view_as(value))


def _as_matrix(value: torch.Tensor, like: torch.Tensor | None = None) -> torch.Tensor:
    """`[out, the rest]`: of a parameter a view, in the order in which it lies in memory; of its gradient as that."""
    if (value if like is None else like).is_contiguous():
        return value.detach().flatten(1)
    matrix = value.detach().movedim(1, -1).flatten(1)  # channels last
    if like is None and matrix.data_ptr() != value.data_ptr():
        raise ValueError(f"weights of shape {tuple(value.shape)} lie neither in rows nor channels last")
    return matrix


def rate_factor(step: int, phase: Phase) -> float:
    """Share of the peak rate at a step (from 0) of a phase: a line up, level, and a line down at the end.

    Unlike half a cosine it is level until the end is near, so that steps may be added to a run.
    """
    if step < phase.warmup:
        return (step + 1) / phase.warmup
    left = phase.steps - step
    length = max(1.0, phase.decay * phase.steps)
    return phase.floor + (1 - phase.floor) * min(1.0, left / length)
