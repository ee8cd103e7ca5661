"""The whole recipe from one command, in seconds: every stage, and the models that it made."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanPipeline
from PIL import Image
from safetensors.torch import load_file

from emogen import embedded
from emogen.eval.judges.classifier import ClipClassifier
from emogen.pipelines import EmotionWanImageToVideoPipeline, EmotionWanPipeline
from emogen.pipelines.composition import add_loras
from emogen.pipelines.presets import apply_preset
from recipe.__main__ import main
from recipe.card import parts
from recipe.figures import SPLITS, SYSTEMS
from recipe.plan import Workshop
from recipe.stages import STAGES


def test_all_stages_then_nothing_is_left_to_do_and_the_models_run(tmp_path, capfd, monkeypatch, tiny):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    work = tmp_path / "work"
    command = ["--work", str(work), "--scale", "tiny"]
    assert main(["all", *command]) == 0
    said = capfd.readouterr().out
    assert [line[3:] for line in said.splitlines() if line.startswith("== ")] == [stage.name for stage in STAGES]
    assert main(["all", *command]) == 0 and "==" not in capfd.readouterr().out
    assert main(["status", *command]) == 0
    table = capfd.readouterr().out
    assert table.count(" done ") + table.count(" done\n") == len(STAGES) and "base         done   8/8 loss" in table

    shop = Workshop(tiny, work)
    card = json.loads((work / "card/card.json").read_text())
    assert all(path.exists() for path in parts(shop).values())
    assert card["parts"]["transformer"]["parameters"] > 100_000 and card["stages"]["base"]["steps"] == 8
    assert set(card["readers"]) == {"judge", "judge_blends", "judge_art", "content", "wellformed"}
    assert {f"{split} {system}" for split in SPLITS for system in SYSTEMS} == set(card["figures"])
    assert all(one["n"] == 8 and 0 <= one["well formed"] <= 1 for one in card["figures"].values())
    assert (work / "card/base.png").stat().st_size > 0
    weights = [path for path in work.rglob("*") if path.suffix in (".pt", ".bin", ".pth", ".pkl", ".ckpt")]
    assert not weights

    call = {"num_inference_steps": 2, "output_type": "np", "generator": torch.Generator().manual_seed(0)}
    folder = work / "model/diffusers"
    assert WanPipeline.from_pretrained(folder).transformer.config.num_layers == tiny.transformer.layers
    pipe = EmotionWanPipeline.from_pretrained(str(folder))
    pipe.set_progress_bar_config(disable=True)
    pipe.load_emotion_adapter(str(work / "adapter/run"))
    assert pipe("a red cat", emotion="fear", **call).frames[0].shape == (5, 32, 32, 3)
    add_loras(pipe, [str(work / "fast")])
    apply_preset(pipe, "fast")
    learned = pipe.transformer.blocks[0].attn1.to_q.lora_B["fast"].weight
    assert learned.abs().max() > 0 and len(pipe("a red cat", emotion="fear", output_type="np").frames[0]) == 5
    pipe = EmotionWanImageToVideoPipeline.from_pretrained(str(work / "i2v_model/diffusers"))
    pipe.set_progress_bar_config(disable=True)
    pipe.load_emotion_adapter(str(work / "i2v_adapter/run"))
    picture = np.full((32, 32, 3), 200, np.uint8)
    clip = pipe(Image.fromarray(picture), "a red cat", emotion="fear", **call).frames[0]
    assert clip.shape == (5, 32, 32, 3) and np.isfinite(clip).all()

    # What is shipped of image to video is what differs; put together again it is the model that was trained.
    monkeypatch.setenv("EMOGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "_HERE", work / "ship/package")
    part = "transformer/diffusion_pytorch_model.safetensors"
    whole = load_file(work / "i2v_model/diffusers" / part)
    again = load_file(Path(embedded.embedded_i2v_model()) / part)
    assert whole.keys() == again.keys() and not (work / "ship/package/i2v" / part).exists()
    for name, value in whole.items():
        torch.testing.assert_close(again[name], value, atol=1e-3, rtol=1e-2)
    pipe = EmotionWanImageToVideoPipeline.from_pretrained(embedded.embedded_i2v_model())
    pipe.load_emotion_adapter(embedded.embedded_i2v_adapter())
    for kind in ("judge", "judge_blends", "content"):
        ClipClassifier.from_pretrained(embedded.embedded_judge(kind))

    # Another configuration in the same folder, and a stage out of turn, are refused; more steps are not.
    assert main(["base", *command, "--set", "base.shift=3.0"]) == 2
    assert "made with another options.base.shift" in capfd.readouterr().err
    assert main(["base", "--work", str(tmp_path / "other"), "--scale", "tiny"]) == 2
    assert "base is made from latents, text, which is not there" in capfd.readouterr().err
    phases = one_step_more(tiny)
    assert main(["base", *command, "--set", f"base.schedule.phases={phases}"]) == 0
    assert "base clips 9/9" in capfd.readouterr().out


def one_step_more(tiny) -> str:
    phases = [phase.model_dump() for phase in tiny.base.schedule.phases]
    phases[-1]["steps"] += 1
    return json.dumps(phases)


@pytest.mark.parametrize("argv", [["base"], ["nothing", "--work", "x"], ["base", "--work", "x", "--scale", "huge"]])
def test_wrong_commands_are_refused(argv):
    with pytest.raises(SystemExit) as refused:
        main(argv)
    assert refused.value.code == 2
