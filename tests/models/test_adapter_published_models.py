"""The published Wan2.1 models, on the meta device: everything but the numbers."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel, WanVACETransformer3DModel

from emogen.models import EmotionAdapterConfig, attach_emotion_adapter

PUBLISHED = json.loads((Path(__file__).parents[1] / "fixtures" / "wan21_configs.json").read_text())["transformer"]
EXPECTED = {
    "Wan2.1-T2V-1.3B": 51_540_480,
    "Wan2.1-T2V-14B": 214_071_040,
    "Wan2.1-I2V-14B-480P": 214_071_040,
    "Wan2.1-I2V-14B-720P": 214_071_040,
}


def build(name, cls=WanTransformer3DModel, **more):
    with torch.device("meta"):
        return cls(**PUBLISHED["common"], **PUBLISHED[name], **more)


def formula(inner, layers, config: EmotionAdapterConfig, text=4096):
    """Parameters, counted from the equations rather than from the modules."""
    branch = 4 * inner * config.rank + 2 * config.head_dim
    features = 2 + 4 * config.fourier_bands
    tokens = config.num_tokens * text
    encoder = text + 8 * tokens + (features + 1) * config.hidden_dim + (config.hidden_dim + 1) * tokens
    return layers * branch + encoder


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("rank", [128, 256])
def test_parameter_counts(name, rank):
    transformer, config = build(name), EmotionAdapterConfig(rank=rank)
    before = sum(p.numel() for p in transformer.parameters())
    adapter = attach_emotion_adapter(transformer, config)
    sizes = PUBLISHED[name]
    inner = sizes["num_attention_heads"] * PUBLISHED["common"]["attention_head_dim"]
    assert adapter.num_parameters() == formula(inner, sizes["num_layers"], config)
    assert sum(p.numel() for p in transformer.parameters()) == before + adapter.num_parameters()
    if rank == 256:
        assert adapter.num_parameters() == EXPECTED[name]
    assert {p.device.type for p in adapter.trainable_parameters()} == {"meta"}


@pytest.mark.parametrize("name", ["Wan2.1-T2V-1.3B", "Wan2.1-I2V-14B-480P"])
@pytest.mark.parametrize("frames", [0, 1, 21])
def test_a_forward_at_480p_has_the_right_shape(name, frames):
    """81 frames of 480x832; both branches of attention and the whole tail go through."""
    transformer = build(name)
    attach_emotion_adapter(transformer)
    arguments = {
        "hidden_states": torch.empty(1, PUBLISHED[name]["in_channels"], 21, 60, 104, device="meta"),
        "timestep": torch.empty(1, device="meta"),
        "encoder_hidden_states": torch.empty(1, 512 + (4 * frames + 1 if frames else 0), 4096, device="meta"),
    }
    if PUBLISHED[name]["image_dim"]:
        arguments["encoder_hidden_states_image"] = torch.empty(1, 257, 1280, device="meta")
    assert transformer(**arguments).sample.shape == (1, 16, 21, 60, 104)
    arguments["encoder_hidden_states"] = torch.empty(1, 600, 4096, device="meta")
    with pytest.raises(ValueError, match=r"takes 512 .*517 .*597 "):
        transformer(**arguments)


def test_vace_and_a_second_transformer():
    vace = build("Wan2.1-T2V-1.3B", WanVACETransformer3DModel, vace_layers=list(range(0, 30, 2)), vace_in_channels=96)
    adapter = attach_emotion_adapter(vace)
    assert len(adapter.processors["transformer"]) == 30 + 15
    assert adapter.num_parameters() == formula(1536, 45, adapter.config)
    first, second = build("Wan2.1-T2V-14B"), build("Wan2.1-T2V-14B")
    adapter = attach_emotion_adapter(first, transformer_2=second)
    assert adapter.num_parameters() == formula(5120, 80, adapter.config)
