import math

import pytest
import torch

from emogen.training.config import ObjectiveConfig
from emogen.training.objective import NoiseLevels, histogram

U = torch.tensor([0.1, 0.5, 0.9])


def levels(height=480, width=832, **settings):
    return NoiseLevels.of(ObjectiveConfig(**settings), height, width)


def test_uniform_and_shift():
    assert torch.allclose(levels(timesteps="uniform").sigma(U), U)
    assert torch.allclose(levels(timesteps="uniform", shift=3.0).sigma(U), 3 * U / (1 + 2 * U))


def test_logit_normal():
    ours = levels(timesteps="logit_normal", logit_mean=0.5, logit_std=1.3).sigma(U)
    expected = torch.sigmoid(0.5 + 1.3 * torch.distributions.Normal(0, 1).icdf(U))
    assert torch.allclose(ours, expected, atol=1e-6)


def test_wan_shifts_by_the_resolution():
    assert levels().shift == pytest.approx(2.0)
    assert levels(720, 1280).shift == pytest.approx(2 * math.sqrt(720 * 1280 / (480 * 832)))
    assert levels(96, 96).shift == 1.0
    assert levels(720, 1280, shift=4.5).shift == 4.5
    assert torch.allclose(levels().sigma(torch.tensor([0.5])), torch.tensor([2 / 3]))


def test_diffsynth_is_its_grid_and_its_bell():
    """The schedule written out: 1000 levels from 1 down, shifted by 5; the weight of timestep t is
    exp(-2 ((t - 500) / 1000) ** 2) minus the smallest of these, times 1000 over their sum."""
    preset = levels(timesteps="diffsynth")
    grid = [5 * (1 - i / 1000) / (1 + 4 * (1 - i / 1000)) for i in range(1000)]
    bell = [math.exp(-2 * ((1000 * s - 500) / 1000) ** 2) for s in grid]
    weights = [(y - min(bell)) * 1000 / (sum(bell) - 1000 * min(bell)) for y in bell]
    rows = [0, 17, 400, 833, 999]
    quantiles = torch.tensor([(row + 0.5) / 1000 for row in rows], dtype=torch.float64)
    sigma = preset.sigma(quantiles)
    assert sigma.tolist() == pytest.approx([grid[row] for row in rows], rel=1e-6)
    assert preset.weight(sigma).tolist() == pytest.approx([weights[row] for row in rows], rel=1e-4, abs=1e-9)
    everything = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    assert preset.weight(preset.sigma(everything)).mean().item() == pytest.approx(1.0, rel=1e-3)


def test_other_presets_weigh_evenly():
    assert torch.equal(levels().weight(U), torch.ones(3))


def test_the_histogram_is_of_the_levels():
    assert histogram(levels(timesteps="uniform"), bins=4) == pytest.approx([0.25] * 4, abs=0.01)
    assert sum(histogram(levels())) == pytest.approx(1.0)
    assert histogram(levels(shift=6.0))[-1] > histogram(levels(shift=1.0))[-1]
