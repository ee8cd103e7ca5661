"""A placebo: the labels of the training clips are dealt out anew, and nothing else changes."""

import json
import shutil
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import yaml

from emogen.commands.train import main
from emogen.data.records import ClipRecord, read_records
from emogen.emotion import MIKELS, EmotionArc, EmotionState
from emogen.training.data.placebo import shuffle_labels
from emogen.training.data.plan import DataError, make_plan
from emogen.training.life.checkpoint import CheckpointError
from emogen.training.outputs.card import CardFacts, model_card
from emogen.training.run import identity, make_cache, prepare_data, run

LABEL = {"emotion", "arc", "label_source", "agreement", "confidence"}


def records(count=400, split="train"):
    return [
        ClipRecord(Path(f"{split}{i}.mp4"), f"{split}{i}.mp4", f"caption {i}", EmotionState.of(MIKELS[i % 8]), split,
                   domain=f"domain {i}", row=i, label_source=f"person {i}", agreement=i / count, extra={"i": i})
        for i in range(count)
    ]  # fmt: skip


def test_labels_move_as_a_whole_and_everything_else_stays():
    before = [*records(), *records(40, "val"), *records(40, "test")]
    before[3] = replace(before[3], arc=EmotionArc.parse("0:neutral 1:fear"))
    after, kept = shuffle_labels(before, 0)
    rest = [field.name for field in fields(ClipRecord) if field.name not in LABEL]
    assert all(getattr(a, name) == getattr(b, name) for a, b in zip(after, before, strict=True) for name in rest)
    assert after[400:] == before[400:]
    givers = [int(record.label_source.split()[1]) for record in after[:400]]
    assert sorted(givers) == list(range(400)) and givers != list(range(400))
    for record, giver in zip(after[:400], givers, strict=True):
        assert {n: getattr(record, n) for n in LABEL} == {n: getattr(before[giver], n) for n in LABEL}
    assert kept == sum(a.label == b.label for a, b in zip(after[:400], before[:400], strict=True))
    assert 25 <= kept <= 80  # 50 are expected, with a standard deviation of 6.6: chance, and not a derangement


def test_the_seed_decides_and_nothing_else():
    first, _ = shuffle_labels(records(), 7)
    torch.manual_seed(1)
    assert shuffle_labels(records(), 7)[0] == first
    assert shuffle_labels(records(), 8)[0] != first


def test_one_category_alone_cannot_be_shuffled():
    one = [record for record in records() if record.label == "fear"]
    with pytest.raises(ValueError, match="all 50 clips of split 'train' are labelled fear"):
        shuffle_labels([*one, *records(8, "val")], 0)
    held_out = records(8, "val")
    assert shuffle_labels(held_out, 0) == (held_out, 0)


def plan_of(config):
    said = []
    return make_plan(config, said.append), "\n".join(said)


def test_the_plan_of_a_placebo(make_config, clips_folder):
    true, quiet = plan_of(make_config())
    false, said = plan_of(make_config(data={"shuffle_labels": True}))
    assert "labels shuffled: a placebo" in said and "of 8 training clips kept theirs by chance" in said
    assert "placebo" not in quiet
    pairs = [(a.record, b.record) for a, b in zip(true.clips, false.clips, strict=True)]
    assert all((a.file_name, a.caption, a.split) == (b.file_name, b.caption, b.split) for a, b in pairs)
    train = [(a.emotion, b.emotion) for a, b in pairs if a.split == "train"]
    assert Counter(a for a, _ in train) == Counter(b for _, b in train) and any(a != b for a, b in train)
    assert all(a == b for a, b in pairs if a.split == "val") and len(train) < len(pairs)
    assert identity(true, true.split("train"))["data"] != identity(false, false.split("train"))["data"]
    assert [clip.record.emotion for clip in true.clips] == [r.emotion for r in read_records(clips_folder)]


def test_a_sentence_in_the_caption_says_the_shuffled_label(make_config):
    plan, _ = plan_of(make_config(data={"shuffle_labels": True, "emotion_in_caption": True, "max_sequence_length": 24}))
    bare, _ = plan_of(make_config(data={"shuffle_labels": True}))
    sentences = {}
    for said, plain in zip(plan.split("train"), bare.split("train"), strict=True):
        assert said.record.emotion == plain.record.emotion and said.record.caption.startswith(plain.record.caption)
        sentences.setdefault(said.record.label, set()).add(said.record.caption.removeprefix(plain.record.caption))
    assert len(sentences) == 4 and all(len(found) == 1 for found in sentences.values())
    assert len(set.union(*sentences.values())) == 4


