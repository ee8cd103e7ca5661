"""`sample.py` as people type it: bad input is refused at once, good input leaves a clip that says what made it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emogen.cli import main as emogen
from emogen.commands.sample import main as sample
from emogen.commands.sample_options import build_parser
from emogen.media.reader import read_metadata, read_video

ROOT = Path(__file__).parents[1]
FACE = ["--prompt", "a round yellow face"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--emotion", "joyy"], r"did you mean joy"),
        (["--emotion", "0:fear 0:joy"], r"--emotion: .*times"),
        (["--num_frames", "12"], r"4k\+1 frames: 9 or 13"),
        (["--height", "-96"], r"--height is -96"),
        (["--output", "clip.avi"], r"--output: .*\.mp4, \.webm, \.gif"),
        (["--step", "4"], r"unrecognized arguments: --step"),
    ],
)
def test_bad_input_is_refused_before_anything_is_loaded(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr("emogen.commands.sample_run.load", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(SystemExit) as stop:
        sample([*FACE, *arguments])
    assert stop.value.code == 2
    import re

    assert re.search(message, capsys.readouterr().err)


def test_an_empty_prompt_is_refused(capsys):
    with pytest.raises(SystemExit):
        sample(["--prompt", " "])
    assert "--prompt is empty" in capsys.readouterr().err


def test_every_option_is_explained():
    text = build_parser().format_help()
    for action in build_parser()._actions:
        assert action.option_strings[-1] in text
    for option in ("--emotion", "--emotion_scale", "--seed", "--num_frames", "--model", "--adapter", "--no_enlarge"):
        assert option in text


def test_help_needs_no_model_code():
    code = "import sys; from emogen.cli import main\ntry: main(['sample', '--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, cwd="/").returncode == 0


def test_a_clip_with_its_making_inside(tmp_path, capsys):
    path = tmp_path / "joy.webp"
    few = ["--num_inference_steps", "3", "--quiet", "--seed", "5"]
    assert sample([*FACE, "--emotion", "joy", "--output", str(path), *few]) == 0
    said = capsys.readouterr().out
    assert str(path) in said and "seed 5" in said
    frames, fps = read_video(path)
    assert frames.shape == (13, 384, 384, 3) and abs(fps - 12) < 0.6
    made = read_metadata(path)
    assert made["prompt"] == FACE[1] and made["emotion"] == "joy" and made["seed"] == 5

    again = tmp_path / "again.png"
    assert sample([*FACE, "--emotion", "joy", "--output", str(again), "--no_enlarge", *few]) == 0
    third = tmp_path / "third.png"
    assert emogen(["sample", *FACE, "--emotion", "joy", "--output", str(third), "--no_enlarge", *few]) == 0
    assert (read_video(again)[0] == read_video(third)[0]).all()
    assert read_video(again)[0].shape == (13, 96, 96, 3)


def test_all_emotions_as_a_labelled_grid(tmp_path):
    path = tmp_path / "all.mp4"
    options = ["--num_inference_steps", "2", "--num_frames", "5", "--seed", "1", "--quiet", "--no_enlarge"]
    assert sample([*FACE, "--emotion", "all", "--output", str(path), *options]) == 0
    frames, _ = read_video(path)
    assert len(frames) == 5 and frames.shape[2] == 3 * 96 and frames.shape[1] == 3 * (96 + 14)
    tiles = frames[0].reshape(3, 110, 3, 96, 3).transpose(0, 2, 1, 3, 4).reshape(9, 110, 96, 3)
    cells = tiles[:, 14:].astype(int)
    assert all(np.abs(cells[0] - cell).mean() > 1 for cell in cells[1:])  # no emotion looks like neutral


def test_a_missing_model_is_a_clear_error(tmp_path, capsys):
    assert sample([*FACE, "--model", str(tmp_path / "none"), "--quiet"]) == 2
    assert "none" in capsys.readouterr().err


def test_commands_are_listed_and_unknown_ones_refused(capsys):
    assert emogen([]) == 0
    assert {"sample", "train", "info"} <= set(capsys.readouterr().out.split())
    assert emogen(["sing"]) == 2
    assert "no command 'sing'" in capsys.readouterr().err
    assert emogen(["info", "--emotion", "joy:0.5"]) == 0
    assert "intensity 0.50" in capsys.readouterr().out
    assert emogen(["info", "--lexicon"]) == 0
    assert "Plutchik" in capsys.readouterr().out
