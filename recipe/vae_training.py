"""Train the autoencoder: images first, then clips."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from torch import nn

from recipe import vae as wan
from recipe.config import Autoencoder, Phase
from recipe.store import Store

HELD_OUT = 8
"""Clips a figure that are looked at while it trains."""


def reconstruction_loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1, heavier where the picture has detail (eyes and mouths are few pixels), plus squares, gradients and motion.

    Args:
        out, target: `[B, 3, F, H, W]` in [-1, 1].
    """
    b, c, t, h, w = target.shape
    flat = target.transpose(1, 2).reshape(b * t, c, h, w)
    detail = (flat - F.avg_pool2d(flat, 5, 1, 2)).abs().mean(1, keepdim=True)
    weight = (1 + 6 * detail).view(b, t, 1, h, w).transpose(1, 2)
    loss = ((out - target).abs() * weight).mean() + 2 * (out - target).square().mean()
    for axis in (3, 4):
        loss = loss + 0.5 * (out.diff(dim=axis) - target.diff(dim=axis)).abs().mean()
    if t > 1:
        loss = loss + 0.25 * (out.diff(dim=2) - target.diff(dim=2)).abs().mean()
    return loss


class AutoencoderTask:
    """See `recipe.loop.Task`.

    Args:
        stores: pixels, and how often each is drawn from.
        held_out: name -> uint8 clips `[N, F, H, W, 3]`, for PSNR.
    """

    def __init__(self, config: Autoencoder, stores: list[tuple[Store, float]], held_out: dict[str, np.ndarray]):
        self.vae = wan.channels_last(wan.build(config))
        self.modules = nn.ModuleDict({"vae": self.vae})
        self._kl, self._stores, self._held_out = config.kl, [s for s, _ in stores], held_out
        self._weights = np.array([weight for _, weight in stores]) / sum(weight for _, weight in stores)

    def loss(self, rng: np.random.Generator, phase: Phase) -> torch.Tensor:
        target = wan.to_pixels(self._batch(rng, phase))
        with wan.full_sequence():
            mean, log_variance = wan.encode(self.vae, target).float().chunk(2, dim=1)
            log_variance = log_variance.clamp(-12, 4)
            latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            out = wan.decode(self.vae, latent).float()
        kl = 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance).mean()
        return reconstruction_loss(out, target) + self._kl * kl

    def held_out(self, average: nn.ModuleDict) -> dict[str, float]:
        return {f"dB {name}": psnr(average["vae"], clips) for name, clips in self._held_out.items()}

    def _batch(self, rng: np.random.Generator, phase: Phase) -> np.ndarray:
        picked = []
        for which in rng.choice(len(self._stores), phase.batch, p=self._weights):
            store = self._stores[which]
            clip = store.read("clips", rng.integers(len(store)))
            length = phase.frames or len(clip)
            start = rng.integers(len(clip) - length + 1)
            piece = clip[start : start + length]
            if phase.crop:
                y, x = rng.integers(clip.shape[1] - phase.crop + 1, size=2)
                piece = piece[:, y : y + phase.crop, x : x + phase.crop]
            picked.append(piece[:, :, ::-1] if rng.random() < 0.3 else piece)
        return np.stack(picked)


@torch.no_grad()
def psnr(vae: AutoencoderKLWan, clips: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of reconstructions by the posterior mean, from the mean error of all clips."""
    error = 0.0
    for start in range(0, len(clips), HELD_OUT):
        target = wan.to_pixels(clips[start : start + HELD_OUT])
        with wan.full_sequence(), torch.autocast("cpu", torch.bfloat16):
            out = wan.decode(vae, wan.encode(vae, target).chunk(2, dim=1)[0]).float()
        error += (out.clamp(-1, 1) - target).square().mean().item() * len(target)
    return 10 * math.log10(4 / (error / len(clips)))


@torch.no_grad()
def calibrate(vae: AutoencoderKLWan, clips: np.ndarray) -> None:
    """Measure the latents' mean and standard deviation a channel and write them into the config."""
    with wan.full_sequence(), torch.autocast("cpu", torch.bfloat16):
        parts = [wan.encode(vae, wan.to_pixels(clips[k : k + 8])).float().chunk(2, dim=1)[0]
                 for k in range(0, len(clips), 8)]  # fmt: skip
    mean = torch.cat(parts)
    vae.register_to_config(
        latents_mean=[round(v, 4) for v in mean.mean(dim=(0, 2, 3, 4)).tolist()],
        latents_std=[round(v, 4) for v in mean.std(dim=(0, 2, 3, 4)).tolist()],
    )
