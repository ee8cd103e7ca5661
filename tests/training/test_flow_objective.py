import pytest
import torch

from emogen.training.config import ObjectiveConfig
from emogen.training.objective import add_noise, clip_noise, draw_step, flow_loss, sigma_from_quantile


def test_shift_and_presets():
    u = torch.tensor([0.1, 0.5, 0.9])
    uniform = ObjectiveConfig(timesteps="uniform", shift=1.0)
    assert torch.allclose(sigma_from_quantile(u, uniform), u)
    shifted = ObjectiveConfig(timesteps="uniform", shift=3.0)
    assert torch.allclose(sigma_from_quantile(u, shifted), 3 * u / (1 + 2 * u))
    normal = ObjectiveConfig(timesteps="logit_normal", shift=1.0, logit_mean=0.5, logit_std=1.3)
    expected = torch.sigmoid(0.5 + 1.3 * torch.distributions.Normal(0, 1).icdf(u))
    assert torch.allclose(sigma_from_quantile(u, normal), expected, atol=1e-6)


def test_levels_are_stratified():
    config = ObjectiveConfig(timesteps="uniform", shift=1.0)
    sigma = draw_step(16, seed=3, step=7, config=config).sigma
    assert torch.equal((sigma.sort().values * 16).floor(), torch.arange(16.0))
    assert not torch.equal(sigma, sigma.sort().values)


def test_levels_have_the_stated_distribution():
    config = ObjectiveConfig(shift=2.0)
    sigma = torch.cat([draw_step(32, 0, step, config).sigma for step in range(64)])
    u = sigma / (2 - sigma)  # undo the shift
    z = torch.logit(u)
    assert z.mean().abs() < 0.03 and (z.std() - 1).abs() < 0.05


def test_a_step_is_a_function_of_seed_and_step():
    config = ObjectiveConfig()
    one, same = draw_step(8, 0, 5, config), draw_step(8, 0, 5, config)
    assert torch.equal(one.sigma, same.sigma) and torch.equal(one.drop_text, same.drop_text)
    assert not torch.equal(one.sigma, draw_step(8, 0, 6, config).sigma)
    assert not torch.equal(one.sigma, draw_step(8, 1, 5, config).sigma)


def test_dropouts_have_the_stated_rates_and_nest():
    config = ObjectiveConfig(emotion_dropout=0.2, joint_dropout=0.1)
    draws = [draw_step(50, 0, step, config) for step in range(100)]
    text = torch.cat([draw.drop_text for draw in draws])
    emotion = torch.cat([draw.drop_emotion for draw in draws])
    assert text.float().mean().item() == pytest.approx(0.1, abs=0.015)
    assert emotion.float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert bool((emotion | ~text).all())  # no text without emotion dropped too


def test_noise_belongs_to_the_position_not_the_batch():
    latents = torch.zeros(3, 4, 2, 4, 4)
    together = clip_noise(latents, 0, [5, 6, 7])
    alone = clip_noise(latents[:1], 0, [6])
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(alone, clip_noise(latents[:1], 0, [6], purpose="val"))


def test_the_target_is_the_velocity_of_the_path():
    clean, noise = torch.randn(2, 4, 2, 4, 4), torch.randn(2, 4, 2, 4, 4)
    early, late = torch.tensor([0.25, 0.5]), torch.tensor([0.75, 0.6])
    gap = (late - early).view(-1, 1, 1, 1, 1)
    velocity = (add_noise(clean, noise, late) - add_noise(clean, noise, early)) / gap
    assert flow_loss(velocity, clean, noise).max() < 1e-10
    assert torch.allclose(flow_loss(velocity + 2, clean, noise), torch.tensor([4.0, 4.0]), atol=1e-4)
