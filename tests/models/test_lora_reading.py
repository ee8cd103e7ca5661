"""What is read as a LoRA of a Wan model, and what is refused with a message that says why."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from emogen import embedded_adapter
from emogen.models.lora import LoraFormatError, read_lora, write_lora

LORA = "pytorch_lora_weights.safetensors"
A, B = "transformer.blocks.0.attn1.to_q.lora_A.weight", "transformer.blocks.0.attn1.to_q.lora_B.weight"
WAN = "diffusion_model.blocks.0.self_attn.q"
PAIR = {A: torch.ones(2, 8), B: torch.ones(8, 2)}


@pytest.mark.parametrize(
    ("tensors", "header", "message"),
    [
        ({"transformer.blocks.0.attn2.emo_q.lora_A.weight": torch.ones(2, 8)}, None, r"unknown key transformer.*emo_q"),
        ({"a.weight": torch.ones(1), "z.weight": torch.ones(1)}, None, r"x.safetensors: unknown key a.weight; .* keys"),
        ({"diffusion_model.blocks.0.norm9.diff": torch.ones(8)}, None, "unknown key .*norm9.diff"),
        ({"diffusion_model.blocks.0.norm3.diff": torch.zeros(8)}, None, "is empty: it changes nothing"),
        (PAIR | {f"{WAN}.diff": torch.ones(8, 8)}, None, "has both a LoRA and a `.diff`"),
        ({"lora_te_text_model.lora_down.weight": torch.ones(2, 8)}, None, "unknown key lora_te"),
        ({A: PAIR[A]}, None, "blocks.0.attn1.to_q has lora_A.weight but no lora_B.weight"),
        ({f"{WAN}.alpha": torch.tensor(1.0)}, None, "has alpha but no lora_A.weight"),
        (PAIR | {f"{WAN}.lora_down.weight": torch.ones(2, 8)}, None, "second lora_A.weight of blocks.0.attn1.to_q"),
        ({A: torch.ones(2, 8), B: torch.ones(8, 3)}, None, r"lora_A is \(2, 8\) and lora_B \(8, 3\)"),
        ({A: torch.ones(2, 8).int(), B: torch.ones(8, 2)}, None, "lora_A.weight holds torch.int32"),
        (PAIR | {f"{WAN}.alpha": torch.tensor(0.0)}, None, "alpha of blocks.0.attn1.to_q is 0.0"),
        (PAIR | {f"{WAN}.alpha": torch.ones(2)}, None, r"alpha of .* is \[1.0, 1.0\]; it must be one number"),
        (PAIR | {f"{WAN}.dora_scale": torch.ones(8)}, None, "dora_scale: a DoRA of ComfyUI's kind"),
        (PAIR, "{", "lora_adapter_metadata of its header is not a JSON object"),
        (PAIR, "[1]", "lora_adapter_metadata of its header is not a JSON object"),
        (PAIR, '{"transformer.r": 4}', "header says rank 4 for blocks.0.attn1.to_q, its tensors have rank 2"),
        (PAIR, '{"transformer.use_dora": true}', "but no lora_magnitude_vector"),
        ({}, None, "is empty: it holds no layer"),
    ],
)
def test_what_is_no_lora_of_wan_is_refused(tensors, header, message, tmp_path):
    file = tmp_path / "x.safetensors"
    save_file(tensors, file, header and {"lora_adapter_metadata": header})
    with pytest.raises(LoraFormatError, match=message):
        read_lora(file)


def test_files_that_are_not_there_or_not_whole(tmp_path):
    with pytest.raises(FileNotFoundError, match=LORA):
        read_lora(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors: no such file"):
        read_lora(tmp_path / "none.safetensors")
    (tmp_path / "half.safetensors").write_bytes((Path(embedded_adapter()) / LORA).read_bytes()[:-100])
    with pytest.raises(LoraFormatError, match=r"half\.safetensors: not a whole safetensors file"):
        read_lora(tmp_path / "half.safetensors")
    with pytest.raises(LoraFormatError, match="unknown key encoder"):
        read_lora(Path(embedded_adapter()) / "emotion_adapter.safetensors")


def test_a_file_without_header_acts_at_full_strength(tmp_path):
    save_file(PAIR, tmp_path / "x.safetensors")
    assert read_lora(tmp_path / "x.safetensors").scales == {"blocks.0.attn1.to_q": 1.0}


def test_alpha_beside_the_weights_goes_before_the_header(tmp_path):
    header = {"lora_adapter_metadata": '{"transformer.lora_alpha": 8, "transformer.r": 2, "text_encoder.r": 3}'}
    for tensors, alpha in ((PAIR, 8), (PAIR | {f"{WAN}.alpha": torch.tensor(6.0)}, 6)):
        save_file(tensors, tmp_path / "x.safetensors", header)
        write_lora(read_lora(tmp_path / "x.safetensors"), tmp_path / "y.safetensors", "diffusers")
        for name in "xy":
            assert read_lora(tmp_path / f"{name}.safetensors").alphas == {"blocks.0.attn1.to_q": alpha}
        with safe_open(tmp_path / "y.safetensors", "pt") as opened:
            config = json.loads(opened.metadata()["lora_adapter_metadata"])
        assert config["transformer.lora_alpha"] == alpha and not any("text_encoder" in key for key in config)


def test_the_lora_that_comes_with_the_package(tmp_path):
    lora = read_lora(embedded_adapter())
    assert len(lora.ranks) == 60 and set(lora.scales.values()) == {1.0} and lora.metadata["base_model"] == "embedded"
    write_lora(lora, tmp_path / "x.safetensors", "comfyui")
    again = read_lora(tmp_path / "x.safetensors")
    assert again.weights.keys() == lora.weights.keys() and again.metadata["base_model"] == "embedded"
    assert all(torch.equal(again.weights[key], value) for key, value in lora.weights.items())
