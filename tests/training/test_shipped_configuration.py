"""The shipped configuration on the embedded model, nothing prepared: it runs, leaves what it promises, and its losses
are the ones that were written down, so that a change of the objective, the order or the model does not pass unseen."""

import json
from pathlib import Path

import pytest

from emogen.training.command import main

ROOT = Path(__file__).parents[2]
GOLDEN = [0.083489, 0.190082, 0.094700]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden") / "out"
    status = main([
        "--config", str(ROOT / "configs/embedded_t2v.yaml"), "--output_dir", str(folder), "--max_train_steps", "3",
        "--num_stickers", "27", "--train_batch_size", "4", "--logging_steps", "1", "--validation_steps", "0", "--cpu",
        "--base_dtype", "fp32", "--mixed_precision", "no",
    ])  # fmt: skip
    assert status == 0
    return folder


def test_the_losses_are_the_golden_ones(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == pytest.approx(GOLDEN, rel=2e-3)


def test_the_folder_loads_and_samples(out):
    import torch

    from emogen import EmotionWanPipeline, embedded_model

    for name in ("config.json", "emotion_adapter.safetensors", "pytorch_lora_weights.safetensors", "README.md"):
        assert (out / name).is_file()
    pipe = EmotionWanPipeline.from_pretrained(embedded_model())
    pipe.load_emotion_adapter(out)
    call = {"num_inference_steps": 1, "num_frames": 5, "output_type": "latent"}
    made = [pipe("a round yellow face", emotion=e, generator=torch.Generator().manual_seed(0), **call).frames
            for e in (None, "fear")]  # fmt: skip
    assert made[0].isfinite().all() and not torch.equal(*made)
