"""Which noise levels a run trains on, and how much each counts: the named presets.

A quantile u in (0, 1), drawn elsewhere, becomes a level s in (0, 1): a preset's inverse distribution function, then
`s = shift u / (1 + (shift - 1) u)`, the shift of Wan's schedulers. Levels are continuous and never indexed from an
inference schedule, but for "diffsynth", which exists to repeat that framework's grid.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch

from emogen.training.config import ObjectiveConfig

_PIXELS_480P = 480 * 832
_WAN_SHIFT_480P = 2.0
_DIFFSYNTH_SHIFT = 5.0
_GRID = 1000


@dataclass(frozen=True)
class NoiseLevels:
    """The levels of one size of clips.

    Attributes:
        preset: "wan" and "logit_normal": `u = sigmoid(mean + std z)`, z standard normal (Esser et al. 2024,
            https://arxiv.org/abs/2403.03206, section 3.1). "uniform": u as it is. "diffsynth": uniform over
            DiffSynth-Studio's 1000 training timesteps, with its bell-shaped weight.
        shift: above 1 favours high noise.
        mean, std: of the logit-normal presets.
    """

    preset: str
    shift: float
    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def of(cls, config: ObjectiveConfig, height: int, width: int) -> NoiseLevels:
        """The levels for clips of this size in pixels.

        Where the configuration names no shift: "wan" takes 2 at 480x832, what Wan's authors advise for training at
        480p, and in proportion to the square root of the number of pixels elsewhere (Esser et al. 2024, equation 23),
        but not below 1; "diffsynth" takes 5; the others take 1.
        """
        shift = config.shift
        if shift is None:
            wan = max(1.0, _WAN_SHIFT_480P * math.sqrt(height * width / _PIXELS_480P))
            shift = {"wan": wan, "diffsynth": _DIFFSYNTH_SHIFT}.get(config.timesteps, 1.0)
        return cls(config.timesteps, shift, config.logit_mean, config.logit_std)

    def sigma(self, quantile: torch.Tensor) -> torch.Tensor:
        """Levels in (0, 1) for quantiles in (0, 1), of the same shape; float32."""
        u = quantile.double().clamp(1e-6, 1 - 1e-6)
        if self.preset == "diffsynth":
            grid, _ = _diffsynth_grid(self.shift)
            return grid[(u * _GRID).long().clamp_max(_GRID - 1)].float()
        if self.preset in ("wan", "logit_normal"):
            u = torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))
        return _shifted(u, self.shift).float().clamp(1e-4, 1 - 1e-4)

    def weight(self, sigma: torch.Tensor) -> torch.Tensor:
        """How much the loss at each level counts; float32, mean 1 over the preset's levels."""
        if self.preset != "diffsynth":
            return torch.ones_like(sigma)
        grid, weights = _diffsynth_grid(self.shift)
        nearest = (grid.flip(0).contiguous(), weights.flip(0))  # ascending
        rows = torch.searchsorted(nearest[0], sigma.double().cpu() - 1e-7).clamp_max(_GRID - 1)
        return nearest[1][rows].to(sigma)


def _shifted(u: torch.Tensor, shift: float) -> torch.Tensor:
    return shift * u / (1 + (shift - 1) * u)


@functools.cache
def _diffsynth_grid(shift: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Levels and weights of DiffSynth-Studio's Wan training schedule, from high noise to low: 1000 levels
    `1, 0.999 ... 0.001`, shifted; weight `exp(-2 ((t - 500) / 1000)^2)` of the timestep t = 1000 s, lowered so that
    the least is 0 and scaled to a mean of 1."""
    levels = _shifted(torch.arange(_GRID, 0, -1, dtype=torch.float64) / _GRID, shift)
    bell = torch.exp(-2 * (levels - 0.5).square())
    bell = bell - bell.min()
    return levels, bell * (_GRID / bell.sum())


def histogram(levels: NoiseLevels, bins: int = 10, draws: int = 10_000) -> list[float]:
    """The share of training that each of `bins` equal parts of (0, 1) gets, from low noise to high."""
    quantiles = (torch.arange(draws, dtype=torch.float64) + 0.5) / draws
    counts = torch.histc(levels.sigma(quantiles), bins=bins, min=0.0, max=1.0)
    return (counts / draws).tolist()
