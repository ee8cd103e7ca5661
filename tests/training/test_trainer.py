import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from emogen.training.data.plan import DataError
from emogen.training.life.checkpoint import CheckpointError, list_checkpoints
from emogen.training.run import run
from emogen.training.trainer import Trainer, TrainingDiverged


def checkpoint(folder, step) -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint."""
    folder = Path(folder) / f"checkpoint-{step}"
    files = ("trained", "optimizer", "ema")
    return {f"{f}/{k}": v for f in files for k, v in load_file(folder / f"{f}.safetensors").items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


def log_of(folder):
    return [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_four_and_four_steps_are_eight_steps_bit_for_bit(make_config, tmp_path, monkeypatch, precision):
    settings = {"max_train_steps": 8, "mixed_precision": precision}
    run(make_config(run=settings | {"output_dir": str(tmp_path / "whole")}))

    halves = str(tmp_path / "halves")
    take_step = Trainer.train_step

    def crash_at_six(self):
        if self.step == 6:
            raise Interrupted
        return take_step(self)

    monkeypatch.setattr(Trainer, "train_step", crash_at_six)
    with pytest.raises(Interrupted):
        run(make_config(run=settings | {"output_dir": halves}, checkpoint={"checkpointing_steps": 4}))
    monkeypatch.undo()
    assert [line["step"] for line in log_of(halves)] == [1, 2, 3, 4, 5, 6]
    run(make_config(run=settings | {"output_dir": halves}, checkpoint={"resume_from_checkpoint": "latest"}))

    assert_same(checkpoint(tmp_path / "whole", 8), checkpoint(halves, 8))
    whole, continued = (
        [(line["step"], line["loss"]) for line in log_of(folder)] for folder in (tmp_path / "whole", halves)
    )
    assert whole == continued and len(whole) == 8


def test_accumulation_recomputation_and_folding_change_nothing_but_cost(make_config, tmp_path):
    def trained(name, model=None, **settings):
        out = str(tmp_path / name)
        run(make_config(run=settings | {"output_dir": out, "max_train_steps": 1}, model=model or {}))
        return checkpoint(out, 1)

    whole = trained("whole", train_batch_size=4)
    for other in (
        trained("parts", train_batch_size=1, gradient_accumulation_steps=4),
        trained("recomputed", train_batch_size=4, model={"gradient_checkpointing": True}),
        trained("folded", train_batch_size=4, model={"fold_padding": True}),
    ):
        for name, value in whole.items():
            if name.endswith("#exp_avg"):
                assert torch.allclose(value, other[name], atol=1e-7, rtol=1e-4), name


def test_learns_and_the_emotion_helps(make_config, clips_folder, model_folder, tmp_path):
    """Latents written by hand: all ones for joy, all minus ones for fear. Only a model that hears the emotion
    can tell which is right."""
    from emogen.data.buckets import Bucket
    from emogen.data.records import read_records
    from emogen.training.data.clips import PlannedClip
    from emogen.training.data.encode import cache_of
    from emogen.training.families import family_of

    rows = [json.loads(line) for line in (clips_folder / "metadata.jsonl").read_text().splitlines()]
    for index, row in enumerate(rows):
        row.update(emotion=("joy", "fear")[index % 2], caption="a")
    (clips_folder / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = make_config(
        data={"dataset_name": str(clips_folder / "two.jsonl")},
        run={"max_train_steps": 200, "train_batch_size": 8},
        lora={"rank": 4, "target_modules": ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]},
        adapter={"adapter_rank": 32, "adapter_head_dim": 16},
        validation={"validation_steps": 200},
    )
    cache = cache_of(family_of(model_folder), tmp_path / "cache", 8.0, "skip", 12)
    for index, record in enumerate(read_records(config.data.dataset_name)):
        latents = torch.full((4, 2, 4, 4), (1.0, -1.0)[index % 2])
        cache.write_clip(PlannedClip(record, Bucket(5, 16, 16)), {"latents": latents})
    run(config)
    log = log_of(tmp_path / "run")
    (measured,) = [line for line in log if "val/loss" in line]
    losses = [line["loss"] for line in log if "loss" in line]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert measured["val/loss"] < 0.9 * measured["val/loss_neutral"]


def test_held_out_loss_is_reported_by_emotion_and_level(make_config, tmp_path):
    run(make_config(run={"max_train_steps": 2}, validation={"validation_steps": 1}))
    measured = [line for line in log_of(tmp_path / "run") if "val/loss" in line]
    assert [line["step"] for line in measured] == [1, 2]
    names = {"val/loss", "val/loss_neutral", "val/loss_swapped", "val/loss/amusement", "val/loss/fear",
             "val/quantile/0.3", "val/quantile/0.7", "step"}  # fmt: skip
    assert set(measured[0]) == names
    by_emotion = (measured[0]["val/loss/amusement"] + measured[0]["val/loss/fear"]) / 2
    assert by_emotion == pytest.approx(measured[0]["val/loss"], rel=1e-5)


def test_sigterm_saves_and_ends_cleanly(make_config, tmp_path, monkeypatch):
    take_step = Trainer.train_step

    def terminate_at_two(self):
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(self)

    monkeypatch.setattr(Trainer, "train_step", terminate_at_two)
    before = signal.getsignal(signal.SIGTERM)
    run(make_config(run={"max_train_steps": 50}))
    assert signal.getsignal(signal.SIGTERM) is before
    assert [one.path.name for one in list_checkpoints(tmp_path / "run")] == ["checkpoint-3"]
    assert (tmp_path / "run/config.json").is_file()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_the_clips_named(make_config, tmp_path, monkeypatch, value):
    import emogen.training.trainer as module

    honest, calls = module.flow_loss, []

    def poisoned(*arguments):
        loss = honest(*arguments)
        calls.append(loss)
        return loss * torch.tensor([1.0, value]) if len(calls) == 4 else loss

    monkeypatch.setattr(module, "flow_loss", poisoned)
    message = (
        r"step 4: the loss is not finite; clips of the step: clip\d\.webp; gradient norm .*, not finite in \d+ of "
        r".*checkpoint-3"
    )
    with pytest.raises(TrainingDiverged, match=message):
        run(make_config(run={"max_train_steps": 9}, checkpoint={"checkpointing_steps": 3}))
    kept = checkpoint(tmp_path / "run", 3)
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())


def test_a_folder_that_holds_a_run_is_not_overwritten(make_config, tmp_path):
    run(make_config(run={"max_train_steps": 1}))
    before = (tmp_path / "run/training_config.yaml").read_text()
    with pytest.raises(CheckpointError, match="--resume_from_checkpoint latest"):
        run(make_config(run={"max_train_steps": 2}))
    assert (tmp_path / "run/training_config.yaml").read_text() == before


def test_a_run_may_begin_from_a_named_checkpoint(make_config, tmp_path):
    run(make_config(run={"max_train_steps": 2}, checkpoint={"checkpointing_steps": 1}))
    named = str(tmp_path / "run/checkpoint-1")
    other = {"max_train_steps": 2, "output_dir": str(tmp_path / "other")}
    run(make_config(run=other, checkpoint={"resume_from_checkpoint": named}))
    assert_same(checkpoint(tmp_path / "run", 2), checkpoint(tmp_path / "other", 2))
    with pytest.raises(CheckpointError, match="not a checkpoint's folder"):
        run(make_config(checkpoint={"resume_from_checkpoint": "newest"}))


def test_resuming_with_another_shape_is_refused_and_with_other_settings_reported(make_config, capsys):
    run(make_config(run={"max_train_steps": 1}))
    with pytest.raises(CheckpointError, match="this run trains"):
        run(make_config(lora={"rank": 3}, checkpoint={"resume_from_checkpoint": "latest"}))
    on = {"run": {"max_train_steps": 2}, "checkpoint": {"resume_from_checkpoint": "latest"}}
    run(make_config(objective={"shift": 5.0}, **on))
    assert "warning: objective, steps changed" in capsys.readouterr().out


def test_only_the_newest_checkpoints_are_kept(make_config, tmp_path):
    run(make_config(run={"max_train_steps": 5}, checkpoint={"checkpointing_steps": 1, "checkpoints_total_limit": 2}))
    assert [one.path.name for one in list_checkpoints(tmp_path / "run")] == ["checkpoint-4", "checkpoint-5"]


def test_unusable_clips_are_counted_and_limited(make_config, clips_folder, tmp_path, capsys):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(clips_folder, folder)
    (folder / "clip1.webp").write_bytes(b"broken")
    (folder / "clip2.webp").unlink()
    with pytest.raises(DataError, match=r"2 of 10 clips cannot be used, more than data\.max_bad_fraction"):
        run(make_config(data={"dataset_name": str(folder)}))
    run(make_config(data={"dataset_name": str(folder), "max_bad_fraction": 0.2}, run={"max_train_steps": 1}))
    text = capsys.readouterr().out
    assert "clip2.webp: no such file" in text and "clip1.webp:" in text
    card = (tmp_path / "run/README.md").read_text()
    assert "2 more could not be used" in card and str(tmp_path) not in card


def test_without_preloading_the_same_run(make_config, tmp_path):
    for name, preload in (("memory", True), ("disk", False)):
        run(make_config(run={"max_train_steps": 2, "output_dir": str(tmp_path / name)}, data={"preload": preload}))
    assert_same(checkpoint(tmp_path / "memory", 2), checkpoint(tmp_path / "disk", 2))
