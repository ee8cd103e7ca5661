"""DeepSpeed's ZeRO on two processes (gloo, on the CPU), launched by accelerate with the shipped configuration."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from parts import torchrun
from safetensors.torch import load_file

from emogen.training.config import ConfigError
from emogen.training.run import dry_run, run

SCRIPT = Path(__file__)  # it is what the processes run, too
SHIPPED = Path(__file__).parents[2] / "configs/accelerate/eight_gpus_deepspeed.yaml"
installed = pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed")
# plain gradient descent: Adam would blow rounding up where a gradient is all but zero
DESCENT = {"optimizer": "torch.optim.SGD", "optimizer_args": {"momentum": 0.9}, "learning_rate": 0.1,
           "adapter_learning_rate": 0.1}  # fmt: skip


def launch(config, *words, fails=False):
    path = Path(config.run.output_dir).with_suffix(".json")
    path.write_text(json.dumps(config.to_dict()))
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "2",
               "--main_process_port", "0", *map(str, words), SCRIPT, path]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=path.parent, env=_environment())
    assert (done.returncode != 0) == fails, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def _environment():
    return {**os.environ, "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}


def zero(config, stage=2, **kwargs):
    return launch(config, "--config_file", SHIPPED, "--zero_stage", stage, **kwargs)


def copies(config):
    script = SCRIPT.with_name("ranked_run.py")
    path = Path(config.run.output_dir).with_suffix(".json")
    path.write_text(json.dumps(config.to_dict()))
    return torchrun(script, path, cwd=path.parent, DS_ACCELERATOR="cpu")


def tensors(folder, step):
    folder = Path(folder) / f"checkpoint-{step}"
    files = ("trained", "optimizer", "ema")
    return {f"{file}/{k}": v for file in files for k, v in load_file(folder / f"{file}.safetensors").items()}


def logged(folder, *keys):
    lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    return [line[key] for line in lines for key in keys if key in line]


def assert_close(one, two):
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-6, rtol=1e-4), name


@installed
@pytest.mark.parametrize("stage", [1, 2])
def test_two_ranks_equal_one_with_twice_the_batch(make_config, tmp_path, stage):
    # clipping at a norm below the gradients', and two micro-steps: both are the engine's to do
    optimizer = {**DESCENT, "max_grad_norm": 0.05}

    def config(name, batch, **more):
        settings = {"max_train_steps": 4, "logging_steps": 1, "gradient_accumulation_steps": 2}
        settings |= {"output_dir": str(tmp_path / name), "train_batch_size": batch}
        return make_config(run=settings, validation={"validation_steps": 4}, optimizer=optimizer, **more)

    run(config("one", 2))
    two = config("two", 1, checkpoint={"checkpointing_steps": 2})
    two.validation.preview_steps, two.validation.num_inference_steps = 4, 1
    two.validation.validation_prompts, two.validation.validation_emotions = ["a red ball"], ["neutral", "fear", "awe"]
    zero(two, stage)
    assert (tmp_path / "two/samples/step-000004.webp").is_file()
    assert_close(tensors(tmp_path / "one", 4), tensors(tmp_path / "two", 4))
    for keys in (("loss", "val/loss"), ("grad_norm",)):
        assert logged(tmp_path / "one", *keys) == pytest.approx(logged(tmp_path / "two", *keys), rel=1e-4)
    assert min(logged(tmp_path / "one", "grad_norm")) > 0.05  # so it was clipped
    for file in ("emotion_adapter.safetensors", "pytorch_lora_weights.safetensors"):
        assert_close(load_file(tmp_path / "one" / file), load_file(tmp_path / "two" / file))


@installed
def test_it_resumes_exactly_and_its_checkpoints_are_everyones(make_config, tmp_path):
    def config(name, **checkpoint):
        settings = {"max_train_steps": 4, "output_dir": str(tmp_path / name)}
        return make_config(run=settings, checkpoint={"checkpointing_steps": 2, **checkpoint})  # AdamW

    zero(config("whole"))
    middle = {"resume_from_checkpoint": str(tmp_path / "whole/checkpoint-2")}
    assert "resuming after step 2" in zero(config("again", **middle))
    whole, again = tensors(tmp_path / "whole", 4), tensors(tmp_path / "again", 4)
    assert whole.keys() == again.keys() and all(torch.equal(whole[name], again[name]) for name in whole)
    one, two = (json.loads((tmp_path / name / "checkpoint-4/state.json").read_text()) for name in ("whole", "again"))
    assert one == two and {group["name"] for group in one["groups"]} == {"lora", "adapter"}

    # one step on, by copies from a checkpoint of ZeRO and by ZeRO from it: Adam's state was all there
    copies(config("copies", **middle))
    other = tensors(tmp_path / "copies", 4)
    assert other.keys() == whole.keys()
    assert all(torch.allclose(other[name], whole[name], atol=1e-5, rtol=1e-3) for name in whole)
    assert all(whole[name].eq(4).all() for name in whole if name.endswith("#step"))


@installed
def test_bf16_keeps_the_trained_weights_in_float32(make_config, tmp_path):
    """accelerate's own way with DeepSpeed would round every step of theirs to bf16."""

    def config(name):
        settings = {"max_train_steps": 3, "output_dir": str(tmp_path / name), "mixed_precision": "bf16"}
        return make_config(model={"base_dtype": "bf16"}, run=settings, optimizer=DESCENT)

    zero(config("zero"))
    copies(config("copies"))
    assert_close(tensors(tmp_path / "copies", 3), tensors(tmp_path / "zero", 3))
    assert all(value.dtype == torch.float32 for value in tensors(tmp_path / "zero", 3).values())


