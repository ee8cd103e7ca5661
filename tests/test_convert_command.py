"""`emogen convert`."""

import os

import pytest
import torch
from safetensors.torch import save_file

from emogen.cli import main
from emogen.models.lora import read_lora

LORA = "pytorch_lora_weights.safetensors"
LAYER = "transformer.blocks.0.attn1.to_q"
PAIR = {f"{LAYER}.lora_A.weight": torch.ones(4, 8), f"{LAYER}.lora_B.weight": torch.full((8, 4), 2.0)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """`run`, with a LoRA of rank 4 and alpha 5, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    save_file(PAIR, folder / LORA, {"lora_adapter_metadata": '{"transformer.r": 4, "transformer.lora_alpha": 5}'})
    return folder


def test_from_training_to_comfyui_and_back(folder, capsys):
    assert main(["convert", "run", "run", "--to", "comfyui"]) == 0
    comfyui = "run/pytorch_lora_weights_comfyui.safetensors"
    assert capsys.readouterr().out == f"{comfyui}  (comfyui; 1 layer, rank 4, scale 1.25)\n"
    assert main(["convert", comfyui, "new/y.safetensors", "--to", "diffusers", "--title", "joy"]) == 0
    again = read_lora("new/y.safetensors")
    assert again.scales == {"blocks.0.attn1.to_q": 1.25} and again.metadata["modelspec.title"] == "joy"
    assert all(torch.equal(again.weights[key], value) for key, value in PAIR.items())


def test_overwriting_when_asked_to(folder):
    file = str(folder / LORA)
    assert main(["convert", file, file, "--to", "diffsynth", "--overwrite"]) == 0
    lora = read_lora(file)
    assert lora.scales == {"blocks.0.attn1.to_q": 1.0}
    assert torch.equal(lora.weights[f"{LAYER}.lora_B.weight"], torch.full((8, 4), 2.5))


@pytest.mark.parametrize("both", [True, False])
def test_two_transformers_give_two_files(folder, capsys, both):
    second = folder / "pytorch_lora_weights_2.safetensors"
    save_file({key: 3 * value for key, value in PAIR.items()}, second)
    if not both:
        (folder / LORA).unlink()
    assert main(["convert", "run", "run", "--to", "comfyui"]) == 0
    low = read_lora(folder / "pytorch_lora_weights_low_noise_comfyui.safetensors")
    assert torch.equal(low.weights[f"{LAYER}.lora_A.weight"], 3 * PAIR[f"{LAYER}.lora_A.weight"])
    high = folder / "pytorch_lora_weights_high_noise_comfyui.safetensors"
    assert high.is_file() is both and len(capsys.readouterr().out.splitlines()) == 1 + both
    with pytest.raises(SystemExit):
        main(["convert", "run", "x.safetensors", "--to", "comfyui"])
    assert "holds LoRAs of a model's two transformers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "run", "--to", "diffusers"], "exists; --overwrite replaces it"),
        (["run", "x.pt", "--to", "comfyui"], "x.pt is neither a folder that exists nor the name of a .safetensors"),
        (["run", "x.safetensors", "--to", "kohya"], "invalid choice: 'kohya'"),
        (["run", "x.safetensors"], "required: --to"),
        (["none", "x.safetensors", "--to", "comfyui"], "error: none: no such file"),
        (["bad.safetensors", "x.safetensors", "--to", "comfyui"], "error: bad.safetensors: unknown key weight"),
        (["run", "x.safetensors", "--to", "comfyui"], "error: this is a DoRA"),
    ],
)
def test_bad_input_of_the_command(arguments, message, folder, capsys):
    save_file(PAIR | {f"{LAYER}.lora_magnitude_vector": torch.ones(8)}, folder / LORA)
    save_file({"weight": torch.ones(1)}, "bad.safetensors")
    before = sorted(os.listdir())
    try:
        status = main(["convert", *arguments])
    except SystemExit as stop:
        status = stop.code
    assert status == 2 and message in capsys.readouterr().err
    assert sorted(os.listdir()) == before
