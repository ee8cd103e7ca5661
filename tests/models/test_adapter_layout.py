"""Sequences of the wrong length, and processors that went missing, are refused in words."""

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from emogen.models import EmotionAdapterConfig, TailLayout, attach_emotion_adapter


@pytest.mark.parametrize("length", [11, 13, 16, 18, 24, 26])
def test_wrong_lengths_are_refused(length, make_transformer, make_inputs, trained, run):
    """Allowed are 12 (text), 17 (one emotion) and 25 (three latent frames)."""
    transformer = make_transformer()
    trained(transformer)
    with pytest.raises(ValueError, match=rf"given {length} tokens.*takes 12 .*17 .*25 "):
        run(transformer, make_inputs(text_length=length))


def test_text_length_can_be_changed(make_transformer, make_inputs, trained, emotions, run):
    transformer = make_transformer()
    base = run(transformer, make_inputs(text_length=9))
    adapter = trained(transformer)
    adapter.text_length = 9
    assert torch.equal(run(transformer, make_inputs(text_length=9)), base)
    run(transformer, make_inputs(text_length=9), emotion=emotions)


def test_image_models_have_a_fixed_text_length(make_transformer, config, trained):
    transformer = make_transformer("i2v")
    with pytest.raises(ValueError, match="take 512 text tokens, not 12"):
        attach_emotion_adapter(transformer, config)
    assert not hasattr(transformer, "_emotion_link")
    adapter = attach_emotion_adapter(transformer, EmotionAdapterConfig(rank=64))
    with pytest.raises(ValueError, match="take 512 text tokens, not 100"):
        adapter.text_length = 100


def test_layout_adds_up():
    assert TailLayout(4, 0, 512, 257).total_length == 769
    assert TailLayout(4, 1, 512).total_length == 517
    assert TailLayout(4, 21, 512).tail_length == 85


def test_processors_that_were_replaced_are_missed_and_restored(make_transformer, make_inputs, trained, emotions, run):
    transformer = make_transformer()
    base = run(transformer, make_inputs())
    adapter = trained(transformer)
    moved = run(transformer, make_inputs(), emotion=emotions)
    transformer.set_attn_processor(WanAttnProcessor())
    assert torch.equal(run(transformer, make_inputs()), base)
    with pytest.raises(RuntimeError, match=r"set_attn_processor replaces them.*restore_processors"):
        run(transformer, make_inputs(), emotion=emotions)
    adapter.restore_processors()
    assert torch.equal(run(transformer, make_inputs(), emotion=emotions), moved)


def test_another_layout_between_a_checkpointed_forward_and_its_backward_is_an_error(
    make_transformer, make_inputs, trained, emotions, arcs, run
):
    """Recomputation would silently read the wrong tokens."""
    transformer = make_transformer().train()
    trained(transformer)
    transformer.enable_gradient_checkpointing()
    out = transformer(**make_inputs(), emotion=emotions).sample
    run(transformer, make_inputs(), emotion=arcs)
    with pytest.raises(ValueError, match="come between a checkpointed forward and its backward"):
        out.sum().backward()


def test_first_and_last_frame_models(make_transformer, make_inputs, trained, emotions, run):
    """With a position embedding two images become one sequence."""
    transformer = make_transformer("i2v", pos_embed_seq_len=10)
    inputs = make_inputs("i2v", 512)
    inputs["encoder_hidden_states_image"] = torch.randn(4, 5, 24)
    base = run(transformer, inputs)
    trained(transformer, EmotionAdapterConfig(rank=64, head_dim=32, hidden_dim=16))
    assert torch.equal(run(transformer, inputs), base)
    assert not torch.equal(run(transformer, inputs, emotion=emotions), base)


def test_a_second_adapter_is_refused(make_transformer, config):
    transformer = make_transformer()
    attach_emotion_adapter(transformer, config)
    with pytest.raises(RuntimeError, match="carries an emotion adapter already"):
        attach_emotion_adapter(transformer, config)


def test_only_wan_transformers(config):
    with pytest.raises(TypeError, match="fits Wan transformers, not Linear"):
        attach_emotion_adapter(torch.nn.Linear(2, 2), config)
