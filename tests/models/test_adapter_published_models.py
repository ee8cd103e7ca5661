"""The published Wan models, on the meta device: everything but the numbers."""

import diffusers
import pytest
import torch
from parts import PUBLISHED, PUBLISHED_MODELS, published_config
from peft import LoraConfig, get_peft_model_state_dict

from emogen.models import EmotionAdapterConfig, attach_emotion_adapter
from emogen.models.lora import LoraFile, parse_key, read_lora, wan_name, write_lora

SIZES = {  # billions of parameters
    "Wan2.1-T2V-1.3B": 1.42, "Wan2.1-T2V-14B": 14.29, "Wan2.1-I2V-14B-480P": 16.4, "Wan2.1-I2V-14B-720P": 16.4,
    "Wan2.1-FLF2V-14B-720P": 16.4, "Wan2.1-VACE-1.3B": 2.15, "Wan2.1-VACE-14B": 17.34, "Wan2.2-T2V-A14B": 14.29,
    "Wan2.2-I2V-A14B": 14.29, "Wan2.2-TI2V-5B": 5.0,
}  # fmt: skip
ADAPTER = {  # of rank 256
    "Wan2.1-T2V-1.3B": 51_540_480,
    "Wan2.1-T2V-14B": 214_071_040,
    "Wan2.1-I2V-14B-480P": 214_071_040,
    "Wan2.1-I2V-14B-720P": 214_071_040,
}


def build(name, **more):
    config = published_config(name)
    with torch.device("meta"):
        return getattr(diffusers, config.pop("_class_name"))(**config, **more)


def vace(name):
    return published_config(name).get("vace_layers", ())


def base_formula(name):
    """Parameters of a published transformer, counted from the equations."""
    c = published_config(name)
    d, f, image = c["num_attention_heads"] * c["attention_head_dim"], c["ffn_dim"], c["image_dim"]
    square = d * d + d
    block = 8 * square + 4 * d + 2 * d * f + f + d + 2 * d + 6 * d
    block += 2 * square + d if image else 0
    outside = 4 * c["in_channels"] * d + d + 256 * d + d + square + 6 * square + 4096 * d + d + square
    outside += 4 * (d + 1) * c["out_channels"] + 2 * d
    if image:
        outside += 2 * image + image * image + image + image * d + d + 2 * d + c.get("pos_embed_seq_len", 0) * image
    control = len(vace(name)) * (block + square) + (square + 4 * 96 * d + d if vace(name) else 0)
    return c["num_layers"] * block + outside + control


def formula(inner, layers, config: EmotionAdapterConfig, text=4096):
    """Parameters, counted from the equations rather than from the modules."""
    branch = 4 * inner * config.rank + 2 * config.head_dim
    features = 2 + 4 * config.fourier_bands
    tokens = config.num_tokens * text
    encoder = text + 8 * tokens + (features + 1) * config.hidden_dim + (config.hidden_dim + 1) * tokens
    return layers * branch + encoder


@pytest.mark.parametrize("name", PUBLISHED_MODELS)
@pytest.mark.parametrize("rank", [128, 256])
def test_parameter_counts(name, rank):
    transformer, config = build(name), EmotionAdapterConfig(rank=rank)
    before = sum(p.numel() for p in transformer.parameters())
    assert before == base_formula(name) and before == pytest.approx(SIZES[name] * 1e9, rel=0.01)
    adapter = attach_emotion_adapter(transformer, config)
    sizes = published_config(name)
    inner, layers = sizes["num_attention_heads"] * sizes["attention_head_dim"], sizes["num_layers"] + len(vace(name))
    assert len(adapter.processors["transformer"]) == layers
    assert adapter.num_parameters() == formula(inner, layers, config)
    assert sum(p.numel() for p in transformer.parameters()) == before + adapter.num_parameters()
    if rank == 256 and name in ADAPTER:
        assert adapter.num_parameters() == ADAPTER[name]
    assert {p.device.type for p in adapter.trainable_parameters()} == {"meta"}


