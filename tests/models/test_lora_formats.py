"""LoRA files of other programs. The oracles are others' code: peft's adapter, diffusers' loaders and its converter of
Wan's checkpoints, and the rules by which ComfyUI and DiffSynth apply a file."""

import json
import math
import os

import pytest
import torch
from diffusers import WanPipeline
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from diffusers.training_utils import _collate_lora_metadata
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from emogen.models import lora as lora_formats
from emogen.models.lora import FORMATS, LoraFormatError, export_lora, parse_key, read_lora, wan_name, write_lora

pytestmark = pytest.mark.filterwarnings(  # of peft, on biases it does not expect and on patterns without a layer
    "ignore:Adapter 'default'", "ignore:The following rank_pattern"
)
LORA = "pytorch_lora_weights.safetensors"
BLOCKS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]
OUTSIDE = ["condition_embedder.time_proj", "text_embedder.linear_1", "time_embedder.linear_2", "proj_out"]
IMAGE = ["add_k_proj", "add_v_proj", "image_embedder.ff.net.0.proj", "image_embedder.ff.net.2"]
SETTINGS = {
    "alpha is rank": {"r": 4, "lora_alpha": 4},
    "alpha": {"r": 4, "lora_alpha": 5},
    "rslora": {"r": 3, "lora_alpha": 5, "use_rslora": True},
    "patterns": {"r": 4, "lora_alpha": 6, "rank_pattern": {"attn2.to_k": 2, "^proj_out": 3},
                 "alpha_pattern": {"ffn.net.2": 1.5, "blocks.1.attn2.to_k": 7}},
}  # fmt: skip


@pytest.fixture
def make_lora(make_transformer, tmp_path):
    """A transformer with a random LoRA, and the folder that holds it as training writes it."""

    def make(kind="t2v", targets=None, dtype=torch.float32, **settings):
        transformer = make_transformer(kind)
        if dtype != torch.float32:
            transformer.to(dtype)
        targets = targets or BLOCKS + OUTSIDE + (IMAGE if kind == "i2v" else [])
        transformer.add_adapter(LoraConfig(**({"r": 4, "lora_alpha": 5} | settings), target_modules=targets))
        random = torch.Generator().manual_seed(1)
        for name, value in transformer.named_parameters():
            if ".lora_" in name:
                noise = torch.randn(value.shape, generator=random)
                value.data = (value * (1 + 0.2 * noise) if "magnitude" in name else 0.1 * noise).to(dtype)
        layers = {name: value.clone() for name, value in get_peft_model_state_dict(transformer).items()}
        metadata = _collate_lora_metadata({"transformer": transformer})
        WanPipeline.save_lora_weights(tmp_path / "run", transformer_lora_layers=layers, **metadata)
        return transformer.eval(), tmp_path / "run"

    return make


def stock(transformer, file):
    """The transformer after a stock pipeline has loaded a file."""
    pipeline = WanPipeline(None, None, None, None, transformer=transformer)
    pipeline.load_lora_weights(str(file))
    return transformer


