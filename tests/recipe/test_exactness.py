"""The recipe's shortcuts are exact."""

import numpy as np
import pytest
import torch

from emogen.training.families.wan import fold_padding
from recipe import base, i2v, vae
from recipe.optim import Optimizers
from recipe.readers import BREAKS, broken
from recipe.world import item_rng


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 5, 13])
def test_full_sequence_equals_the_cached_loop(tiny, frames):
    torch.manual_seed(0)
    model = vae.build(tiny.autoencoder).eval()
    for value in model.parameters():  # no part may be quiet
        value.add_(torch.randn_like(value) * 0.03)
    clip = torch.rand(1, 3, frames, 16, 24) * 2 - 1
    moments = model._encode(clip)
    latent = moments[:, : model.config.z_dim]
    decoded = model.decode(latent).sample
    with vae.full_sequence():
        assert torch.allclose(vae.encode(model, clip), moments, atol=1e-4)
        assert torch.allclose(vae.decode(model, latent).clamp(-1, 1), decoded, atol=1e-4)
    assert torch.equal(model._encode(clip), moments)  # the patch is gone afterwards


def test_images_leave_what_looks_back_in_time_at_zero(tiny):
    """So that the first clip meets the autoencoder of images, and not what was never trained."""
    torch.manual_seed(0)
    model = vae.channels_last(vae.build(tiny.autoencoder))
    optimizers = Optimizers(model, tiny.base.schedule)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(2):
        pixels = torch.rand(2, 3, 1, 32, 32) * 2 - 1
        with vae.full_sequence():
            out = vae.decode(model, vae.encode(model, pixels).chunk(2, dim=1)[0])
        (out - pixels).square().mean().backward()
        optimizers.step(tiny.base.schedule.phases[0], 1.0)
    inside = [(n, v) for n, v in model.state_dict().items() if v.shape[2:] == (3, 3, 3) and "block" in n]
    assert set(optimizers.all) == {"adamw", "muon"} and len(inside) > 8
    for name, value in inside:
        assert not value[:, :, :-1].any() and not torch.equal(value, start[name]), name


@torch.no_grad()
def test_folded_text_equals_padding_to_512(tiny):
    model = base.build(tiny).eval()
    torch.nn.init.normal_(model.proj_out.weight, std=0.1)
    words = torch.randn(2, 9, tiny.text.width)
    latents, times = torch.randn(2, tiny.autoencoder.channels, 3, 4, 4), torch.tensor([300.0, 800.0])
    full = model(latents, times, torch.nn.functional.pad(words, (0, 0, 0, 512 - 9)), return_dict=False)[0]
    fold_padding(model, 512, 13)
    short = model(latents, times, torch.nn.functional.pad(words, (0, 0, 0, 4)), return_dict=False)[0]
    assert full.std() > 0.01 and torch.allclose(full, short, atol=1e-5)


@torch.no_grad()
def test_image_to_video_begins_as_text_to_video_and_merges_into_a_plain_model(tiny):
    text_to_video = base.build(tiny).eval()
    torch.nn.init.normal_(text_to_video.proj_out.weight, std=0.1)
    model = i2v.build_transformer(tiny, text_to_video).eval()
    latents, condition = torch.randn(1, 8, 3, 4, 4), torch.randn(1, 10, 3, 4, 4)
    text, image = torch.randn(1, 512, tiny.text.width), torch.randn(1, 5, tiny.i2v.image_width)
    levels = torch.tensor([500.0])

    def run(transformer):
        return transformer(torch.cat([latents, condition], 1), levels, text, image, return_dict=False)[0]

    alone = text_to_video(latents, levels, text, return_dict=False)[0]
    assert torch.allclose(run(model), alone, atol=1e-5)
    own = [name for name, value in model.named_parameters() if value.requires_grad]
    for name in own:  # as training changes them
        model.get_parameter(name).add_(torch.randn_like(model.get_parameter(name)) * 0.05)
    changed = run(model)
    assert (changed - alone).abs().max() > 0.01
    merged = i2v.merge(model)
    assert torch.allclose(run(merged), changed, atol=1e-4)
    assert not [name for name in merged.state_dict() if "lora" in name]


def test_levels_are_stratified_and_shifted():
    rng = np.random.default_rng(0)
    plain, shifted = (base.noise_levels(rng, 512, s).sort().values for s in (1.0, 3.0))
    assert ((plain > 0) & (plain < 1)).all()
    assert abs(plain.median() - 0.5) < 0.02 and abs(shifted.median() - 0.75) < 0.02
    spread = [base.noise_levels(rng, 64, 2.0).mean().item() for _ in range(20)]
    assert np.std(spread) < 0.01  # independent draws would spread by 0.025


@pytest.mark.parametrize("kind", BREAKS)
def test_every_way_to_break_a_face_changes_it_and_only_moves_what_is_there(kind):
    clip, other = torch.rand(2, 3, 3, 32, 32).sort(-1).values.unbind(0)
    wrong = broken(clip, other, kind, item_rng(0, kind))
    assert wrong.shape == clip.shape and (wrong - clip).abs().max() > 0.05
    assert wrong.min() >= min(clip.min(), other.min()) - 1e-4 and wrong.max() <= max(clip.max(), other.max()) + 1e-4
    assert torch.equal(broken(clip, other, kind, item_rng(0, kind)), wrong)
