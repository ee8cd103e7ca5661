"""What must not change the base model does not change it by a single bit."""

import copy

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from emogen.models import EmotionAdapterConfig, EmotionTensors, attach_emotion_adapter, detach_emotion_adapter

KINDS = ["t2v", "i2v", "vace"]


@pytest.fixture
def setup(make_transformer, make_inputs, config):
    """Transformer, its arguments and a config, for a kind of Wan."""

    def make(kind):
        length = 512 if kind == "i2v" else 12
        sizes = EmotionAdapterConfig(**{**config.__dict__, "text_length": length})
        return make_transformer(kind), make_inputs(kind, length), sizes

    return make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moving", [False, True])
def test_an_untrained_adapter_adds_nothing(kind, moving, setup, emotions, arcs, run):
    transformer, inputs, config = setup(kind)
    base = run(transformer, inputs)
    attach_emotion_adapter(transformer, config)
    assert torch.equal(run(transformer, inputs, emotion=arcs if moving else emotions), base)
    assert torch.equal(run(transformer, inputs), base)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_adapter_changes_the_output_and_neutral_does_not(kind, setup, trained, emotions, arcs, run):
    transformer, inputs, config = setup(kind)
    base = run(transformer, inputs)
    adapter = trained(transformer, config)
    for feeling in (emotions, arcs):
        moved = run(transformer, inputs, emotion=feeling)
        assert (moved - base).abs().mean() > 0.05 * base.abs().mean()
        none = feeling._replace(intensity=torch.zeros_like(feeling.intensity))
        assert torch.equal(run(transformer, inputs, emotion=none), base)
        adapter.scale = 0
        assert torch.equal(run(transformer, inputs, emotion=feeling), base)
        adapter.scale = 1
        assert torch.equal(run(transformer, inputs, emotion=feeling), moved)
    assert torch.equal(run(transformer, inputs), base)


def test_the_null_tail_is_the_tail_of_intensity_zero(setup, trained, emotions, arcs, run):
    transformer, _, config = setup("t2v")
    adapter = trained(transformer, config)
    for feeling, frames in ((emotions, 1), (arcs, 3)):
        none = feeling._replace(intensity=torch.zeros_like(feeling.intensity))
        assert torch.equal(adapter.tail(none), adapter.encoder.null_tail(2, frames))


def test_one_neutral_clip_beside_another(setup, trained, emotions, run):
    transformer, inputs, config = setup("t2v")
    base = run(transformer, inputs)
    trained(transformer, config)
    mixed = run(transformer, inputs, emotion=emotions._replace(intensity=torch.tensor([0.0, 1.0])))
    assert torch.equal(mixed[0], base[0])
    assert not torch.allclose(mixed[1], base[1], atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("moving", [False, True])
def test_a_neutral_clip_in_an_emotional_batch_at_a_real_text_length(dtype, moving, make_transformer, trained, run):
    """With 512 text tokens, products of other shapes round differently; the neutral clip is still the base's."""
    transformer = make_transformer(num_attention_heads=5, attention_head_dim=64, text_dim=128).to(dtype)
    random = torch.Generator().manual_seed(1)
    inputs = {
        "hidden_states": torch.randn(2, 4, 3, 8, 8, generator=random).to(dtype),
        "encoder_hidden_states": torch.randn(2, 512, 128, generator=random).to(dtype),
        "timestep": torch.tensor([900, 200]),
    }
    base = run(transformer, inputs)
    trained(transformer, EmotionAdapterConfig(rank=64, head_dim=32, hidden_dim=16), dtype=dtype)
    shape = (2, 3) if moving else (2,)
    intensity = torch.tensor([0.0, 1.0]).view(2, *[1] * (len(shape) - 1)).expand(shape)
    distribution = torch.rand(*shape, 8, generator=random).softmax(-1)
    emotion = EmotionTensors(distribution, torch.rand(*shape, 2, generator=random), intensity)
    mixed = run(transformer, inputs, emotion=emotion)
    assert torch.equal(mixed[0], base[0])
    assert (mixed[1] - base[1]).abs().mean() > 1e-2


def test_detach_leaves_the_transformer_as_it_was(setup, trained, run):
    transformer, inputs, config = setup("t2v")
    base, names, attributes = run(transformer, inputs), list(transformer.state_dict()), set(vars(transformer))
    trained(transformer, config)
    assert len(list(transformer.state_dict())) > len(names)
    detach_emotion_adapter(transformer)
    assert list(transformer.state_dict()) == names and set(vars(transformer)) == attributes
    assert all(type(block.attn2.processor) is WanAttnProcessor for block in transformer.blocks)
    assert torch.equal(run(transformer, inputs), base)
    with pytest.raises(ValueError, match="carries no emotion adapter"):
        detach_emotion_adapter(transformer)


def test_a_custom_processor_is_kept_and_called(setup, trained, run, emotions):
    transformer, inputs, config = setup("t2v")

    class Negated:
        def __call__(self, *args):
            return -WanAttnProcessor()(*args)

    for block in transformer.blocks:
        block.attn2.set_processor(Negated())
    base = run(transformer, inputs)
    trained(transformer, config)
    assert torch.equal(run(transformer, inputs), base)
    assert not torch.allclose(run(transformer, inputs, emotion=emotions), base, atol=1e-2)
    detach_emotion_adapter(transformer)
    assert all(isinstance(block.attn2.processor, Negated) for block in transformer.blocks)


def test_the_emotion_argument_and_a_tail_by_hand_agree(setup, trained, emotions, run):
    transformer, inputs, config = setup("t2v")
    adapter = trained(transformer, config)
    automatic = run(transformer, inputs, emotion=emotions)
    tailed = torch.cat([inputs["encoder_hidden_states"], adapter.tail(emotions)], dim=1)
    assert torch.equal(run(transformer, inputs | {"encoder_hidden_states": tailed}), automatic)
    with torch.no_grad():
        positional = transformer(inputs["hidden_states"], inputs["timestep"], tailed, return_dict=False)[0]
    assert torch.equal(positional, automatic)


def test_a_constant_arc_is_the_constant_emotion(setup, trained, emotions, run):
    transformer, inputs, config = setup("t2v")
    trained(transformer, config)
    held = EmotionTensors(*(value.unsqueeze(1).repeat(1, 3, *[1] * (value.ndim - 1)) for value in emotions))
    torch.testing.assert_close(
        run(transformer, inputs, emotion=held),
        run(transformer, inputs, emotion=emotions),
        atol=1e-5,
        rtol=1e-5,
    )


def test_a_deep_copy_is_independent(setup, trained, emotions, run):
    transformer, inputs, config = setup("t2v")
    adapter = trained(transformer, config)
    before = run(transformer, inputs, emotion=emotions)
    twin = copy.deepcopy(transformer)
    adapter.scale = 0.5
    adapter.text_length = 9
    assert torch.equal(run(twin, inputs, emotion=emotions), before)
