"""`sample.py` and strangers' files, nonsense, rows of two kinds, and being asked to end."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from emogen.commands import sample_run
from emogen.commands.sample import main as sample
from emogen.commands.sample_options import build_parser
from emogen.commands.sample_request import RequestError, parse, read_job
from emogen.files import LOCK_NAME, only_writer
from emogen.media.reader import read_metadata
from emogen.media.writer import write_video
from emogen.pipelines.emotion_call import NotFiniteError

FACE = ["--prompt", "a round red face"]
NOISE = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        sample([*arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (["--emotion_scale", "nan"], "--emotion_scale: 'nan' is not a finite number"),
    (["--guidance_scale", "inf"], "--guidance_scale: 'inf' is not a finite number"),
    (["--emotion_guidance_scale=-inf"], "'-inf' is not a finite number"),
    (["--guidance_interval", "0", "nan"], "'nan' is not a finite number"),
    (["--fps", "inf"], "--fps: 'inf' is not a finite number"),
    (["--fps", "1e9"], "--fps is 1e+09; it must be 0.01 to 1000"),
    (["--emotion_scale", "1e30"], "--emotion_scale is 1e+30"),
    (["--emotion", "joy:1e30"], "--emotion: the intensity is 1e+30; give at most 100"),
    (["--emotion", "0:joy 1:fear:200"], "--emotion: the intensity is 200"),
    (["--avoid", "fear:nan"], "--avoid: 'nan' in 'fear:nan' is not a finite number"),
    (["--seed", "9" * 400], "is not a whole number"),
    (["--seed", str(2**70)], "it must be -1 to 9.2"),
    (["--seed", "-2"], "--seed is -2"),
    (["--num_frames", str(10**20 + 1)], "--num_frames is 1e+20"),
    (["--emotion_lora_weight", "nan"], "'nan' is not a finite number"),
    (["--cache", "first_block", "--cache_threshold", "nan"], "'nan' is not a finite number"),
    (["--prompt", "a \udcff face"], "--prompt: character 3 is no character"),
    (["--output", "a:b.mp4"], "--output: "),
    (["--output", "x.mp4", "--transparent"], "MP4 has no transparency"),
    (["--output", "x.mp4", "--platform", "slack"], "slack takes .gif"),
    (["--emotion", "1" * 10**6], "characters is too long"),
])  # fmt: skip
def test_numbers_and_names_are_refused_at_the_door(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sample_run, "load", lambda *_: pytest.fail("a model was loaded"))
    assert message in refused(capsys, *FACE, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "form", "message"), [
    ((1, 1), "PNG", "1x1 pixels; give a picture of at least 16"), ((2000, 20), "PNG", "2000x20 pixels"),
    (None, "SVG", "picture"), ((64, 64), "cut", "decode"),
])  # fmt: skip
def test_pictures_are_opened_before_a_model_is(size, form, message, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sample_run, "load", lambda *_: pytest.fail("a model was loaded"))
    path = tmp_path / "x.png"
    if form == "SVG":
        path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    else:
        Image.effect_noise(size, 50).save(path, format="PNG")
    if form == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert message in refused(capsys, *FACE, "--image", str(path))
    table = tmp_path / "a.csv"
    table.write_text("prompt,image\na face,\na face,x.png\n")
    said = refused(capsys, "--batch", str(table), "--output_dir", str(tmp_path / "out"))
    assert "a.csv row 3: --image" in said and message in said


def clip(tmp_path, **metadata):
    return str(write_video(tmp_path / "theirs.webp", NOISE, 8, {"prompt": "a face", "seed": 1} | metadata))


@pytest.mark.parametrize("metadata", [
    {"seed": "one"}, {"seed": 1.5}, {"seed": True}, {"num_frames": [5]}, {"emotion_scale": "2"}, {"loop": "yes"},
    {"loop": 1}, {"lora": "x"}, {"lora": [5]}, {"guidance_interval": [0.1]}, {"guidance_interval": [0, "1"]},
    {"dtype": "int4"}, {"platform": "x"}, {"emotion": 5}, {"prompt": ["a"]}, {"seed": 10**400}, {"fps": {"a": 1}},
    {"negative_prompt": None, "avoid": False},
])  # fmt: skip
def test_a_clip_s_options_have_the_options_types(tmp_path, metadata):
    with pytest.raises(RequestError, match=r"--from .*theirs\.webp: its \w+ is .*no value of that option"):
        parse(build_parser(), ["--from", clip(tmp_path, **metadata)])


def test_a_clip_s_options_have_the_options_ranges_and_unknown_ones_do_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sample_run, "load", lambda *_: pytest.fail("a model was loaded"))
    assert "--seed is -3" in refused(capsys, "--from", clip(tmp_path, seed=-3))
    assert "--emotion: the intensity" in refused(capsys, "--from", clip(tmp_path, emotion="joy:1e9"))
    given = parse(
        build_parser(), ["--from", clip(tmp_path, output="/etc/x", output_dir="/", trust=True, batch="x", a=1)]
    )
    assert (given.output, given.output_dir, given.trust, given.batch) == (None, None, False, None)


@pytest.mark.parametrize(
    "name", ["model", "adapter", "lora", "offload_folder", "mag_ratios", "attention_backend", "font"]
)
def test_what_names_files_or_code_is_shown_and_needs_trust(name, tmp_path):
    theirs = ["evil/x"] if name == "lora" else "evil/x"
    source = clip(tmp_path, **{name: theirs})
    with pytest.raises(RequestError, match=rf"it was made with --{name} .*evil/x.*--trust takes these"):
        parse(build_parser(), ["--from", source])
    assert getattr(parse(build_parser(), ["--from", source, "--trust"]), name) == theirs
    own = parse(build_parser(), ["--from", source, f"--{name}", "mine"])
    assert getattr(own, name) == (["mine"] if name == "lora" else "mine")


def test_a_picture_without_its_fingerprint_is_not_taken(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "mine.png")
    with pytest.raises(RequestError, match="has changed since"):
        parse(build_parser(), ["--from", clip(tmp_path, image=str(tmp_path / "mine.png"))])


def test_rows_of_both_kinds_open_each_pipeline_once(tmp_path, capsys, monkeypatch):
    Image.new("RGB", (96, 96), "white").save(tmp_path / "face.png")
    table, out = tmp_path / "a.csv", tmp_path / "out"
    table.write_text("prompt,image,seed\na red face,,1\na red face,face.png,1\na blue face,,2\n")
    opened, load = [], sample_run.load
    monkeypatch.setattr(sample_run, "load", lambda args, kind: opened.append(kind) or load(args, kind))
    options = ["--num_inference_steps", "1", "--num_frames", "5", "--no_enlarge", "--quiet"]
    assert sample(["--batch", str(table), "--output_dir", str(out), *options]) == 0
    assert opened == ["text", "image"]
    made = sorted(path for path in out.iterdir() if path.is_file())
    assert len(made) == 3 and read_metadata(made[1])["image_sha256"]
    assert sample(["--batch", str(table), "--output_dir", str(out), *options]) == 0 and len(opened) == 2
    with only_writer(out):
        assert sample(["--batch", str(table), "--output_dir", str(out), *options]) == 2
    assert f"process {os.getpid()} on " in capsys.readouterr().err


def test_what_fails_is_1_and_what_is_refused_is_2(tmp_path, capsys, monkeypatch):
    class Pipe:
        fps, switched_on = 8, ()

        def set_progress_bar_config(self, **_):
            pass

        def __call__(self, **_):
            raise self.error

    monkeypatch.setattr(sample_run, "load", lambda *_: Pipe())
    for error, status in ((NotFiniteError("step 3 of 9"), 1), (OSError("disk full"), 1), (ValueError("no"), 2)):
        Pipe.error = error
        assert sample([*FACE, "--output", str(tmp_path / "x.mp4")]) == status
        assert f"error: {error}" in capsys.readouterr().err
    assert not (tmp_path / "x.mp4").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_being_asked_to_end(number, tmp_path):
    """Both ways alike: no traceback, no lock, whole clips, and the same command goes on."""
    table, out = tmp_path / "a.jsonl", tmp_path / "out"
    table.write_text("\n".join(json.dumps({"prompt": f"a face {n}"}) for n in range(200)))
    words = ["--batch", str(table), "--output_dir", str(out), "--num_inference_steps", "1", "--num_frames", "5"]
    code = f"from emogen.commands.sample import main; raise SystemExit(main({words!r}))"
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        time.sleep(0.2)
        if len(list(out.glob("*.mp4"))) >= 1:
            break
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 128 + number and "ended; nothing unfinished is left" in said and "Traceback" not in said
    assert not (out / LOCK_NAME).exists()
    assert all(path.suffix == ".mp4" for path in out.iterdir() if path.is_file())


def test_the_limit_of_a_picture_can_be_moved(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    words = [*FACE, "--image", str(tmp_path / "a.png"), "--output", str(tmp_path / "a.mp4")]
    parser = build_parser()
    assert read_job(parse(parser, words)).kind == "image"
    with pytest.raises(ValueError, match=r"more than 1,000; make it smaller or raise the limit .max_picture_pixels"):
        read_job(parse(parser, [*words, "--max_picture_pixels", "1000"]))
    with pytest.raises(ValueError, match="max_picture_pixels"):
        read_job(parse(parser, [*words, "--max_picture_pixels", "0"]))
