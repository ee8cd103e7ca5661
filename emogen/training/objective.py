"""The objective of a step: its noise levels, its draws, its loss, and the mean losses of many steps.

Flow matching as Wan was trained: `x_s = (1 - s) x0 + s e`, target `e - x0`, timestep `1000 s`.

All randomness of a step is a function of (seed, step) or of (seed, position of the clip in the run), so a resumed run
and a run on another number of processes draw exactly the same numbers.

A quantile u in (0, 1) becomes a level s in (0, 1): a preset's inverse distribution function, then
`s = shift u / (1 + (shift - 1) u)`, the shift of Wan's schedulers. Levels are continuous and never indexed from an
inference schedule, but for "diffsynth", which exists to repeat that framework's grid.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator

from emogen.files import fingerprint_bytes
from emogen.training.config import ObjectiveConfig

_PIXELS_480P = 480 * 832
_WAN_SHIFT_480P = 2.0
_DIFFSYNTH_SHIFT = 5.0
_GRID = 1000


@dataclass(frozen=True)
class Draw:
    """What one optimizer step draws for its whole (global) batch of B clips."""

    quantile: torch.Tensor
    """[B] quantiles of the noise levels, in (0, 1)."""
    drop_text: torch.Tensor
    """[B] bool: the caption becomes the empty prompt."""
    drop_emotion: torch.Tensor
    """[B] bool: the emotion becomes null."""
    give_frame: torch.Tensor
    """[B] bool: the first latent frame is given, to a model that can be given it."""


def generator(*keys: int | str) -> torch.Generator:
    """A CPU generator seeded by a hash of the keys: neighbouring keys give unrelated streams."""
    seed = int(fingerprint_bytes("/".join(map(str, keys)).encode())[:16], 16)
    return torch.Generator().manual_seed(seed >> 1)


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
    give_frame = torch.rand(batch, generator=random) < config.first_frame
    return Draw(quantile, drop_text, chance < no_emotion, give_frame)


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


def flow_loss(
    prediction: torch.Tensor, clean: torch.Tensor, noise: torch.Tensor, given: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean squared error to `e - x0` for every clip, [B], in float32; of the clips whose first latent frame is `given`
    [B], over the other frames."""
    error = (prediction.float() - (noise.float() - clean.float())).square()
    if given is None:
        return error.flatten(1).mean(1)
    frames = error.mean(dim=(1, 3, 4))
    counts = torch.ones_like(frames)
    counts[:, 0] = counts[:, 0].masked_fill(given, 0.0)
    return (frames * counts).sum(1) / counts.sum(1)


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

    def within(self, quantile: torch.Tensor, lowest: float, highest: float) -> torch.Tensor:
        """Quantiles in (0, 1) of the levels from `lowest` to `highest` -> their quantiles among all levels."""
        if (lowest, highest) == (0.0, 1.0):
            return quantile
        start, end = sorted((self._below(lowest), self._below(highest)))
        return start + quantile * (end - start)

    def _below(self, level: float) -> float:
        """The quantile at which a level lies."""
        if self.preset == "diffsynth":  # the grid goes from high noise to low
            return (_diffsynth_grid(self.shift)[0] >= level).sum().item() / _GRID
        u = torch.tensor(level, dtype=torch.float64)
        u = u / (self.shift - (self.shift - 1) * u)
        if self.preset in ("wan", "logit_normal"):
            u = torch.special.ndtr((torch.logit(u) - self.mean) / self.std)
        return u.item()

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


LEVEL_BINS = 5


class LossMeter:
    """Losses between two lines of the log: sums over the clips since the last reading, over all processes, on the
    whole, by emotion and by noise level.

    Args:
        labels: every label a clip can carry.
    """

    def __init__(self, labels: Sequence[str], accelerator: Accelerator):
        self._labels = {label: row for row, label in enumerate(labels)}
        self._accelerator = accelerator
        self._sums = torch.zeros(len(labels) + LEVEL_BINS, 2, dtype=torch.float64)

    def add(self, losses: Sequence[float], labels: Sequence[str], quantiles: torch.Tensor) -> None:
        """`losses` of B clips, unweighted; `quantiles` [B] of their noise levels, in (0, 1)."""
        values = torch.tensor(losses, dtype=torch.float64)
        bins = (quantiles.double().cpu() * LEVEL_BINS).long().clamp(0, LEVEL_BINS - 1) + len(self._labels)
        for rows in (torch.tensor([self._labels[label] for label in labels]), bins):
            self._sums[:, 0].index_add_(0, rows, values)
            self._sums[:, 1].index_add_(0, rows, torch.ones_like(values))

    def read(self) -> dict[str, float]:
        """`loss`, `loss/<label>` and `loss/quantile/<middle>` of what was seen, and start anew. All processes must
        call it."""
        sums = self._accelerator.reduce(self._sums.float().to(self._accelerator.device), "sum").cpu().double()
        self._sums.zero_()
        count = len(self._labels)
        found = {"loss": (sums[:count, 0].sum() / sums[:count, 1].sum()).item()}
        for label, row in self._labels.items():
            if sums[row, 1] > 0:
                found[f"loss/{label}"] = (sums[row, 0] / sums[row, 1]).item()
        for column in range(LEVEL_BINS):
            if sums[count + column, 1] > 0:
                middle = (column + 0.5) / LEVEL_BINS
                found[f"loss/quantile/{middle:g}"] = (sums[count + column, 0] / sums[count + column, 1]).item()
        return found