def deltas(transformer):
    """What each layer's weight gains from the transformer's LoRA, by peft."""
    return {
        name: module.get_delta_weight("default") for name, module in transformer.named_modules()
        if hasattr(module, "get_delta_weight")
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["t2v", "i2v", "vace"])
def test_names_are_those_of_wans_checkpoints(kind, make_transformer):
    layers = [name for name, module in make_transformer(kind).named_modules() if isinstance(module, torch.nn.Linear)]
    theirs = {f"{wan_name(layer)}.weight": torch.zeros(1) for layer in layers}
    assert list(convert_wan_transformer_to_diffusers(theirs)) == [f"{layer}.weight" for layer in layers]
    for layer in layers:
        assert parse_key(f"diffusion_model.{wan_name(layer)}.lora_A.weight") == (layer, "lora_A.weight")
        assert parse_key(f"{wan_name(layer)}.lora_B.default.weight") == (layer, "lora_B.weight")
        assert parse_key(f"lora_unet_{wan_name(layer).replace('.', '_')}.alpha") == (layer, "alpha")
        assert parse_key(f"transformer.{layer}.lora_magnitude_vector") == (layer, "lora_magnitude_vector")


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", ["t2v", "i2v"])
def test_every_format_gives_the_output_of_the_adapter(kind, setting, make_lora, make_transformer, make_inputs, run):
    adapted, folder = make_lora(kind, **SETTINGS[setting])
    inputs = make_inputs(kind)
    expected, base = run(adapted, inputs), run(make_transformer(kind), inputs)
    assert (expected - base).abs().mean() > 0.05 * base.abs().mean()
    for format in FORMATS:
        file = folder / f"{format}.safetensors"
        write_lora(read_lora(folder), file, format)
        output = run(stock(make_transformer(kind), file), inputs)
        if format == "diffusers" or setting == "alpha is rank":
            assert torch.equal(output, expected), format
        else:
            assert torch.allclose(output, expected, rtol=1e-5, atol=1e-5), format
        again = folder / "again.safetensors"
        write_lora(read_lora(file), again, "diffusers")  # without peft's configuration to copy, but from diffusers
        assert torch.allclose(run(stock(make_transformer(kind), again), inputs), expected, rtol=1e-5, atol=1e-5), format


@pytest.mark.parametrize("setting", SETTINGS)
def test_each_program_applies_what_was_trained(setting, make_lora):
    adapted, folder = make_lora("i2v", **SETTINGS[setting])
    expected = deltas(adapted)
    export_lora(folder, ["comfyui", "diffsynth"])
    for format in ("comfyui", "diffsynth"):
        tensors = load_file(folder / f"pytorch_lora_weights_{format}.safetensors")
        seen = {}
        for key in [key for key in tensors if key.endswith(".lora_B.weight")]:
            name = key.removesuffix(".lora_B.weight")
            down = tensors.pop(f"{name}.lora_A.weight")
            scale = tensors.pop(f"{name}.alpha").item() / len(down) if f"{name}.alpha" in tensors else 1.0
            assert scale == 1 or format == "comfyui"  # DiffSynth may ignore alpha
            weight = f"{name.removeprefix('diffusion_model.')}.weight"
            layer = next(iter(convert_wan_transformer_to_diffusers({weight: down}))).removesuffix(".weight")
            seen[layer] = scale * tensors.pop(key) @ down
        assert not tensors and seen.keys() == expected.keys()
        for layer, delta in expected.items():
            assert torch.allclose(seen[layer], delta, rtol=1e-5, atol=1e-7), layer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_round_trip_of_keys_and_tensors(dtype, make_lora):
    _, folder = make_lora("i2v", BLOCKS + IMAGE[:2], dtype, **SETTINGS["patterns"])
    lora = read_lora(folder)
    assert lora.weights.keys() == load_file(folder / LORA).keys()
    assert lora.scales["blocks.0.attn2.to_k"] == 6 / 2 and lora.scales["blocks.1.attn2.to_k"] == 7 / 2
    assert lora.scales["blocks.1.ffn.net.2"] == 1.5 / 4 and lora.ranks["blocks.0.attn2.add_k_proj"] == 4
    back = {}
    for format in FORMATS:
        write_lora(lora, folder / "x.safetensors", format)
        back[format] = read_lora(folder / "x.safetensors")
        assert back[format].weights.keys() == lora.weights.keys()
        assert all(value.dtype == dtype for value in back[format].weights.values())
        assert back[format].ranks == lora.ranks
    for key, value in lora.weights.items():
        assert torch.equal(back["diffusers"].weights[key], value) and torch.equal(back["comfyui"].weights[key], value)
        scale = lora.scales[key.removeprefix("transformer.").split(".lora_")[0]] if ".lora_B" in key else 1.0
        assert torch.equal(back["diffsynth"].weights[key], (scale * value.float()).to(dtype)), key
    assert back["diffusers"].alphas == back["comfyui"].alphas == lora.alphas
    assert set(back["diffsynth"].scales.values()) == {1.0}
    assert back["diffusers"].config == lora.config and back["comfyui"].config is None


