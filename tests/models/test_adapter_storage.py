"""Adapter folders, and base models saved with an adapter on them."""

import dataclasses
import json

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors import safe_open

from emogen.models import (
    AdapterMismatchError,
    EmotionAdapterConfig,
    attach_emotion_adapter,
    get_emotion_adapter,
    load_emotion_adapter,
    save_emotion_adapter,
)


def test_round_trip_by_output(tmp_path, make_transformer, make_inputs, trained, emotions, run):
    transformer = make_transformer()
    adapter = trained(transformer)
    expected = run(transformer, make_inputs(), emotion=emotions)
    save_emotion_adapter(tmp_path, adapter)
    fresh = make_transformer()
    loaded = load_emotion_adapter(tmp_path, fresh)
    assert torch.equal(run(fresh, make_inputs(), emotion=emotions), expected)
    assert loaded.config == adapter.config and get_emotion_adapter(fresh) is loaded
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "emotion_adapter.safetensors"]


def test_names_in_the_file(tmp_path, make_transformer, config):
    transformer = make_transformer("vace")
    save_emotion_adapter(tmp_path, attach_emotion_adapter(transformer, config))
    with safe_open(tmp_path / "emotion_adapter.safetensors", "pt") as file:
        names = set(file.keys())
    assert {
        "encoder.null",
        "encoder.emotions",
        "transformer.blocks.1.attn2.emo_q.weight",
        "transformer.vace_blocks.0.attn2.emo_o.weight",
    } <= names
    assert not any("scale" in name for name in names)


def test_two_transformers_share_an_encoder(tmp_path, make_transformer, make_inputs, trained, emotions, run):
    first, second = make_transformer(), make_transformer(seed=1)
    adapter = trained(first, transformer_2=second)
    assert first.emotion_encoder is second.emotion_encoder
    save_emotion_adapter(tmp_path, second)
    one, two = make_transformer(), make_transformer(seed=1)
    loaded = load_emotion_adapter(tmp_path, one, two)
    for new, old in ((one, first), (two, second)):
        assert torch.equal(run(new, make_inputs(), emotion=emotions), run(old, make_inputs(), emotion=emotions))
    loaded.detach()
    assert get_emotion_adapter(one) is None and get_emotion_adapter(two) is None
    with pytest.raises(AdapterMismatchError, match=r"unknown transformer_2.*made for two transformers"):
        load_emotion_adapter(tmp_path, one)
    assert get_emotion_adapter(one) is None
    adapter.detach()
    trained(first)
    save_emotion_adapter(tmp_path, first)
    with pytest.raises(AdapterMismatchError, match=r"lacks transformer_2.*one made for one needs one"):
        load_emotion_adapter(tmp_path, one, two)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_weights_take_the_transformers_type(tmp_path, dtype, make_transformer, trained):
    save_emotion_adapter(tmp_path, trained(make_transformer()), dtype=torch.bfloat16)
    adapter = load_emotion_adapter(tmp_path, make_transformer().to(dtype))
    assert {value.dtype for value in adapter.state_dict().values()} == {dtype}


def test_saving_the_transformer_leaves_the_adapter_out(tmp_path, make_transformer, make_inputs, trained, emotions, run):
    transformer = make_transformer()
    names, base = set(transformer.state_dict()), run(transformer, make_inputs())
    trained(transformer)
    moved = run(transformer, make_inputs(), emotion=emotions)
    transformer.save_pretrained(tmp_path)
    with safe_open(tmp_path / "diffusion_pytorch_model.safetensors", "pt") as file:
        assert set(file.keys()) == names
    plain, info = WanTransformer3DModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["unexpected_keys"] and not info["missing_keys"]
    assert torch.equal(run(plain.eval(), make_inputs()), base)
    assert torch.equal(run(transformer, make_inputs(), emotion=emotions), moved)


def test_another_base_is_named(tmp_path, make_transformer, trained):
    save_emotion_adapter(tmp_path, trained(make_transformer()))
    for overrides, message in (
        ({"num_attention_heads": 4}, "inner_dim 64.*has inner_dim 128"),
        ({"num_layers": 3}, "num_layers 2.*has num_layers 3"),
        ({"text_dim": 24}, "text_dim 16.*has text_dim 24"),
    ):
        transformer = make_transformer(**overrides)
        with pytest.raises(AdapterMismatchError, match=message):
            load_emotion_adapter(tmp_path, transformer)
        assert get_emotion_adapter(transformer) is None


def test_folders_that_hold_no_adapter(tmp_path, make_transformer, trained):
    with pytest.raises(AdapterMismatchError, match=r"no config.json"):
        load_emotion_adapter(tmp_path, make_transformer())
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(AdapterMismatchError, match=r"config.json: not JSON \(line 1"):
        load_emotion_adapter(tmp_path, make_transformer())
    (tmp_path / "config.json").write_text('{"_class_name": "UNet"}')
    with pytest.raises(AdapterMismatchError, match="_class_name is 'UNet'"):
        load_emotion_adapter(tmp_path, make_transformer())
    save_emotion_adapter(tmp_path, trained(make_transformer()))
    weights = tmp_path / "emotion_adapter.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AdapterMismatchError, match="not a whole safetensors file"):
        load_emotion_adapter(tmp_path, make_transformer())
    weights.unlink()
    with pytest.raises(AdapterMismatchError, match=r"emotion_adapter.safetensors: missing"):
        load_emotion_adapter(tmp_path, make_transformer())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("format_version", 2, "upgrade emogen"), ("colour", 1, "unknown key 'colour'"), ("rank", 32, "emo_q")],
)
def test_configs_that_do_not_fit(tmp_path, key, value, message, make_transformer, trained):
    save_emotion_adapter(tmp_path, trained(make_transformer()))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(AdapterMismatchError, match=message):
        load_emotion_adapter(tmp_path, make_transformer())


def test_saving_nothing(tmp_path, make_transformer, config):
    transformer = make_transformer()
    with pytest.raises(ValueError, match="carries no emotion adapter"):
        save_emotion_adapter(tmp_path, transformer)
    adapter = attach_emotion_adapter(transformer, config)
    adapter.detach()
    with pytest.raises(ValueError, match="is not attached"):
        save_emotion_adapter(tmp_path, adapter)
    assert not list(tmp_path.iterdir())


def test_config_values_are_checked():
    with pytest.raises(ValueError, match=r"rank \(100\) must be a multiple of head_dim \(64\)"):
        EmotionAdapterConfig(rank=100)
    with pytest.raises(ValueError, match="num_tokens must be a whole number"):
        EmotionAdapterConfig(num_tokens=0)
    config = EmotionAdapterConfig(base_model="somewhere/wan")
    assert EmotionAdapterConfig.from_dict(config.to_dict()) == config
    assert dataclasses.is_dataclass(config)