@pytest.mark.parametrize("name", [name for name in PUBLISHED_MODELS if name != "Wan2.1-I2V-14B-720P"])
@pytest.mark.parametrize("frames", [1, 21])
def test_a_forward_at_480p_has_the_right_shape(name, frames):
    """81 frames of 480x832: with an emotion, and with an arc of one for each latent frame."""
    transformer, config = build(name), published_config(name)
    attach_emotion_adapter(transformer)
    expanded = PUBLISHED["pipeline"][name]["expand_timesteps"]
    height, width = (30, 52) if PUBLISHED["pipeline"][name]["vae"] == "Wan2.2-TI2V-5B" else (60, 104)
    tokens = 21 * height * width // 4
    arguments = {
        "hidden_states": torch.empty(1, config["in_channels"], 21, height, width, device="meta"),
        "timestep": torch.empty((1, tokens) if expanded else 1, device="meta"),
        "encoder_hidden_states": torch.empty(1, 512 + 4 * frames + 1, 4096, device="meta"),
    }
    if config["image_dim"]:
        pictures = 2 if config.get("pos_embed_seq_len") else 1
        arguments["encoder_hidden_states_image"] = torch.empty(pictures, 257, 1280, device="meta")
    if vace(name):
        arguments["control_hidden_states"] = torch.empty(
            1, config["vace_in_channels"], 21, height, width, device="meta"
        )
    assert transformer(**arguments).sample.shape == (1, config["out_channels"], 21, height, width)
    arguments["encoder_hidden_states"] = torch.empty(1, 600, 4096, device="meta")
    with pytest.raises(ValueError, match=r"takes 512 .*517 .*597 "):
        transformer(**arguments)


def test_a_second_transformer():
    first, second = build("Wan2.2-T2V-A14B"), build("Wan2.2-T2V-A14B")
    adapter = attach_emotion_adapter(first, transformer_2=second)
    assert adapter.num_parameters() == formula(5120, 80, adapter.config)
    assert {name: len(processors) for name, processors in adapter.processors.items()} == {
        "transformer": 40, "transformer_2": 40,
    }  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED_MODELS)
def test_lora_targets_and_exports(name, tmp_path):
    """Every layer that a LoRA can be trained on has its name in the other programs, and comes back from their files."""
    transformer, config = build(name), published_config(name)
    inner, ffn = config["num_attention_heads"] * 128, config["ffn_dim"]
    attention, image = ["to_q", "to_k", "to_v", "to_out.0"], ["add_k_proj", "add_v_proj"]
    targets = [*attention, "ffn.net.0.proj", "ffn.net.2", *(image if config["image_dim"] else [])]
    transformer.add_adapter(LoraConfig(r=8, lora_alpha=4, target_modules=targets))
    blocks = config["num_layers"] + len(vace(name))
    layers = get_peft_model_state_dict(transformer)
    assert len(layers) == 2 * blocks * (10 + 2 * bool(config["image_dim"]))
    wide = 2 * 8 * (inner + ffn)
    image_branch = 2 * 8 * 2 * inner * bool(config["image_dim"])
    assert sum(value.numel() for value in layers.values()) == blocks * (8 * 8 * 2 * inner + wide + image_branch)
    for key in layers:
        layer, slot = parse_key(f"transformer.{key}")
        assert parse_key(f"diffusion_model.{wan_name(layer)}.{slot}") == (layer, slot)
        assert parse_key(f"lora_unet_{wan_name(layer).replace('.', '_')}.alpha") == (layer, "alpha")
    some = [key for key in layers if ".0.attn2." in key or f".{config['num_layers'] - 1}.ffn." in key]
    lora = {f"transformer.{key}": torch.ones(layers[key].shape, dtype=torch.float16) for key in some}
    alphas = {key.removeprefix("transformer.").split(".lora_")[0]: 4.0 for key in lora}
    write_lora(LoraFile(lora, alphas), tmp_path / "comfyui.safetensors", "comfyui")
    back = read_lora(tmp_path / "comfyui.safetensors")
    assert {key: value.shape for key, value in back.weights.items()} == {
        key: value.shape for key, value in lora.items()
    }
