"""Flow matching as Wan was trained: `x_s = (1 - s) x0 + s e`, target `e - x0`, timestep `1000 s`.

All randomness of a step is a function of (seed, step) or of (seed, position of the clip in the run), so a
resumed run and a run on another number of processes draw exactly the same numbers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

from emogen.training.config import ObjectiveConfig


@dataclass(frozen=True)
class Draw:
    """What one optimizer step draws for its whole (global) batch of B clips."""

    quantile: torch.Tensor
    """[B] quantiles of the noise levels, in (0, 1)."""
    drop_text: torch.Tensor
    """[B] bool: the caption becomes the empty prompt."""
    drop_emotion: torch.Tensor
    """[B] bool: the emotion becomes null."""


def generator(*keys: int | str) -> torch.Generator:
    """A CPU generator seeded by a hash of the keys: neighbouring keys give unrelated streams."""
    digest = hashlib.sha256("/".join(map(str, keys)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def draw_step(batch: int, seed: int, step: int, config: ObjectiveConfig) -> Draw:
    """The noise levels and dropouts of one step.

    Args:
        batch: clips in the step over all processes and micro-steps.

    Levels are stratified: the batch's quantiles fall one into each of `batch` equal bins, in random order,
    which keeps the marginal distribution and lowers the variance of the loss.
    """
    random = generator("step", seed, step)
    bins = torch.randperm(batch, generator=random)
    quantile = (bins + torch.rand(batch, generator=random, dtype=torch.float64)) / batch
    chance = torch.rand(batch, generator=random)
    both = config.joint_dropout
    no_emotion = both + config.emotion_dropout
    no_text = no_emotion + config.text_dropout
    drop_text = (chance < both) | ((chance >= no_emotion) & (chance < no_text))
    return Draw(quantile, drop_text, chance < no_emotion)


def clip_noise(latents: torch.Tensor, seed: int, positions: list[int], purpose: str = "noise") -> torch.Tensor:
    """Standard normal noise like `latents` [B, C, F, h, w], one stream a clip: row j depends on
    (purpose, seed, positions[j]) alone. Drawn on the CPU so that every device sees the same numbers."""
    rows = [torch.randn(latents.shape[1:], generator=generator(purpose, seed, position)) for position in positions]
    return torch.stack(rows).to(latents.device)


def add_noise(clean: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """`(1 - s) x0 + s e`; clean and noise [B, C, F, h, w], sigma [B]."""
    level = sigma.view(-1, 1, 1, 1, 1)
    return (1 - level) * clean + level * noise


def predicted_clean(noisy: torch.Tensor, prediction: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The clean latent that a velocity implies, `x0 = x_s - s v`; all [B, C, F, h, w], sigma [B]."""
    return noisy.float() - sigma.view(-1, 1, 1, 1, 1) * prediction.float()


def flow_loss(prediction: torch.Tensor, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Mean squared error to `e - x0` for every clip, [B], in float32."""
    error = prediction.float() - (noise.float() - clean.float())
    return error.square().flatten(1).mean(1)
