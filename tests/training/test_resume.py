"""Going on from a checkpoint: what is kept, what the configuration decides, and what is damaged."""

import json
import shutil
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from emogen.files import FolderInUse, only_writer
from emogen.training import run as training
from emogen.training.config import ConfigError
from emogen.training.life.checkpoint import CheckpointError, find_resume, list_checkpoints
from emogen.training.run import dry_run, run
from emogen.training.trainer import ExportError

LATEST = {"resume_from_checkpoint": "latest"}


def names(folder):
    return sorted(path.name for path in folder.glob("checkpoint-*"))


def groups_of(checkpoint):
    return json.loads((checkpoint / "state.json").read_text())["groups"]


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def two_steps(model_folder, clips_folder, tmp_path_factory):
    """A run of two steps with a checkpoint after each, and its cache; copied where it is continued."""
    from emogen.training.config import config_from_dict

    folder = tmp_path_factory.mktemp("begun")
    config = {
        "model": {"pretrained_model_name_or_path": str(model_folder), "base_dtype": "fp32"},
        "data": {"dataset_name": str(clips_folder), "cache_dir": str(folder / "cache")},
        "lora": {"rank": 2},
        "adapter": {"num_tokens": 2, "hidden_dim": 8, "adapter_rank": 8, "adapter_head_dim": 4},
        "objective": {"timesteps": "logit_normal", "shift": 2.0},
        "optimizer": {"learning_rate": 1e-2, "adapter_learning_rate": 1e-2, "lr_warmup_steps": 2},
        "run": {"output_dir": str(folder / "run"), "max_train_steps": 2, "train_batch_size": 2, "mixed_precision": "no",
                "cpu": True, "logging_steps": 1, "ema_decay": 0.9},
        "checkpoint": {"checkpointing_steps": 1},
        "validation": {"validation_steps": 0},
    }  # fmt: skip
    run(config_from_dict(config))
    return folder


@pytest.fixture
def goes_on(make_config, two_steps, tmp_path):
    """Continue the run of two steps in a copy; keyword arguments change the configuration. Returns its folder."""
    shutil.copytree(two_steps, tmp_path, dirs_exist_ok=True)

    def go(steps=3, **changes):
        changes = {"checkpoint": LATEST, **changes}
        changes["run"] = {"max_train_steps": steps, **changes.get("run", {})}
        run(make_config(**changes))
        return tmp_path / "run"

    return go


@pytest.mark.parametrize(("changes", "line"), [
    ({"optimizer": {"learning_rate": 0.02}}, "optimizer.learning_rate: 0.01 in the checkpoint, 0.02 now; the new"),
    ({"optimizer": {"adam_weight_decay": 0.3}}, "optimizer.adam_weight_decay: 0.01 in the checkpoint, 0.3 now"),
    ({"optimizer": {"optimizer_args": {"amsgrad": False}}}, "optimizer.optimizer_args.amsgrad: nothing in the"),
    ({"run": {"ema_decay": 0.5}}, "ema_decay: 0.9 in the checkpoint, 0.5 now; the new value is used"),
    ({"run": {"ema_decay": 0.0}}, "run.ema_decay: the checkpoint's moving average is left"),
])  # fmt: skip
def test_a_new_value_wins_and_is_said(goes_on, capsys, changes, line):
    folder = goes_on(**changes)
    assert line in capsys.readouterr().out
    group = groups_of(folder / "checkpoint-3")[0]
    settings = changes.get("optimizer", {})
    assert group["peak"] == settings.get("learning_rate", 0.01)
    assert group["weight_decay"] == settings.get("adam_weight_decay", 0.01)
    assert (folder / "checkpoint-3/ema.safetensors").is_file() == (changes.get("run", {}).get("ema_decay") != 0.0)


def test_an_average_may_begin_late(goes_on, tmp_path, capsys):
    for step in (1, 2):
        (tmp_path / f"run/checkpoint-{step}/ema.safetensors").unlink()
        state = tmp_path / f"run/checkpoint-{step}/state.json"
        values = json.loads(state.read_text())
        del values["sha256"]["ema.safetensors"]
        values["identity"]["ema_decay"] = 0.0
        state.write_text(json.dumps(values))
    folder = goes_on()
    assert "it begins with the weights of now" in capsys.readouterr().out
    before = load_file(folder / "checkpoint-2/trained.safetensors")
    after, average = (load_file(folder / f"checkpoint-3/{name}.safetensors") for name in ("trained", "ema"))
    weight = 1 - min(0.9, 4 / 13)
    assert all(torch.allclose(average[k], before[k].lerp(after[k], weight), atol=1e-6) for k in after)


def test_another_optimizer_is_refused_before_anything_is_made(goes_on, tmp_path):
    with pytest.raises(CheckpointError, match=r"used torch\.optim\.AdamW, whose state torch\.optim\.SGD cannot take"):
        goes_on(optimizer={"optimizer": "torch.optim.SGD"})
    assert names(tmp_path / "run") == ["checkpoint-1", "checkpoint-2"]