def test_a_scale_of_one_is_exact_everywhere(make_lora):
    _, folder = make_lora(dtype=torch.bfloat16, lora_alpha=4)
    for file in export_lora(folder, ["comfyui", "diffsynth"]):
        again = read_lora(file)
        assert all(torch.equal(again.weights[key], value) for key, value in read_lora(folder).weights.items())


def test_dora_stays_with_diffusers(make_lora, make_transformer, make_inputs, run):
    adapted, folder = make_lora(targets=BLOCKS, use_dora=True, use_rslora=True)
    lora = read_lora(folder)
    assert lora.is_dora and lora.scales["blocks.0.attn1.to_q"] == pytest.approx(5 / math.sqrt(4))
    write_lora(lora, folder / "x.safetensors", "diffusers")
    loaded = stock(make_transformer(), folder / "x.safetensors")
    assert torch.equal(run(loaded, make_inputs()), run(adapted, make_inputs()))
    save_file(load_file(folder / LORA), folder / "bare.safetensors")  # no header: full strength, DoRA by its magnitudes
    write_lora(read_lora(folder / "bare.safetensors"), folder / "x.safetensors", "diffusers")
    outputs = [run(stock(make_transformer(), folder / f"{name}.safetensors"), make_inputs()) for name in ("bare", "x")]
    assert torch.equal(*outputs)
    for format in ("comfyui", "diffsynth"):
        with pytest.raises(LoraFormatError, match=f"DoRA, which {format} cannot apply.*use_dora: false"):
            export_lora(folder, [format])
    assert {path.name for path in folder.iterdir()} == {LORA, "bare.safetensors", "x.safetensors"}


def test_a_bias_goes_where_it_is_applied(make_lora, make_transformer, make_inputs, run):
    adapted, folder = make_lora(targets=BLOCKS, lora_bias=True)
    for format in ("diffusers", "comfyui"):
        write_lora(read_lora(folder), folder / "x.safetensors", format)
        write_lora(read_lora(folder / "x.safetensors"), folder / "y.safetensors", "diffusers")
        for name in "xy":
            output = run(stock(make_transformer(), folder / f"{name}.safetensors"), make_inputs())
            assert torch.allclose(output, run(adapted, make_inputs()), rtol=1e-5, atol=1e-5)
    with pytest.raises(LoraFormatError, match=r"lora_B\.bias: DiffSynth applies no bias"):
        write_lora(read_lora(folder), folder / "x.safetensors", "diffsynth")


def _musubi(key):
    layer, slot = parse_key(key)
    slot = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}.get(slot, slot)
    return f"lora_unet_{wan_name(layer).replace('.', '_')}.{slot}"


