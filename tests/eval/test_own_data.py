"""An evaluation on a named split of a data set: captions, each with its own label, and the clips themselves."""

import json
from pathlib import Path

import numpy as np
import pytest

from emogen.eval.__main__ import main
from emogen.eval.benchmark.config import EvalConfigError, eval_config
from emogen.eval.benchmark.heldout import first_frame, rendered_prompts
from emogen.eval.benchmark.items import make_items
from emogen.eval.benchmark.run import run_benchmark
from emogen.media.writer import write_video
from emogen.stickers.render import render

LABELS = ("fear", "contentment", "fear", "amusement", "anger")
SPLITS = ("test", "test", "test", "train", "test")


@pytest.fixture
def data(tmp_path):
    """Drawn stickers; the last two of the test part are its benchmark."""
    folder = tmp_path / "set"
    lines = []
    for number, (label, split) in enumerate(zip(LABELS, SPLITS, strict=True)):
        prompt = rendered_prompts(5)[number]
        name = f"{number}.{'mp4' if number else 'png'}"
        write_video(folder / name, render(prompt.sticker(label, 3)), 12, quality=100)
        lines.append({"file_name": name, "caption": prompt.text, "emotion": label, "split": split, "domain": "sticker",
                      "group": f"film{number}", **({"benchmark": True} if number in (2, 4) else {})})  # fmt: skip
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def config(folder, **more):
    return eval_config({"name": "t", "systems": {"real": {"clips": "data"}}, "data": str(folder), **more})


def test_every_clip_of_the_split_is_asked_for_with_its_own_label(data, tmp_path):
    asked = [(item.emotion, item.seed) for item in make_items(config(data))]
    assert asked == [("fear", 0), ("anger", 0)]  # the benchmark, as nothing else is named
    assert [item.emotion for item in make_items(config(data, split="test"))] == ["fear", "contentment"]
    assert len(make_items(config(data, split="test", seeds=[0, 1]))) == 4
    assert [i.emotion for i in make_items(config(data, split="test", num_prompts={"sticker": 1}))] == ["fear"]
    assert [i.emotion for i in make_items(config(data, split="test", emotions=["contentment"]))] == ["contentment"]
    items = make_items(config(data, split="test"))
    assert [item.prompt.character for item in items] == ["film0", "film1"]
    for item in items:  # a picture and a video both give what an image-to-video clip begins with
        assert np.asarray(first_frame(item.prompt, 0)).shape[-1] == 3
    results = run_benchmark(config(data, reference="real", metrics=["agreement"]), tmp_path / "out", quiet=True)
    figures = results["summary"]["systems"]["real"]
    assert (figures["n"], figures["EA-8"]["value"]) == (2, 1.0) and figures["recall"]["awe"]["value"] is None
    assert (tmp_path / "out/report.html").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "dev"}, r"split: .* has no clips of 'dev'; it has benchmark \(2\), test \(2\), train \(1\)"),
        ({"emotions": ["awe"]}, r"no clip of 'benchmark' is asked for; its labels are anger, fear"),
        ({"data": None}, r"clips: data needs data"),
        ({"data": None, "split": "test", "systems": {"a": {"clips": "stickers"}}}, "split is of data"),
        ({"systems": {"a": {"clips": "stickers"}}}, "can be drawn only for prompts: stickers"),
        ({"data": "nowhere"}, "nowhere: no such file"),
    ],
)
def test_what_cannot_be_asked_for(changes, message, data):
    with pytest.raises(EvalConfigError, match=message):
        make_items(config(data, **changes))


def test_clips_that_are_gone_or_have_no_caption(data):
    Path(data / "4.mp4").unlink()
    with pytest.raises(EvalConfigError, match=r"1 clips of 'benchmark' are gone, such as .*4\.mp4"):
        make_items(config(data))
    text = (data / "metadata.jsonl").read_text()
    (data / "metadata.jsonl").write_text(text.replace(rendered_prompts(5)[1].text, " "))
    with pytest.raises(EvalConfigError, match=r"1\.mp4 has no caption"):
        make_items(config(data, split="test"))


def test_the_command_line_wins_over_the_file(data, tmp_path, capsys):
    file = tmp_path / "c.yaml"
    file.write_text("name: t\nsystems:\n  real: {clips: data}\nmetrics: [agreement]\ndata: elsewhere\n")
    words = ["--config", str(file), "--output_dir", str(tmp_path / "out"), "--quiet"]
    assert main([*words, "--data", str(data), "--split", "nothing"]) == 2
    assert "has no clips of 'nothing'" in capsys.readouterr().err
    assert main([*words, "--data", str(data), "--split", "train"]) == 0
    assert json.loads((tmp_path / "out/results.json").read_text())["config"]["split"] == "train"
