"""Samples during training: what a run leaves in samples/, and that sampling changes nothing of the run."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from emogen.training.config import ConfigError
from emogen.training.run import run

SAMPLES = {"preview_steps": 2, "validation_prompts": ["a red ball", "the blue table"], "num_inference_steps": 2,
           "validation_emotions": ["neutral", "fear"], "guidance_scale": 2.0}  # fmt: skip


def trained(folder):
    return load_file(folder / "checkpoint-4/trained.safetensors")


@pytest.mark.parametrize("settings", [{}, {"fold_padding": True}, {"gradient_checkpointing": True}], ids=str)
def test_grids_appear_and_the_run_is_as_without(make_config, tmp_path, settings):
    run(make_config(run={"output_dir": str(tmp_path / "plain")}, model=settings))
    run(make_config(run={"output_dir": str(tmp_path / "seen")}, model=settings, validation=SAMPLES))
    plain, seen = trained(tmp_path / "plain"), trained(tmp_path / "seen")
    assert all(torch.equal(plain[name], seen[name]) for name in plain)
    for step in (2, 4):
        with Image.open(tmp_path / f"seen/samples/step-{step:06d}.webp") as grid:
            assert grid.n_frames == 5
        assert (tmp_path / f"seen/samples/step-{step:06d}.png").is_file()
    log = [json.loads(line) for line in (tmp_path / "seen/log.jsonl").read_text().splitlines()]
    logged = [line for line in log if any("brightness" in key for key in line)]
    assert [line["step"] for line in logged] == [2, 4]


def test_a_lora_alone_hears_the_emotion_in_the_prompt(make_config, tmp_path):
    with pytest.warns(UserWarning, match="added to the prompt"):
        run(make_config(adapter={"train_adapter": False}, validation=SAMPLES))
    assert (tmp_path / "run/samples/step-000004.png").is_file()


def test_a_picture_that_cannot_be_read_is_named(make_config, tmp_path):
    wrong = {**SAMPLES, "validation_images": [str(tmp_path / "no.png"), str(tmp_path / "no.png")]}
    with pytest.raises(ConfigError, match=r"validation_images: .*no\.png"):
        run(make_config(validation=wrong))
