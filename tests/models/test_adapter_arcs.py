"""Emotions that change over the clip."""

import pytest
import torch
from torch.nn import functional

from emogen.models import latent_frame_count, latent_frame_times


def masked_branch(processor, hidden, delta, frames):
    """The emotion branch over all frames at once, under a block-diagonal mask."""
    heads = processor.heads
    query = processor.norm_q(processor.emo_q(hidden).unflatten(2, (heads, -1))).transpose(1, 2)
    key = processor.norm_k(processor.emo_k(delta).unflatten(2, (heads, -1))).transpose(1, 2)
    value = processor.emo_v(delta).unflatten(2, (heads, -1)).transpose(1, 2)
    of_query = torch.arange(hidden.shape[1]) // (hidden.shape[1] // frames)
    of_key = torch.arange(delta.shape[1]) // (delta.shape[1] // frames)
    mask = of_query[:, None] == of_key[None, :]
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return processor.emo_o(out.transpose(1, 2).flatten(2))


def test_folding_frames_is_a_block_diagonal_mask(make_transformer, trained):
    processor = trained(make_transformer()).processors["transformer"]["blocks.0.attn2"]
    hidden, delta = torch.randn(2, 3 * 16, 64), torch.randn(2, 3 * 4, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            processor.branch(hidden, delta, 3),
            masked_branch(processor, hidden, delta, 3),
            atol=1e-5,
            rtol=1e-4,
        )


def test_each_frame_sees_its_own_emotion(make_transformer, trained):
    """Changing the emotion of latent frame 1 changes the branch on frame 1 alone."""
    processor = trained(make_transformer()).processors["transformer"]["blocks.0.attn2"]
    hidden, delta = torch.randn(1, 3 * 16, 64), torch.randn(1, 3 * 4, 64)
    changed = delta.clone()
    changed[:, 4:8] += 1
    with torch.no_grad():
        difference = processor.branch(hidden, changed, 3) - processor.branch(hidden, delta, 3)
    difference = difference.unflatten(1, (3, 16)).abs().amax((0, 2, 3))
    assert difference[0] == 0 and difference[1] > 1e-3 and difference[2] == 0


def test_latent_frames_as_wan_counts_them():
    assert [latent_frame_count(n) for n in (1, 4, 5, 80, 81)] == [1, 2, 2, 21, 21]


def test_a_latent_frame_stands_for_the_middle_of_its_video_frames():
    times = latent_frame_times(21)
    assert times[0] == 0 and len(times) == 21
    assert times[1] * 80 == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert times[20] * 80 == pytest.approx((77 + 78 + 79 + 80) / 4)
    assert latent_frame_times(1) == [0.0]


def test_arcs_refuse_context_parallelism(make_transformer, make_inputs, trained, arcs, emotions, run):
    transformer = make_transformer()
    for processor in trained(transformer).processors["transformer"].values():
        processor._parallel_config = object()
    run(transformer, make_inputs(), emotion=emotions)
    with pytest.raises(NotImplementedError, match="context parallelism"):
        run(transformer, make_inputs(), emotion=arcs)
