import pytest
import torch

from emogen.training.config import ObjectiveConfig
from emogen.training.objective import add_noise, clip_noise, draw_step, flow_loss, predicted_clean


def test_levels_are_stratified():
    quantile = draw_step(16, seed=3, step=7, config=ObjectiveConfig()).quantile
    assert torch.equal((quantile.sort().values * 16).floor(), torch.arange(16.0).double())
    assert not torch.equal(quantile, quantile.sort().values)


def test_a_step_is_a_function_of_seed_and_step():
    config = ObjectiveConfig()
    one, same = draw_step(8, 0, 5, config), draw_step(8, 0, 5, config)
    assert torch.equal(one.quantile, same.quantile) and torch.equal(one.drop_text, same.drop_text)
    assert not torch.equal(one.quantile, draw_step(8, 0, 6, config).quantile)
    assert not torch.equal(one.quantile, draw_step(8, 1, 5, config).quantile)


def test_dropouts_have_the_stated_rates_and_exclude_each_other():
    config = ObjectiveConfig(text_dropout=0.15, emotion_dropout=0.2, joint_dropout=0.1)
    draws = [draw_step(50, 0, step, config) for step in range(100)]
    text = torch.cat([draw.drop_text for draw in draws])
    emotion = torch.cat([draw.drop_emotion for draw in draws])
    assert (text & emotion).float().mean().item() == pytest.approx(0.1, abs=0.015)
    assert (text & ~emotion).float().mean().item() == pytest.approx(0.15, abs=0.02)
    assert (emotion & ~text).float().mean().item() == pytest.approx(0.2, abs=0.02)


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


def test_the_clean_latent_follows_from_the_velocity():
    clean, noise, sigma = torch.randn(2, 4, 2, 4, 4), torch.randn(2, 4, 2, 4, 4), torch.tensor([0.3, 0.9])
    noisy = add_noise(clean, noise, sigma)
    assert torch.allclose(predicted_clean(noisy, noise - clean, sigma), clean, atol=1e-5)
