"""Flow matching as Wan was trained: `x_s = (1 - s) x0 + s e`, target `e - x0`, timestep `1000 s`.

The noise level s is drawn continuously (a quantile u through a preset, then shifted), never from an inference
schedule: two schedulers with the same shift and steps hold different sets of levels.

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

    sigma: torch.Tensor
    """[B] noise levels in (0, 1)."""
    drop_text: torch.Tensor
    """[B] bool: the caption becomes the empty prompt."""
    drop_emotion: torch.Tensor
    """[B] bool: the emotion becomes null."""


def generator(*keys: int | str) -> torch.Generator:
    """A CPU generator seeded by a hash of the keys: neighbouring keys give unrelated streams."""
    digest = hashlib.sha256("/".join(map(str, keys)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def sigma_from_quantile(quantile: torch.Tensor, config: ObjectiveConfig) -> torch.Tensor:
    """Map quantiles in (0, 1) to noise levels in (0, 1): the preset's inverse CDF, then
    `s = shift u / (1 + (shift - 1) u)`.

    The logit-normal preset is `u = sigmoid(mean + std z)`, z standard normal (Esser et al., 2024,
    https://arxiv.org/abs/2403.03206); the shift is the one Wan's schedulers apply.
    """
    u = quantile.double()
    if config.timesteps == "logit_normal":
        u = torch.sigmoid(config.logit_mean + config.logit_std * torch.special.ndtri(u))
    return (config.shift * u / (1 + (config.shift - 1) * u)).float().clamp(1e-4, 1 - 1e-4)


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
    joint = chance < config.joint_dropout
    emotion = chance < config.joint_dropout + config.emotion_dropout
    return Draw(sigma_from_quantile(quantile.clamp(1e-6, 1 - 1e-6), config), joint, emotion)


def clip_noise(latents: torch.Tensor, seed: int, positions: list[int], purpose: str = "noise") -> torch.Tensor:
    """Standard normal noise like `latents` [B, C, F, h, w], one stream a clip: row j depends on
    (purpose, seed, positions[j]) alone. Drawn on the CPU so that every device sees the same numbers."""
    rows = [torch.randn(latents.shape[1:], generator=generator(purpose, seed, position)) for position in positions]
    return torch.stack(rows).to(latents.device)


def add_noise(clean: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """`(1 - s) x0 + s e`; clean and noise [B, C, F, h, w], sigma [B]."""
    level = sigma.view(-1, 1, 1, 1, 1)
    return (1 - level) * clean + level * noise


def flow_loss(prediction: torch.Tensor, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Mean squared error to `e - x0` for every clip, [B], in float32."""
    error = prediction.float() - (noise.float() - clean.float())
    return error.square().flatten(1).mean(1)
