"""Who trains on which clips, and what of `run.ulysses` is refused; that it gives the right gradients is shown in
`test_distributed.py`."""

import json
from types import SimpleNamespace

import pytest
import torch

from emogen.training.config import ConfigError
from emogen.training.data.plan import make_plan
from emogen.training.parallel.sharing import Sharing, check_sharing
from emogen.training.run import dry_run
from emogen.training.validation import _my_batches


def test_processes_of_a_group_follow_each_other():
    ranks = [Sharing(processes=6, rank=rank, ulysses=2) for rank in range(6)]
    assert [one.group for one in ranks] == [0, 0, 1, 1, 2, 2]
    assert {one.groups for one in ranks} == {3} and {one.loss_factor for one in ranks} == {2}
    alone = Sharing()
    assert (alone.group, alone.groups, alone.loss_factor) == (0, 1, 1)


@pytest.mark.parametrize("groups", [1, 2, 3, 5])
def test_every_process_is_called_equally_often_in_validation(groups):
    """Weights that are divided are gathered by all processes at once; a process that stopped early would hang them."""
    buckets = [1, 1, 1, 1, 2, 2, 3]
    clips = SimpleNamespace(buckets=buckets)
    chosen = list(range(len(buckets)))
    every = [list(_my_batches(chosen, clips, 2, Sharing(groups, rank))) for rank in range(groups)]
    assert len({len(batches) for batches in every}) == 1
    counted = [index for batches in every for part, counts in batches if counts for index in part]
    assert sorted(counted) == chosen
    assert all(len({buckets[index] for index in part}) == 1 for batches in every for part, _ in batches)


@pytest.mark.parametrize(
    ("ulysses", "processes", "change", "message"),
    [
        (3, 4, {}, r"4 processes cannot be divided into groups of 3; `accelerate launch --num_processes 3`"),
        (2, 1, {}, r"1 process cannot be divided into groups of 2"),
        (4, 4, {}, r"does not divide the model's 2 heads; use 2"),
        (2, 2, {"compile": True}, r"model.compile has not been shown"),
        (2, 2, {"base_storage": "nf4"}, r"base_storage: nf4 has not been shown"),
        (2, 2, {"base_storage": "fp8"}, r"base_storage: fp8 has not been shown"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_refused(make_config, monkeypatch, ulysses, processes, change, message):
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    plan = make_plan(make_config(run={"ulysses": ulysses}), print)
    for name, value in change.items():
        setattr(plan.config.model, name, value)
    with pytest.raises(ConfigError, match=rf"run.ulysses: {ulysses}: .*{message}"):
        check_sharing(plan, processes)


def test_tokens_that_cannot_be_divided_are_refused(make_config, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    config = make_config(run={"ulysses": 2}, data={"height": 24, "width": 24, "num_frames": 1})
    with pytest.raises(ConfigError, match="does not divide the 9 tokens of clips of"):
        check_sharing(make_plan(config, print), 2)


def test_changing_emotions_cannot_be_shared(make_config, clips_folder, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    rows = [json.loads(line) for line in (clips_folder / "metadata.jsonl").read_text().splitlines()]
    rows[1]["emotion"] = "0:fear 1:awe"
    file = clips_folder / "arcs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = make_plan(make_config(run={"ulysses": 2}, data={"dataset_name": str(file)}), print)
    with pytest.raises(ConfigError, match=r"emotion changes over time \(1, such as .*clip1"):
        check_sharing(plan, 2)


def test_without_accelerators_it_is_refused_but_can_be_prepared(make_config, monkeypatch, capsys):
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 0)
    config = make_config(run={"ulysses": 2})
    with pytest.raises(ConfigError, match="needs an accelerator for every process"):
        check_sharing(make_plan(config, print), 2)
    dry_run(config)
    assert "nothing was encoded or trained" in capsys.readouterr().out
    config.run.ulysses = 4
    with pytest.raises(ConfigError, match="does not divide the model's 2 heads"):
        dry_run(config)
