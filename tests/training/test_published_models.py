"""The published Wan models as training sees them, from their configurations alone."""

import json

import pytest
from parts import PUBLISHED, PUBLISHED_MODELS, published_config

from emogen.training.families import ModelFolderError, family_of
from emogen.training.memory.footprint import Setup
from emogen.training.memory.forecast import forecast

TRAINED = [name for name in PUBLISHED_MODELS if name.startswith(("Wan2.1-T2V", "Wan2.1-I2V"))]
WAN22 = {  # kind, latent channels, pixels a latent, tokens of a clip, what each transformer denoises
    "Wan2.2-T2V-A14B": ("t2v", 16, 8, 32_760, [("transformer", 0.875, 1.0), ("transformer_2", 0.0, 0.875)]),
    "Wan2.2-I2V-A14B": ("i2v", 16, 8, 32_760, [("transformer", 0.9, 1.0), ("transformer_2", 0.0, 0.9)]),
    "Wan2.2-TI2V-5B": ("t2v", 48, 16, 8_190, [("transformer", 0.0, 1.0)]),
}
REFUSED = {
    "Wan2.1-FLF2V-14B-720P": r"first and a last frame \(FLF2V\), which is not trained here",
    "Wan2.1-VACE-1.3B": "WanVACETransformer3DModel",
    "Wan2.1-VACE-14B": "WanVACETransformer3DModel",
}


@pytest.fixture
def published_folder(tmp_path):
    """A folder of a published model with its configurations and no weights."""

    def make(name):
        about = PUBLISHED["pipeline"][name]
        parts = {"transformer": published_config(name), "vae": PUBLISHED["vae"][about["vae"]]}
        if about["transformers"] == 2:
            parts["transformer_2"] = parts["transformer"]
        for part, config in parts.items():
            (tmp_path / part).mkdir()
            (tmp_path / part / "config.json").write_text(json.dumps(config))
        for part in ("text_encoder", "tokenizer", "scheduler", "image_encoder", "image_processor"):
            (tmp_path / part).mkdir()
        index = {"_class_name": about["pipeline"], "scheduler": ["diffusers", "UniPCMultistepScheduler"]}
        index |= {"boundary_ratio": about["boundary_ratio"], "expand_timesteps": about["expand_timesteps"]}
        (tmp_path / "model_index.json").write_text(json.dumps(index))
        return tmp_path

    return make


@pytest.mark.parametrize("name", TRAINED)
def test_a_family_reads_them(name, published_folder):
    family = family_of(published_folder(name))
    image = "I2V" in name
    assert (family.kind, family.channels, family.condition_channels) == (("i2v", 16, 20) if image else ("t2v", 16, 0))
    assert (family.image_tokens, family.image_dim) == ((257, 1280) if image else (0, 0))
    assert (family.spatial, family.temporal, family.text_dim) == (8, 4, 4096)
    assert family.tokens(81, 480, 832) == 32_760 and family.latent_size(81, 480, 832) == (21, 60, 104)


@pytest.mark.parametrize("name", WAN22)
def test_a_family_reads_those_of_wan22(name, published_folder):
    kind, channels, spatial, tokens, experts = WAN22[name]
    family = family_of(published_folder(name))
    assert (family.kind, family.channels, family.spatial, family.temporal) == (kind, channels, spatial, 4)
    assert family.tokens(81, 480, 832) == tokens and family.image_dim == 0
    assert [(one.name, one.lowest, one.highest) for one in family.experts] == experts
    assert family.gives_first_frame is ("TI2V" in name)
    size = family.latent_size(81, 480, 832)
    made = forecast(Setup(transformer=family.described(), latents=size, gradient_checkpointing=1, experts=len(experts)))
    assert made.frozen_parameters == pytest.approx({1: 5.0e9, 2: 28.6e9}[len(experts)], rel=0.02)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_trained_is_refused_by_name(name, published_folder):
    with pytest.raises(ModelFolderError, match=REFUSED[name]):
        family_of(published_folder(name))


@pytest.mark.parametrize("name", ["Wan2.1-T2V-1.3B", "Wan2.1-I2V-14B-720P"])
def test_a_forecast_of_each(name):
    """At rank 16 a LoRA of attention and an adapter of rank 256; the base in 16 bits is most of what is frozen."""
    config = published_config(name)
    made = forecast(Setup(transformer=config, latents=(21, 60, 104), gradient_checkpointing=1))
    inner, layers = config["num_attention_heads"] * 128, config["num_layers"]
    assert made.parts["frozen weights"] == pytest.approx(2 * made.frozen_parameters, rel=0.01)
    assert made.trained_parameters > layers * 4 * inner * 256
    assert made.total > made.parts["frozen weights"] > 2 * layers * inner * (8 * inner + 2 * config["ffn_dim"])
