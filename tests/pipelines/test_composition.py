"""The emotion's LoRA with others: they add up, whatever program wrote their files."""

import argparse
import math

import pytest
import torch
from diffusers import WanPipeline
from diffusers.training_utils import _collate_lora_metadata
from peft import LoraConfig, get_peft_model_state_dict

from emogen.models.lora import LoraFile, read_lora, write_lora
from emogen.models.weights import LORA_NAME
from emogen.pipelines.composition import (
    LoraError,
    LoraOptions,
    LoraSpec,
    add_lora_arguments,
    add_loras,
    check_fits,
    loras_from_args,
)
from emogen.pipelines.speed import SpeedOptions, apply_speed

LAYERS = {"blocks.0.attn1.to_q": (64, 64), "blocks.1.attn2.to_k": (64, 64), "blocks.1.ffn.net.2": (64, 64)}


def random_lora(seed, alpha=6.0, layers=None):
    random = torch.Generator().manual_seed(seed)
    weights = {}
    for layer, (inside, outside) in (layers or LAYERS).items():
        weights[f"transformer.{layer}.lora_A.weight"] = torch.randn(4, inside, generator=random) / 8
        weights[f"transformer.{layer}.lora_B.weight"] = torch.randn(outside, 4, generator=random) / 8
    return LoraFile(weights, {layer: alpha for layer in layers or LAYERS})


@pytest.fixture
def style(tmp_path):
    """A style's LoRA as ComfyUI has it, with an alpha that is not its rank."""
    write_lora(random_lora(1), tmp_path / "my.style.safetensors", "comfyui")
    return tmp_path / "my.style.safetensors"


@pytest.fixture
def loaded(pipe, adapter_folder):
    """A pipeline with a trained adapter and the emotion's LoRA."""
    write_lora(random_lora(2), adapter_folder / LORA_NAME, "diffsynth")
    pipe.load_emotion_adapter(adapter_folder)
    return pipe


def outputs(pipe):
    layers = {name: pipe.transformer.get_submodule(name) for name in LAYERS}
    video = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return {name: layer(video) for name, layer in layers.items()}


def test_identity_and_emotion_add_up(loaded, make_pipe, style):
    base = outputs(make_pipe())
    only_emotion = outputs(loaded)
    weights = add_loras(loaded, [f"{style}:0.7"], emotion_weight=0.6)
    assert weights == {"emotion": 0.6, "my_style": 0.7}
    assert loaded.get_active_adapters() == ["emotion", "my_style"]
    lora = random_lora(1)
    video = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    for layer, found in outputs(loaded).items():
        a, b = (lora.weights[f"transformer.{layer}.lora_{x}.weight"] for x in "AB")
        own = 6 / 4 * video @ a.T @ b.T
        expected = base[layer] + 0.6 * (only_emotion[layer] - base[layer]) + 0.7 * own
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert (only_emotion[layer] - base[layer]).abs().mean() > 1e-3 and own.abs().mean() > 1e-3


