"""Two processes (gloo, on the CPU) against one with twice the batch."""

import json
from pathlib import Path

import pytest
import torch
from accelerate.commands.config import load_config_from_file
from parts import ranks
from safetensors.torch import load_file

from emogen.training.run import run

SCRIPT = Path(__file__).with_name("ranked_run.py")
ACCELERATE = Path(__file__).parents[2] / "configs/accelerate"


def launch(config, *words, processes=2):
    path = Path(config.run.output_dir).with_suffix(".json")
    path.write_text(json.dumps(config.to_dict()))
    return ranks(SCRIPT, path, *words, processes=processes, cwd=path.parent)


# plain gradient descent: Adam would blow rounding up where a gradient is all but zero
SGD = {"optimizer": "torch.optim.SGD", "optimizer_args": {"momentum": 0.9}, "learning_rate": 0.1,
       "adapter_learning_rate": 0.1}  # fmt: skip


def tensors(folder, step):
    folder = Path(folder) / f"checkpoint-{step}"
    files = ("trained", "optimizer", "ema")
    return {f"{file}/{k}": v for file in files for k, v in load_file(folder / f"{file}.safetensors").items()}


def losses(folder):
    lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    return [line[key] for line in lines for key in ("loss", "val/loss") if key in line]


def same(one, two):
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-6, rtol=1e-4), name


@pytest.mark.parametrize("way", ["ddp", "fsdp2"])
def test_two_ranks_equal_one_with_twice_the_batch(make_config, tmp_path, way):
    settings = {"max_train_steps": 4, "logging_steps": 1}
    checks = {"validation_steps": 4}
    optimizer = SGD

    def config(name, batch, **more):
        run_settings = {**settings, "output_dir": str(tmp_path / name), "train_batch_size": batch}
        return make_config(run=run_settings, validation=checks, optimizer=optimizer, **more)

    run(config("one", 4))
    two = config("two", 2, checkpoint={"checkpointing_steps": 2})
    two.validation.preview_steps, two.validation.num_inference_steps = 4, 1
    two.validation.validation_prompts, two.validation.validation_emotions = ["a red ball"], ["neutral", "fear", "awe"]
    launch(two, way)
    assert (tmp_path / "two/samples/step-000004.webp").is_file()
    one, two = tensors(tmp_path / "one", 4), tensors(tmp_path / "two", 4)
    same(one, two)
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "two"), rel=1e-5)
    exported = "emotion_adapter.safetensors", "pytorch_lora_weights.safetensors"
    for file in exported:
        mine, theirs = load_file(tmp_path / "one" / file), load_file(tmp_path / "two" / file)
        same(mine, theirs)

    # and it resumes exactly: from the checkpoint of step 2 to the same step 4
    resume = {"checkpoint": {"resume_from_checkpoint": str(tmp_path / "two/checkpoint-2")}}
    assert "resuming after step 2" in launch(config("again", 2, **resume), way)
    again = tensors(tmp_path / "again", 4)
    assert all(torch.equal(two[name], again[name]) for name in two)


@pytest.mark.parametrize(
    ("words", "processes", "recompute"), [((), 2, False), ((), 4, True), (("fsdp2",), 2, True)]
)  # fmt: skip
def test_processes_that_share_clips_equal_one(make_config, tmp_path, words, processes, recompute):
    """Two processes a clip, in one or two groups, with all that a run does: previews, held-out loss, checkpoints."""

    def config(name, batch, ulysses):
        run_settings = {"max_train_steps": 3, "gradient_accumulation_steps": 2, "train_batch_size": batch,
                        "ulysses": ulysses, "output_dir": str(tmp_path / name)}  # fmt: skip
        made = make_config(run=run_settings, validation={"validation_steps": 3, "validation_clips": 2}, optimizer=SGD)
        made.model.gradient_checkpointing = recompute
        return made

    groups = processes // 2
    run(config("one", 2 * groups, 1))
    shared = config("shared", 2, 2)
    shared.validation.preview_steps, shared.validation.num_inference_steps = 3, 1
    shared.validation.validation_prompts, shared.validation.validation_emotions = ["a red ball"], ["neutral", "fear"]
    launch(shared, "ulysses", *words, processes=processes)
    assert (tmp_path / "shared/samples/step-000003.webp").is_file()
    same(tensors(tmp_path / "one", 3), tensors(tmp_path / "shared", 3))
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "shared"), rel=1e-5)


@pytest.mark.parametrize("path", sorted(ACCELERATE.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_accelerate_configurations_are_valid(path):
    config = load_config_from_file(str(path))
    assert config.num_processes >= 1
    wrapped = (getattr(config, "fsdp_config", None) or {}).get("fsdp_transformer_layer_cls_to_wrap")
    if wrapped:
        from diffusers.models.transformers import transformer_wan

        assert hasattr(transformer_wan, wrapped)
