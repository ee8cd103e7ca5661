"""The shipped configurations on the embedded models, nothing prepared: they run, leave what they promise, and their
losses are those that were written down, so that no change of objective, order or model passes unseen."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import emogen
from emogen.commands.train import main

ROOT = Path(__file__).parents[2]
GOLDEN = {"embedded_t2v": [0.083489, 0.190082, 0.094700], "embedded_i2v": [0.087574, 0.189647, 0.101280]}


@pytest.fixture(scope="module", params=GOLDEN)
def run(request, tmp_path_factory):
    """(name of the configuration, what it left)"""
    folder = tmp_path_factory.mktemp("golden") / "out"
    status = main([
        "--config", str(ROOT / f"configs/{request.param}.yaml"), "--output_dir", str(folder), "--max_train_steps", "3",
        "--num_stickers", "27", "--train_batch_size", "4", "--logging_steps", "1", "--validation_steps", "0", "--cpu",
        "--base_dtype", "fp32", "--mixed_precision", "no",
    ])  # fmt: skip
    assert status == 0
    return request.param, folder


def test_the_losses_are_the_golden_ones(run):
    name, out = run
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == pytest.approx(GOLDEN[name], rel=2e-3)


def test_the_folder_loads_and_samples(run):
    name, out = run
    for file in ("config.json", "emotion_adapter.safetensors", "pytorch_lora_weights.safetensors", "README.md"):
        assert (out / file).is_file()
    call = {"num_inference_steps": 1, "num_frames": 5, "output_type": "latent"}
    if name == "embedded_t2v":
        pipe = emogen.EmotionWanPipeline.from_pretrained(emogen.embedded_model())
    else:
        pipe = emogen.EmotionWanImageToVideoPipeline.from_pretrained(emogen.embedded_i2v_model())
        call["image"] = Image.fromarray(np.full((96, 96, 3), 200, np.uint8))
    pipe.load_emotion_adapter(out)
    made = [pipe(prompt="a round yellow face", emotion=e, generator=torch.Generator().manual_seed(0), **call).frames
            for e in (None, "fear")]  # fmt: skip
    assert made[0].isfinite().all() and not torch.equal(*made)