def test_two_at_half_are_one(loaded, style, tmp_path):
    write_lora(random_lora(1), tmp_path / "again" / style.name, "diffusers")
    assert add_loras(loaded, [LoraSpec(str(style), 0.5), LoraSpec(str(tmp_path / "again" / style.name), 0.5)]) == {
        "emotion": 1, "my_style": 0.5, "my_style_2": 0.5,
    }  # fmt: skip
    both = outputs(loaded)
    loaded.delete_adapters(["my_style", "my_style_2"])
    add_loras(loaded, [str(style)])
    for layer, expected in outputs(loaded).items():
        torch.testing.assert_close(both[layer], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", ["diffusers", "comfyui", "diffsynth"])
def test_every_program_s_file(form, pipe, make_pipe, tmp_path):
    write_lora(random_lora(1), tmp_path / "x.safetensors", form)
    base = outputs(pipe)
    assert add_loras(pipe, [str(tmp_path / "x.safetensors")]) == {"x": 1}
    other = make_pipe()
    write_lora(random_lora(1), tmp_path / "y" / LORA_NAME, "diffsynth")
    assert add_loras(other, [str(tmp_path / "y")]) == {"y": 1}
    for layer, expected in outputs(other).items():
        torch.testing.assert_close(outputs(pipe)[layer], expected, atol=1e-5, rtol=1e-5)
        assert (expected - base[layer]).abs().mean() > 1e-3


def test_a_dora_keeps_its_configuration(pipe, make_transformer, tmp_path):
    torch.manual_seed(0)
    transformer = make_transformer()
    transformer.load_state_dict(pipe.transformer.state_dict())
    config = LoraConfig(r=4, lora_alpha=6, use_dora=True, target_modules=list(LAYERS))
    transformer.add_adapter(config)
    for name, value in transformer.named_parameters():
        if ".lora_B" in name:
            value.data = torch.randn(value.shape) / 8
    layers = {name: value.clone() for name, value in get_peft_model_state_dict(transformer).items()}
    metadata = _collate_lora_metadata({"transformer": transformer})
    WanPipeline.save_lora_weights(tmp_path / "dora", transformer_lora_layers=layers, **metadata)
    assert add_loras(pipe, [str(tmp_path / "dora")]) == {"dora": 1}
    video = torch.randn(3, 64)
    for layer in LAYERS:
        found, expected = (t.get_submodule(layer)(video) for t in (pipe.transformer, transformer))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_in_a_clip(loaded, stock, style, generate):
    with_emotion = generate(loaded, emotion="fear")
    add_loras(loaded, [f"{style}:0.8"], emotion_weight=0.9)
    styled = generate(loaded, emotion="fear")
    assert (styled - with_emotion).abs().mean() > 1e-3
    assert (styled - generate(loaded)).abs().mean() > 1e-3
    loaded.set_adapters(["emotion", "my_style"], [0.0, 0.0])
    assert torch.equal(generate(loaded, emotion="fear", emotion_scale=0), generate(stock))


def test_with_speed_options(loaded, style, generate):
    add_loras(loaded, [str(style)])
    expected = generate(loaded, emotion="fear")
    apply_speed(loaded, SpeedOptions(layerwise_casting=True, offload="group_disk"))
    lora = [value for name, value in loaded.transformer.named_parameters() if ".lora_" in name]
    assert len(lora) == 12 and all(value.dtype == torch.float32 for value in lora)
    found = generate(loaded, emotion="fear")
    assert 0 < (found - expected).norm() < 0.2 * expected.norm()


def test_what_is_refused_leaves_the_pipeline_alone(loaded, pipe, style, tmp_path, make_pipe):
    def refused(message, *specs, on=loaded, **arguments):
        with pytest.raises(LoraError, match=message):
            add_loras(on, specs, **arguments)

    (tmp_path / "text.safetensors").write_text("no tensors")
    deep = random_lora(1, layers={"blocks.7.attn1.to_q": (64, 64)})
    write_lora(deep, tmp_path / "deep.safetensors", "diffusers")
    write_lora(random_lora(1, layers={"blocks.0.attn1.to_q": (32, 64)}), tmp_path / "wide.safetensors", "diffusers")
    before = outputs(loaded)
    refused("none.safetensors: no such file", str(style), str(tmp_path / "none.safetensors"))
    refused("text.safetensors: not a whole safetensors file", str(style), str(tmp_path / "text.safetensors"))
    refused(r"blocks.7.attn1.to_q, which this model has not \(2 blocks\)", str(tmp_path / "deep.safetensors"))
    refused("to_q is 32 -> 64 there and 64 -> 64 in this model", str(style), str(tmp_path / "wide.safetensors"))
    refused(f"{LORA_NAME}: no such file", str(tmp_path))
    assert loaded.get_active_adapters() == ["emotion"]
    for layer, output in outputs(loaded).items():
        assert torch.equal(output, before[layer])
    fresh = make_pipe()
    refused("--emotion_lora_weight: no LoRA of the emotion is loaded", on=fresh, emotion_weight=0.5)
    check_fits(read_lora(style), fresh.transformer, "style")


def test_a_failure_while_loading_takes_all_off_again(loaded, style, tmp_path, monkeypatch):
    write_lora(random_lora(3), tmp_path / "second.safetensors", "diffusers")
    load, before = type(loaded).load_lora_weights, outputs(loaded)

    def fail_at_the_second(self, *args, adapter_name, **kwargs):
        if adapter_name == "second":
            raise KeyboardInterrupt
        return load(self, *args, adapter_name=adapter_name, **kwargs)

    monkeypatch.setattr(type(loaded), "load_lora_weights", fail_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        add_loras(loaded, [str(style), str(tmp_path / "second.safetensors")])
    assert set(loaded.transformer.peft_config) == {"emotion"}
    for layer, output in outputs(loaded).items():
        assert torch.equal(output, before[layer])


@pytest.mark.parametrize(
    ("text", "source", "weight"),
    [
        ("a.safetensors", "a.safetensors", 1.0),
        ("a.safetensors:0.8", "a.safetensors", 0.8),
        ("folder/a:-1", "folder/a", -1.0),
        ("owner/name:1e-1", "owner/name", 0.1),
        (r"C:\loras\a.safetensors", r"C:\loras\a.safetensors", 1.0),
        (r"C:\loras\a.safetensors:2", r"C:\loras\a.safetensors", 2.0),
    ],
)
def test_specs(text, source, weight):
    assert LoraSpec.parse(text) == LoraSpec(source, weight)


@pytest.mark.parametrize("text", ["", ":0.5", "a.safetensors:strong", "a.safetensors:", "a:nan", "a:inf"])
def test_specs_that_are_none(text):
    with pytest.raises(LoraError, match="give FILE_OR_ID or FILE_OR_ID:WEIGHT"):
        LoraSpec.parse(text)


def test_flags(style):
    parser = argparse.ArgumentParser()
    add_lora_arguments(parser)
    args = parser.parse_args(["--lora", f"{style}:0.5", "--lora", "owner/name", "--emotion_lora_weight", "0.8"])
    assert loras_from_args(args) == LoraOptions((LoraSpec(str(style), 0.5), LoraSpec("owner/name")), 0.8)
    assert not loras_from_args(parser.parse_args([])).any
    with pytest.raises(LoraError, match=r"--lora none.safetensors: no such file"):
        loras_from_args(parser.parse_args(["--lora", "none.safetensors"]))
    with pytest.raises(SystemExit):
        parser.parse_args(["--emotion_lora_weight", str(math.nan)])


def test_a_hub_that_is_out_of_reach(loaded, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(repo, file):
        raise LocalEntryNotFoundError(f"{repo} {file}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(LoraError, match=r"neither a file here nor styles/x\.safetensors of owner/name"):
        add_loras(loaded, ["owner/name/styles/x.safetensors:0.5"])
    with pytest.raises(LoraError, match=f"nor {LORA_NAME} of owner/name on the hub"):
        add_loras(loaded, ["owner/name"])