@pytest.mark.parametrize(
    ("source", "rename"),
    [
        ("comfyui", _musubi),
        ("comfyui", lambda key: _musubi(key).replace("lora_unet_", "lora_unet__")),
        ("comfyui", lambda key: key.replace("lora_A", "lora_down").replace("lora_B", "lora_up")),
        ("diffsynth", lambda key: key.removeprefix("diffusion_model.").replace(".weight", ".default.weight")),
        ("diffusers", lambda key: key.removeprefix("transformer.")),
    ],
    ids=["musubi", "two underscores", "down and up", "DiffSynth's own", "no prefix"],
)
def test_files_of_other_programs_are_read(source, rename, make_lora, make_transformer, make_inputs, run):
    adapted, folder = make_lora(targets=BLOCKS)
    write_lora(read_lora(folder), folder / "x.safetensors", source)
    with safe_open(folder / "x.safetensors", "pt") as opened:
        metadata = opened.metadata()
    tensors = {rename(key): value for key, value in load_file(folder / "x.safetensors").items()}
    save_file(tensors, folder / "foreign.safetensors", metadata if source == "diffusers" else None)
    write_lora(read_lora(folder / "foreign.safetensors"), folder / "ours.safetensors", "diffusers")
    output = run(stock(make_transformer(), folder / "ours.safetensors"), make_inputs())
    assert torch.allclose(output, run(adapted, make_inputs()), rtol=1e-5, atol=1e-5)
    if rename is _musubi:  # diffusers has a reader for this one too
        theirs = run(stock(make_transformer(), folder / "foreign.safetensors"), make_inputs())
        assert torch.allclose(output, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("adapter_first", [False, True])
def test_a_lora_beside_the_emotion_adapter(
    format, adapter_first, make_lora, make_transformer, make_inputs, trained, emotions, run
):
    def dress(transformer):
        torch.manual_seed(4)  # the adapter's initial weights are random too
        trained(transformer)

    reference, folder = make_lora()
    dress(reference)
    expected = run(reference, make_inputs(), emotion=emotions)
    names = {f"transformer.{name}" for name in get_peft_model_state_dict(reference)}
    write_lora(read_lora(folder), folder / "x.safetensors", format)
    assert read_lora(folder / "x.safetensors").weights.keys() == names  # nothing of the adapter
    transformer = make_transformer()
    if adapter_first:
        dress(transformer)
    stock(transformer, folder / "x.safetensors")
    if not adapter_first:
        dress(transformer)
    output = run(transformer, make_inputs(), emotion=emotions)
    assert torch.allclose(output, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(output, run(transformer, make_inputs()), rtol=1e-2, atol=1e-2)


def test_headers(make_lora):
    _, folder = make_lora(**SETTINGS["patterns"])
    (folder / "config.json").write_text(json.dumps({"_class_name": "EmotionAdapter", "base_model": "Wan2.1-T2V-1.3B"}))
    with safe_open(folder / LORA, "pt") as opened:
        metadata = opened.metadata() | {"ss_epoch": "7", "sshs_model_hash": "0f", "modelspec.hash_sha256": "0x1"}
    save_file(load_file(folder / LORA), folder / LORA, metadata)
    files = export_lora(folder, ["diffsynth", "comfyui"])
    assert [file.name for file in files] == [f"pytorch_lora_weights_{f}.safetensors" for f in ("diffsynth", "comfyui")]
    write_lora(read_lora(folder), folder / "named.safetensors", "diffusers", title="joy")
    for file, format, title, alpha in (
        (files[0], "diffsynth", "run", "2, 3, 4"),
        (files[1], "comfyui", "run", "1.5, 6, 7"),
        (folder / "named.safetensors", "diffusers", "joy", "1.5, 6, 7"),
    ):
        with safe_open(file, "pt") as opened:
            header = opened.metadata()
        assert header["lora_format"] == format and header["format"] == "pt" and header["ss_epoch"] == "7"
        assert header["modelspec.title"] == title and header["base_model"] == "Wan2.1-T2V-1.3B"
        assert header["lora_rank"] == "2, 3, 4" and header["lora_alpha"] == alpha
        assert header["modelspec.architecture"] == "wan2.1/lora"
        assert not {"sshs_model_hash", "modelspec.hash_sha256"} & header.keys()
        assert ("baked_scale" in header) == (format == "diffsynth")
        assert ("lora_adapter_metadata" in header) == (format == "diffusers")
    assert read_lora(folder / "named.safetensors").metadata["modelspec.title"] == "joy"


def test_wrong_formats_write_nothing(make_lora):
    _, folder = make_lora()
    for formats in (["comfyui", "diffsinth"], ["comfyui", "diffusers"]):
        with pytest.raises(ValueError, match=r"no LoRA format 'diffsinth'|holds diffusers' form already"):
            export_lora(folder, formats)
    assert [path.name for path in folder.iterdir()] == [LORA]


@pytest.mark.parametrize("step", ["save", "replace"])
def test_a_broken_write_leaves_the_old_file(step, make_lora, monkeypatch):
    _, folder = make_lora()
    (folder / "x.safetensors").write_bytes(b"old")

    def fail(*_, **__):
        raise OSError("disk full")

    def fail_halfway(_, file, **__):
        file.write_bytes(b"half")
        raise SafetensorError("disk full")

    if step == "save":
        monkeypatch.setattr(lora_formats, "save_file", fail_halfway)
    else:
        monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_lora(read_lora(folder), folder / "x.safetensors", "comfyui")
    assert (folder / "x.safetensors").read_bytes() == b"old"
    assert sorted(os.listdir(folder)) == [LORA, "x.safetensors"]
