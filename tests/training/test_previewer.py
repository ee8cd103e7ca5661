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


def test_a_preview_that_fails_costs_its_pictures_alone(make_config, tmp_path, monkeypatch, capsys):
    from emogen.training.outputs import previews

    def broken(*given):
        raise RuntimeError("no disk for pictures")

    run(make_config(run={"output_dir": str(tmp_path / "plain")}))
    monkeypatch.setattr(previews, "save_preview", broken)
    run(make_config(validation=SAMPLES, checkpoint={"checkpointing_steps": 2}))
    assert "step 2: the preview failed: RuntimeError: no disk for pictures; training goes on" in capsys.readouterr().out
    plain, seen = trained(tmp_path / "plain"), trained(tmp_path / "run")
    assert all(torch.equal(plain[name], seen[name]) for name in plain)


def test_the_judge_of_the_command_is_asked(make_config, tmp_path, monkeypatch):
    """Training itself knows none: it is handed in, with how its readings are counted."""
    import numpy as np

    from emogen.commands.train import load_judge
    from emogen.eval.metrics.agreement import read_as_asked
    from emogen.eval.statistics import rate
    from emogen.training.outputs.preview_report import PreviewJudge

    seen = []

    def read(clips):
        seen.append(clips.shape)
        return np.eye(8)[[6] * len(clips)]  # all of them show fear

    run(make_config(validation={**SAMPLES, "judge": "embedded"}), PreviewJudge(read, read_as_asked, rate))
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["val/EA-8"] for line in log if "val/EA-8" in line] == [1.0, 1.0]
    assert seen == [(4, 5, 16, 16, 3)] * 2 and "EA-8" in (tmp_path / "run/README.md").read_text()
    shares = load_judge("embedded").read(np.zeros((2, 13, 96, 96, 3), np.uint8))
    assert shares.shape == (2, 8)
    with pytest.raises(ConfigError, match=r"validation\.judge: .*nowhere: cannot be loaded"):
        load_judge(str(tmp_path / "nowhere"))