@installed
def test_a_gradient_that_is_not_finite_ends_the_run_at_the_last_good_step(make_config, tmp_path):
    steep = {**DESCENT, "learning_rate": 1e30, "max_grad_norm": 1e30}
    config = make_config(run={"max_train_steps": 60}, optimizer=steep, checkpoint={"checkpointing_steps": 1})
    said = zero(config, fails=True)
    assert "TrainingDiverged" in said and "is not finite" in said and "gradient norm inf" in said
    step = max(int(path.name.partition("-")[2]) for path in (tmp_path / "run").glob("checkpoint-*"))
    assert f"step {step + 1}: the" in said and f"checkpoint-{step}" in said


def asked(monkeypatch, **variables):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    for name, value in variables.items():
        monkeypatch.setenv(f"ACCELERATE_{name}", value)


def test_without_deepspeed_it_says_so_before_data_are_encoded(make_config, tmp_path, monkeypatch):
    asked(monkeypatch)
    monkeypatch.setitem(sys.modules, "deepspeed", None)  # as if it were not installed
    for start in (run, dry_run):
        with pytest.raises(ConfigError, match=r"\.\[deepspeed\].*eight_gpus.yaml or .*eight_gpus_fsdp2.yaml"):
            start(make_config())
    assert not (tmp_path / "cache").exists() and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("variables", "changes", "message"),
    [
        ({"DEEPSPEED_ZERO_STAGE": "3"}, {}, "must be 1 or 2, not 3; to divide the base too, .*fsdp2.yaml"),
        ({"DEEPSPEED_ZERO_STAGE": "0"}, {}, "must be 1 or 2, not 0; launch with .*eight_gpus.yaml"),
        ({"DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "cpu"}, {}, "offload_optimizer must be none"),
        ({}, {"optimizer": {"optimizer": "torch.optim.Adafactor"}}, "Adafactor may look at whole matrices"),
        ({}, {"run": {"mixed_precision": "fp16", "cpu": False}}, "mixed_precision: fp16 would need"),
        ({}, {"model": {"base_storage": "fp8"}}, "base_storage: fp8"),
    ],
)
def test_what_does_not_go_with_it_is_refused(make_config, tmp_path, monkeypatch, variables, changes, message):
    asked(monkeypatch, **variables)
    monkeypatch.setitem(sys.modules, "deepspeed", sys)  # the checks do not need it
    with pytest.raises(ConfigError, match=message):
        run(make_config(**changes))
    assert not (tmp_path / "cache").exists()


def test_a_deepspeed_file_cannot_contradict_the_training_configuration(make_config, tmp_path, monkeypatch):
    file = tmp_path / "zero.json"
    file.write_text(json.dumps({"zero_optimization": {"stage": 2}, "bf16": {"enabled": True}, "optimizer": {}}))
    asked(monkeypatch, DEEPSPEED_CONFIG_FILE=str(file))
    monkeypatch.setitem(sys.modules, "deepspeed", sys)
    with pytest.raises(ConfigError, match="sets optimizer, bf16, which the training configuration says"):
        run(make_config())


def test_the_shipped_configuration_asks_for_what_can_be_had():
    shipped = yaml.safe_load(SHIPPED.read_text())
    assert shipped["distributed_type"] == "DEEPSPEED"
    assert shipped["deepspeed_config"]["zero_stage"] == 2
    assert {shipped["deepspeed_config"][f"offload_{part}_device"] for part in ("optimizer", "param")} == {"none"}


if __name__ == "__main__":
    import runpy

    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # or it compiles C++ in place of gloo
    runpy.run_path(str(SCRIPT.with_name("ranked_run.py")), run_name="__main__")