def test_labels_that_cannot_be_shuffled_are_bad_data(make_config, clips_folder, tmp_path, capsys):
    folder = tmp_path / "joy"
    shutil.copytree(clips_folder, folder)
    rows = [json.loads(line) | {"emotion": "joy"} for line in (folder / "metadata.jsonl").read_text().splitlines()]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = make_config(data={"dataset_name": str(folder), "shuffle_labels": True})
    with pytest.raises(DataError, match=r"data\.shuffle_labels: all 8 clips of split 'train' are labelled amusement"):
        make_plan(config, lambda text: None)
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    assert main(["--config", str(tmp_path / "config.yaml"), "--dry_run"]) == 2
    assert "data.shuffle_labels" in capsys.readouterr().err


def test_a_run_trains_on_the_shuffled_labels_and_says_so(make_config, tmp_path, capsys):
    from accelerate import Accelerator

    config = make_config(data={"shuffle_labels": True}, run={"max_train_steps": 1})
    run(config)
    assert "labels shuffled: a placebo" in capsys.readouterr().out
    plan = make_plan(config, lambda text: None)
    plan, train, held_out = prepare_data(plan, make_cache(plan), Accelerator(cpu=True))
    true = make_plan(make_config(), lambda text: None)
    states = [clip.record.emotion for clip in plan.split("train")]
    assert train.emotions(range(8)).intensity.tolist() == pytest.approx([s.intensity for s in states])
    assert states != [clip.record.emotion for clip in true.split("train")]
    assert [r.emotion for r in held_out.records] == [clip.record.emotion for clip in true.split("val")]
    card = (tmp_path / "run/README.md").read_text()
    assert "**This is a placebo.**" in card and "shuffle_labels: true" in card


@pytest.mark.parametrize(("begun", "resumed", "message"), [
    ({"shuffle_labels": True}, {}, "its run had data.shuffle_labels: true; resume with the same"),
    ({}, {"shuffle_labels": True}, "its run had data.shuffle_labels: false; resume with the same"),
    ({"shuffle_labels": True}, {"shuffle_labels": True, "seed": 1}, r"shuffled by run.seed: 0, not 1"),
])  # fmt: skip
def test_another_arm_does_not_go_on_from_a_checkpoint(make_config, tmp_path, begun, resumed, message):
    run(make_config(data=begun, run={"max_train_steps": 1}))
    written = (tmp_path / "run/training_config.yaml").read_text()
    steps = {"max_train_steps": 2, "seed": resumed.pop("seed", 0)}
    for name, folder in (("latest", "run"), (str(tmp_path / "run/checkpoint-1"), "other")):
        again = make_config(data=resumed, run=steps | {"output_dir": str(tmp_path / folder)},
                            checkpoint={"resume_from_checkpoint": name})  # fmt: skip
        with pytest.raises(CheckpointError, match=message):
            run(again)
    assert (tmp_path / "run/training_config.yaml").read_text() == written and not (tmp_path / "other").exists()
    run(make_config(data=begun, run={"max_train_steps": 2}, checkpoint={"resume_from_checkpoint": "latest"}))
    assert (tmp_path / "run/checkpoint-2").is_dir()


def test_runs_of_before_there_were_placebos_are_resumed(make_config, tmp_path):
    run(make_config(run={"max_train_steps": 1}))
    path = tmp_path / "run/training_config.yaml"
    settings = yaml.safe_load(path.read_text())
    del settings["data"]["shuffle_labels"]
    path.write_text(yaml.safe_dump(settings))
    on = {"resume_from_checkpoint": "latest"}
    with pytest.raises(CheckpointError, match="shuffle_labels: false"):
        run(make_config(data={"shuffle_labels": True}, checkpoint=on))
    make_plan(make_config(checkpoint=on), lambda text: None)
    path.write_text("- nothing\n")
    with pytest.raises(CheckpointError, match=r"training_config\.yaml: not the configuration of a run"):
        make_plan(make_config(checkpoint=on), lambda text: None)
    path.unlink()
    make_plan(make_config(checkpoint=on), lambda text: None)


def test_the_card_of_a_placebo():
    given = {"base_model": "embedded", "steps": 1, "records": records(8), "dropped": {}, "adapter_parameters": 1,
             "pipeline": "EmotionWanPipeline", "stock_pipeline": "WanPipeline"}  # fmt: skip
    plain, placebo = (model_card(CardFacts(config={"data": {"shuffle_labels": on}}, **given)) for on in (False, True))
    assert "placebo" not in plain.replace("shuffle_labels", "") and "dealt out" not in plain
    assert "**This is a placebo.**" in placebo.split("## Use")[0] and "as they were dealt out" in placebo
    assert yaml.safe_load(placebo.split("---\n")[1])["tags"][-2:] == ["placebo", "text-to-video"]
