"""`sample.py` on the embedded models: the same clip again, tables of clips, stickers, pictures that begin a clip."""

import shutil
from argparse import Namespace

import numpy as np
import pytest
from PIL import Image

from emogen.commands.sample import main as sample
from emogen.commands.sample_run import finish
from emogen.media.reader import read_metadata, read_video
from emogen.stickers.output import UnfitError
from emogen.stickers.platforms import PLATFORMS
from emogen.stickers.render import StickerSpec, render

FACE = ["--prompt", "a flat sticker of a round yellow face on a blue background"]
FEW = ["--num_inference_steps", "2", "--num_frames", "5", "--quiet"]


def test_a_clip_repeats_itself(tmp_path, capsys):
    first, again, other = (tmp_path / name for name in ("first.png", "again.png", "other.png"))
    options = ["--emotion", "0:fear 1:awe", "--avoid", "anger", "--emotion_guidance_scale", "4", "--guidance_interval",
               "0", "0.5", "--no_enlarge"]  # fmt: skip
    assert sample([*FACE, *FEW, *options, "--output", str(first)]) == 0
    assert sample(["--from", str(first), "--output", str(again), "--quiet"]) == 0
    assert (read_video(first)[0] == read_video(again)[0]).all()
    assert "note:" not in capsys.readouterr().err
    kept, repeated = read_metadata(first), read_metadata(again)
    assert kept == repeated and kept["avoid"] == "anger" and isinstance(kept["seed"], int)
    assert sample(["--from", str(first), "--emotion", "sadness", "--output", str(other), "--quiet"]) == 0
    assert (read_video(first)[0] != read_video(other)[0]).any()


def test_a_table_of_clips_goes_on_where_it_stopped(tmp_path, capsys):
    table, out = tmp_path / "faces.csv", tmp_path / "out"
    table.write_text("prompt,emotion,seed,output\na round red face,joy,1,\na round red face,fear,1,second.png\n")
    options = ["--batch", str(table), "--output_dir", str(out), *FEW, "--no_enlarge"]
    assert sample(options) == 0
    made = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert set(made) == {"0001_joy.mp4", "second.png"}
    (out / "second.png").unlink()
    capsys.readouterr()
    assert sample(options) == 0
    assert "2 clips, 1 of them there already" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == made
    assert sample([*options, "--avoid", "anger"]) == 0  # other options, other clips
    said = capsys.readouterr().out
    assert "0 of them there already" in said and "second.png: made again, it was made with another" in said
    assert (out / "second.png").read_bytes() != made["second.png"]
    (out / "second.png").write_bytes(b"cut")
    assert sample([*options, "--avoid", "anger"]) == 0
    assert "second.png: made again, its contents have changed" in capsys.readouterr().out
    assert sample(options) == 0  # without the option: made again, bit for bit as at first
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == made
    for path in out.iterdir():
        path.unlink() if path.is_file() else shutil.rmtree(path)
    (out / "second.png").write_bytes(b"somebody's own")
    assert sample(options) == 2
    assert "second.png is there and was not made by sample.py" in capsys.readouterr().err
    assert (out / "second.png").read_bytes() == b"somebody's own"


def test_a_row_that_fails_does_not_stop_the_others(tmp_path, capsys):
    table = tmp_path / "faces.jsonl"
    table.write_text('{"prompt": "a red face", "width": 100}\n{"prompt": "a red face"}\n')
    assert sample(["--batch", str(table), "--output_dir", str(tmp_path / "out"), *FEW]) == 1
    said = capsys.readouterr()
    assert "0001_neutral.mp4: " in said.err and "1 clips made" in said.out and "1 failed" in said.out
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_file()] == ["0002_neutral.mp4"]


def test_stickers(tmp_path):
    clear, small = tmp_path / "clear.webp", tmp_path / "small.gif"
    steps = ["--num_inference_steps", "6", "--quiet", "--seed", "3"]
    assert sample([*FACE, *steps, "--emotion", "joy", "--transparent", "--loop", "--output", str(clear)]) == 0
    alpha = read_video(clear, alpha=True)[0][..., 3]
    assert (alpha[:, 0, 0] == 0).all() and (alpha[:, 192, 192] > 200).all()
    assert sample([*FACE, *steps, "--emotion", "joy", "--max_kb", "60", "--output", str(small)]) == 0
    assert small.stat().st_size <= 60 * 1024 and read_metadata(small)["max_kb"] == 60
    sticker = tmp_path / "sticker.gif"
    assert sample([*FACE, *steps, "--emotion", "joy", "--platform", "slack", "--output", str(sticker)]) == 0
    assert PLATFORMS["slack"].check(sticker) == []


def test_a_picture_begins_the_clip(tmp_path):
    picture = tmp_path / "face.png"
    drawn = render(StickerSpec("round", "blue", "white", seed=5))[0]
    Image.fromarray(drawn).save(picture)
    prompt = ["--prompt", "a flat sticker of a round blue face on a white background", "--image", str(picture)]
    clips = {}
    for emotion in ("fear", "amusement"):
        path = tmp_path / f"{emotion}.png"
        options = ["--emotion", emotion, "--seed", "2", "--num_inference_steps", "6", "--no_enlarge", "--quiet"]
        assert sample([*prompt, *options, "--output", str(path)]) == 0
        clips[emotion] = read_video(path)[0].astype(float)
        assert clips[emotion].shape == (13, 96, 96, 3)
        error = ((clips[emotion][0] - drawn) ** 2).mean()
        assert 10 * np.log10(255**2 / error) > 17  # the first frame is the picture
    late = np.abs(clips["fear"][8:] - clips["amusement"][8:]).mean()
    assert late > 2 * np.abs(clips["fear"][0] - clips["amusement"][0]).mean()
    again = tmp_path / "again.png"
    assert sample(["--from", str(tmp_path / "fear.png"), "--output", str(again), "--quiet"]) == 0
    assert (read_video(again)[0] == clips["fear"]).all()


def test_a_text_model_refuses_a_picture(tmp_path, capsys):
    from emogen import embedded_model

    picture = tmp_path / "face.png"
    Image.new("RGB", (96, 96), "white").save(picture)
    with pytest.raises(SystemExit) as stop:
        sample([*FACE, "--image", str(picture), "--model", embedded_model(), "--quiet"])
    assert stop.value.code == 2
    assert "text-to-video model" in capsys.readouterr().err


def test_what_does_not_fit_or_has_no_flat_ground_is_kept_and_named(tmp_path):
    """The sampling was the dear part: its clip is never lost to a limit or a busy background."""
    noise = np.random.default_rng(0).integers(0, 255, (1, 12, 64, 64, 3), dtype=np.uint8)
    asked = {"no_enlarge": True, "loop": False, "transparent": False, "platform": None, "max_kb": None,
             "effects": "keep", "text": None}  # fmt: skip
    for name, options in (("small.webp", {"max_kb": 2}), ("clear.webp", {"transparent": True})):
        with pytest.raises(UnfitError, match=rf"{name}: .* kept as it was made in .*whole\.webp") as caught:
            finish(tmp_path / name, noise, Namespace(**asked | options), 12, {"seed": 1})
        assert len(read_video(caught.value.kept)[0]) == 12 and read_metadata(caught.value.kept) == {"seed": 1}
        assert not (tmp_path / name).exists()
    said = finish(tmp_path / "odd.mp4", noise[:, :, :63, :63], Namespace(**asked), 12, {"seed": 1})
    assert said == ["size 63x63 -> 64x64"]
