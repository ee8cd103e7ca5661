"""Interruptions of every kind lose nothing."""

import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from emogen.training.life import checkpoint as checkpoints
from emogen.training.life.checkpoint import CheckpointError, list_checkpoints
from emogen.training.run import run


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    files = ("trained", "optimizer", "ema")
    return {f"{f}/{k}": v for f in files for k, v in load_file(folder / f"{f}.safetensors").items()}


def _child(config):
    os.setsid()
    # tqdm's own lock is shared with this process's parent, who would wait for ever for one that dies while it holds it
    tqdm.set_lock(threading.RLock())
    run(config)


def test_killed_at_random_moments_it_ends_where_the_undisturbed_run_ends(make_config, tmp_path):
    """SIGKILL, which no handler sees, again and again, in the middle of encoding, a step or a checkpoint."""
    settings = {"max_train_steps": 30}

    def config(name, **more):
        return make_config(
            run={**settings, "output_dir": str(tmp_path / name)}, data={"cache_dir": str(tmp_path / f"{name}-cache")},
            checkpoint={"checkpointing_steps": 3, **more},
        )  # fmt: skip

    run(config("whole"))
    chance = random.Random(1)
    context = multiprocessing.get_context("fork")
    kills = 0
    for _ in range(40):
        child = context.Process(target=_child, args=(config("killed", resume_from_checkpoint="latest"),))
        child.start()
        child.join(chance.uniform(0.2, 1.2))
        if child.exitcode is not None:
            break
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        kills += 1
        time.sleep(0.01)
    else:
        run(config("killed", resume_from_checkpoint="latest"))  # a slow machine gets to the end in peace
    assert kills
    whole, killed = tensors(tmp_path / "whole/checkpoint-30"), tensors(tmp_path / "killed/checkpoint-30")
    assert whole.keys() == killed.keys()
    assert not [name for name in whole if not torch.equal(whole[name], killed[name])]
    exported = "emotion_adapter.safetensors"
    mine, theirs = load_file(tmp_path / "whole" / exported), load_file(tmp_path / "killed" / exported)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("when", ["optimizer", "rename"])
def test_a_full_disk_leaves_the_old_checkpoint_whole(make_config, tmp_path, monkeypatch, when):
    run(make_config(run={"max_train_steps": 2}))
    before = tensors(tmp_path / "run/checkpoint-2")
    honest, move = checkpoints.save_file, os.replace

    def full(tensors, path):
        if when in Path(path).name:
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        honest(tensors, path)

    if when == "rename":
        monkeypatch.setattr(os, "replace", lambda a, b: _no_space() if "point-" in str(b) else move(a, b))
    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(CheckpointError, match=r"checkpoint-4: cannot be written: .*No space.*last good .*checkpoint-2"):
        run(make_config(run={"max_train_steps": 4}, checkpoint={"resume_from_checkpoint": "latest"}))
    monkeypatch.undo()
    assert [one.path.name for one in list_checkpoints(tmp_path / "run")] == ["checkpoint-2"]
    after = tensors(tmp_path / "run/checkpoint-2")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    run(make_config(run={"max_train_steps": 4}, checkpoint={"resume_from_checkpoint": "latest"}))


def _no_space(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_an_optimizer_with_numbers_in_its_state_resumes_exactly(make_config, tmp_path):
    """RAdam's and NAdam's state mixes tensors with plain numbers in some versions; SGD's may be empty."""
    for path in ("torch.optim.NAdam", "torch.optim.SGD"):
        for name, steps in (("whole", 6), ("halves", 3), ("halves", 6)):
            run(make_config(
                run={"max_train_steps": steps, "output_dir": str(tmp_path / path / name)},
                optimizer={"optimizer": path, "lr_scheduler": "constant", "lr_warmup_steps": 0},
                checkpoint={"resume_from_checkpoint": "latest"},
            ))  # fmt: skip
        whole, halves = (tensors(tmp_path / path / name / "checkpoint-6") for name in ("whole", "halves"))
        assert all(torch.equal(whole[name], halves[name]) for name in whole)