def test_only_this_branch_is_thinned_out_and_the_newest_is_what_was_written_last(goes_on, tmp_path, capsys):
    folder = goes_on(6, checkpoint={**LATEST, "checkpointing_steps": 2})
    assert names(folder) == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]
    goes_on(3, checkpoint={"resume_from_checkpoint": "checkpoint-2", "checkpoints_total_limit": 1})
    assert names(folder) == ["checkpoint-3", "checkpoint-4", "checkpoint-6"]  # 4 and 6 are of the other branch
    assert "checkpoint-4, checkpoint-6: of another branch" in capsys.readouterr().out
    assert find_resume(folder, "latest") == folder / "checkpoint-3"
    goes_on(5, checkpoint={**LATEST, "checkpointing_steps": 1, "checkpoints_total_limit": 2})
    assert names(folder) == ["checkpoint-4", "checkpoint-5", "checkpoint-6"]
    assert find_resume(folder, "latest") == folder / "checkpoint-5"


def test_what_is_no_checkpoint_is_passed_over_and_said(goes_on, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(folder / "checkpoint-2", folder / "checkpoint-2 (copy)")
    (folder / "checkpoint-old").mkdir()
    (folder / ".checkpoint-3.99999").mkdir()
    (folder / ".0123456789ab.99999.json").touch()
    goes_on()
    said = capsys.readouterr().out
    assert "checkpoint-2 (copy): ignored" in said and "checkpoint-old: ignored" in said
    assert not (folder / ".checkpoint-3.99999").exists() and not (folder / ".0123456789ab.99999.json").exists()
    assert [one.step for one in list_checkpoints(folder)] == [1, 2, 3] and (folder / "checkpoint-2 (copy)").is_dir()


@pytest.mark.parametrize("damage", ["cut", "middle", "gone", "state"])
def test_a_damaged_checkpoint_names_itself_and_the_one_before_is_taken(two_steps, tmp_path, damage):
    folder = tmp_path / "run"
    shutil.copytree(two_steps / "run", folder)
    file = folder / "checkpoint-2" / ("state.json" if damage == "state" else "trained.safetensors")
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        content[-9:] = b"\xff" * (0 if damage == "cut" else 9)
        file.write_bytes(content)
    said = []
    assert find_resume(folder, "latest", said.append) == folder / "checkpoint-1"
    assert str(file) in " ".join(said)
    with pytest.raises(CheckpointError, match=f"{file.name}.*resume from .*checkpoint-1"):
        find_resume(folder, "checkpoint-2")
    shutil.rmtree(folder / "checkpoint-1")
    if damage != "state":
        with pytest.raises(CheckpointError, match=r"no checkpoint of .* is whole"):
            find_resume(folder, "latest")


def test_a_finished_run_is_exported_again(goes_on, tmp_path, monkeypatch):
    honest = training.export_weights
    monkeypatch.setattr(training, "export_weights", lambda *given: Path(tmp_path / "no/such/folder").write_text(""))
    with pytest.raises(ExportError, match=r"step 3 cannot be written.*--resume_from_checkpoint latest"):
        goes_on()
    exported = tmp_path / "run/emotion_adapter.safetensors"
    exported.unlink()
    monkeypatch.setattr(training, "export_weights", honest)
    goes_on()
    made, average = load_file(exported), load_file(tmp_path / "run/checkpoint-3/ema.safetensors")
    assert sum(value.numel() for value in made.values()) < sum(value.numel() for value in average.values())
    assert [line["step"] for line in log_of(tmp_path / "run")] == [1, 2, 3]


def test_one_run_writes_into_a_folder_and_begins_its_own_log(goes_on, make_config, tmp_path, capsys):
    with only_writer(tmp_path / "run"), pytest.raises(FolderInUse, match=r"process \d+ on .* is writing here"):
        goes_on()
    shutil.rmtree(tmp_path / "run/checkpoint-1")
    shutil.rmtree(tmp_path / "run/checkpoint-2")
    run(make_config(run={"max_train_steps": 1}))  # what is left is the log of a run that died before its checkpoint
    assert [line["step"] for line in log_of(tmp_path / "run")] == [1]
    assert "put aside" in capsys.readouterr().out and (tmp_path / "run/log.before.jsonl").is_file()
    made = [tmp_path / "run" / name for name in
            ("pytorch_lora_weights.safetensors", "checkpoint-1/trained.safetensors", "README.md")]  # fmt: skip
    (tmp_path / "as the umask says").touch()
    usual = stat.S_IMODE((tmp_path / "as the umask says").stat().st_mode)
    assert [stat.S_IMODE(file.stat().st_mode) for file in made] == [usual] * len(made)


def test_damaged_latents_and_texts_are_made_again(goes_on, tmp_path, capsys):
    latents, texts = (sorted((tmp_path / "cache" / kind).rglob("*.safetensors")) for kind in ("latents", "text"))
    kept = latents[0].read_bytes()
    latents[0].write_bytes(kept[:-40] + b"\0" * 40)  # of the right size, with a right header
    latents[1].write_bytes(latents[1].read_bytes()[:100])
    texts[0].write_bytes(b"")
    goes_on()
    said = capsys.readouterr().out
    assert all(f"damaged, made again: {file}" in said for file in (*latents[:2], texts[0]))
    assert said.count("made again") == 3 and load_file(latents[1])
    one, other = load_file(latents[0])["latents"], latents[0].read_bytes()
    assert torch.isfinite(one).all() and len(other) == len(kept)


@pytest.mark.parametrize("optimizer", [
    {"optimizer": "stand_in_optimizers.ScheduleFree"},
    {"optimizer": "stand_in_optimizers.Prodigy"},
    {"optimizer": "torch.optim.Adafactor"},
    {"optimizer": "transformers.optimization.Adafactor",
     "optimizer_args": {"relative_step": False, "scale_parameter": False}},
], ids=lambda value: value["optimizer"])  # fmt: skip
def test_optimizers_with_habits_of_their_own_resume_exactly(two_steps, make_config, tmp_path, monkeypatch, optimizer):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    shutil.copytree(two_steps / "cache", tmp_path / "cache")
    for name, steps in (("whole", 4), ("halves", 2), ("halves", 4)):
        run(make_config(
            run={"max_train_steps": steps, "output_dir": str(tmp_path / name), "ema_decay": 0.0},
            optimizer={**optimizer, "lr_scheduler": "constant", "lr_warmup_steps": 0}, checkpoint=LATEST,
            validation={"validation_steps": 2},
        ))  # fmt: skip
    for file in ("checkpoint-4/trained", "checkpoint-4/optimizer", "pytorch_lora_weights"):
        whole, halves = (load_file(tmp_path / name / f"{file}.safetensors") for name in ("whole", "halves"))
        assert whole.keys() == halves.keys() and all(torch.equal(whole[key], halves[key]) for key in whole)
    assert groups_of(tmp_path / "whole/checkpoint-4") == groups_of(tmp_path / "halves/checkpoint-4")
    if "ScheduleFree" in optimizer["optimizer"]:  # trained at one point, exported at another
        trained = load_file(tmp_path / "whole/checkpoint-4/trained.safetensors")
        lora = load_file(tmp_path / "whole/pytorch_lora_weights.safetensors")
        key = next(key for key in lora if "lora_B" in key)
        assert not torch.equal(lora[key], trained[key.replace(".weight", ".default.weight")])


@pytest.mark.parametrize(("changes", "error"), [
    ({"optimizer": {"optimizer": "torch.optim.SparseAdam"}}, "SparseAdam cannot take a step"),
    ({"optimizer": {"optimizer": "stand_in_optimizers.Prodigy", "learning_rate": 1.0}}, "different lr values"),
    ({"optimizer": {"optimizer": "transformers.optimization.Adafactor"}}, "refuses: Cannot combine manual"),
    ({"run": {"report_to": "wandb"}}, "run.report_to: wandb is not installed"),
    ({"validation": {"preview_steps": 1, "validation_prompts": ["a"], "validation_emotions": ["joyy"]}}, "joyy"),
    ({"validation": {"preview_steps": 1, "validation_prompts": ["a", "a"]}}, "'a' twice"),
    ({"validation": {"preview_steps": 1, "validation_prompts": ["a"], "validation_images": ["no.png"]}}, r"no\.png"),
    ({"validation": {"preview_steps": 1, "validation_prompts": ["a"], "judge": "no"}}, "judge.*was not loaded"),
])  # fmt: skip
def test_what_cannot_work_is_refused_before_a_run(make_config, tmp_path, monkeypatch, changes, error):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)
    for start in (dry_run, run):
        with pytest.raises(ConfigError, match=error):
            start(make_config(**changes))
    assert not (tmp_path / "cache/latents").exists()


def test_what_is_seldom_meant_is_said(make_config, clips_folder, tmp_path, capsys):
    folder = tmp_path / "clips"
    shutil.copytree(clips_folder, folder)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    rows = [*rows[:9], {**rows[0], "file_name": "still.png"}]
    from PIL import Image

    Image.new("RGB", (16, 16), "red").save(folder / "still.png")
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dry_run(make_config(
        data={"dataset_name": str(folder)}, optimizer={"lr_warmup_steps": 30_000}, validation={"validation_steps": 5},
        run={"max_train_steps": 20_000, "train_batch_size": 16},
    ))  # fmt: skip
    said = capsys.readouterr().out
    for words in ("lr_warmup_steps is 30,000 and run.max_train_steps 20,000", "one clip alone is held out",
                  "the clips of 1x16x16 are shown 8 times as often", "are 10,000 epochs"):  # fmt: skip
        assert f"{words}" in said
    assert said.count("warning: ") == 4
