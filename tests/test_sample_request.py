"""What `sample.py` reads from command lines, tables and clips, before any model is loaded."""

import json

import numpy as np
import pytest
from PIL import Image

from emogen.commands.sample import main as sample
from emogen.commands.sample_options import build_parser
from emogen.commands.sample_request import RequestError, description, parse, prompt_of, read_batch, read_job
from emogen.emotion import MIKELS
from emogen.media.writer import write_video


def arguments(*more):
    return parse(build_parser(), [*more])


def table(path, rows, header="prompt,emotion,seed"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def batch(path, *more):
    jobs = read_batch(path, arguments("--batch", str(path), "--output_dir", str(path.parent / "out"), *more))
    return [job.options for job in jobs]


def test_rows_become_clips_and_the_line_fills_what_they_leave_open(tmp_path):
    file = table(tmp_path / "a.csv", ['"a face, round",joy,7', "a star,sadness:0.5,"])
    one, two = batch(file, "--num_frames", "9", "--emotion_scale", "1.5")
    assert (one.prompt, one.emotion, one.seed) == ("a face, round", "joy", 7)
    assert one.output.endswith("out/0001_joy.mp4") and two.output.endswith("0002_sadness.mp4")
    assert (one.num_frames, two.emotion_scale) == (9, 1.5)
    assert two.seed is not None and two.seed == batch(file)[1].seed  # the same file, the same clips
    assert two.seed != batch(table(tmp_path / "b.csv", ["x,joy,", "a star,fear,"]))[1].seed


def test_jsonl_rows_and_all_emotions(tmp_path):
    row = {"prompt": "a face", "emotion": "all", "loop": True}
    guided = {"guidance_interval": [0, 0.5], "emotion_guidance_scale": 3}
    (tmp_path / "a.jsonl").write_text(json.dumps(row | guided) + "\n\n")
    jobs = batch(tmp_path / "a.jsonl", "--seed", "3")
    assert [job.emotion for job in jobs] == ["neutral", *MIKELS]
    assert len({job.output for job in jobs}) == 9 and {job.seed for job in jobs} == {3}
    assert jobs[0].guidance_interval == [0.0, 0.5] and jobs[0].loop is True


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["a face,joyy,"], "prompt,emotion,seed", r"a\.csv row 2: --emotion: .*did you mean joy"),
        (["a face,joy,1", ",joy,1"], "prompt,emotion,seed", r"a\.csv row 3: --prompt is missing"),
        (["a face,joy,x"], "prompt,emotion,seed", r"a\.csv row 2: 'seed' must be a number, not 'x'"),
        (["a face,joy,1.7"], "prompt,emotion,seed", r"a\.csv row 2: 'seed' must be a whole number, not '1\.7'"),
        (["a face,joy,12"], "prompt,emotion,num_frames", r"a\.csv row 2: --num_frames is 12; .*9 or 13"),
        (["a face,joy,1"], "prompt,emotion,strength", r"a\.csv row 2: no option 'strength'"),
        (["a face,joy,wan"], "prompt,emotion,model", r"a\.csv row 2: model holds for all rows"),
        (["a face,joy,maybe"], "prompt,emotion,loop", r"a\.csv row 2: 'loop' must be true or false, not 'maybe'"),
        (["a, face,joy,1"], "prompt,emotion,seed", r"a\.csv row 2: 4 cells under a header of 3"),
        (
            ["a,joy,x.gif", "b,joy,x.gif"],
            "prompt,emotion,output",
            r"a\.csv row 3: output .*x\.gif is that of row 2 too",
        ),
        (["a,joy,X.gif", "b,joy,./x.gif"], "prompt,emotion,output", r"a\.csv row 3: .*row 2 too, written .*X\.gif"),
        (["a,joy,../x.gif"], "prompt,emotion,output", r"a\.csv row 2: '\.\./x\.gif' leaves the output folder"),
        (["a,joy,/etc/x.gif"], "prompt,emotion,output", r"a\.csv row 2: '/etc/x\.gif' leaves the output folder"),
        (["a,joy,none.png"], "prompt,emotion,image", r"a\.csv row 2: --image: no file .*none\.png"),
        ([], "prompt,emotion,seed", r"holds no rows"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, rows, header, message):
    with pytest.raises(ValueError, match=message):
        batch(table(tmp_path / "a.csv", rows, header))


def test_what_spreadsheets_write_is_read(tmp_path):
    """pandas' whole numbers with a point, "yes", semicolons, a `sep=` line; a text that spreads over two lines."""
    (tmp_path / "a.csv").write_text('sep=;\nPrompt; emotion;seed;loop\n"a face\nsecond line"; joy;1.0;YES\n')
    (job,) = batch(tmp_path / "a.csv")
    assert (job.prompt, job.emotion, job.seed, job.loop) == ("a face\nsecond line", "joy", 1, True)
    (tmp_path / "b.jsonl").write_text('{"prompt": "a\u2028b", "seed": 2.0, "loop": "no"}\r', encoding="utf-8")
    (job,) = batch(tmp_path / "b.jsonl")
    assert (job.prompt, job.seed, job.loop) == ("a\u2028b", 2, False)
    for wrong, message in (
        ('{"prompt": 5}', "'prompt' must be text, not 5"),
        ('{"prompt": "a", "prompt": "b"}', "twice"),
    ):
        (tmp_path / "b.jsonl").write_text(wrong)
        with pytest.raises(RequestError, match=rf"b\.jsonl:1: .*{message}"):
            batch(tmp_path / "b.jsonl")


def test_wrong_files(tmp_path):
    with pytest.raises(RequestError, match=r"--batch: no file"):
        batch(tmp_path / "none.csv")
    (tmp_path / "a.txt").write_text("x\n")
    with pytest.raises(RequestError, match=r"a\.txt: a table is a \.jsonl file .* a \.csv or a \.parquet"):
        batch(tmp_path / "a.txt")
    (tmp_path / "a.jsonl").write_text('{"prompt": "a"}\n[1]\n')
    with pytest.raises(ValueError, match=r"a\.jsonl:2: expected an object"):
        batch(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--avoid", "feer"], "--avoid: .*did you mean fear"),
        (["--image", "none.png"], "--image: no file none.png"),
        (["--guidance_interval", "0", "0.5"], "give that too"),
        (
            ["--emotion", "all", "--platform", "slack"],
            "makes a labelled grid.*With --output_dir it makes a sticker set",
        ),
        (["--max_kb", "0"], "--max_kb is 0"),
        (["--lora", "none.safetensors"], r"--lora none\.safetensors: no such file"),
        (["--cache", "pyramid"], "--cache pyramid: "),
        (["--ulysses", "2"], "need a --seed: all processes"),
        (["--output", "a.mp4", "--batch", "a.csv"], "--output is for one clip"),
    ],
)
def test_what_is_refused_at_once(more, message, capsys, monkeypatch):
    monkeypatch.setattr("emogen.commands.sample_run.load", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(SystemExit) as stop:
        sample(["--prompt", "a face", *more])
    assert stop.value.code == 2
    import re

    assert re.search(message, capsys.readouterr().err, flags=re.S)


def test_the_options_of_a_clip(tmp_path):
    made = arguments("--prompt", "a face", "--emotion", "awe:0.5", "--seed", "4", "--loop", "--output", "x.mp4")
    kept = description(made)
    assert kept["emotion"] == "awe:0.5" and kept["loop"] is True and "output" not in kept and "quiet" not in kept
    clip = tmp_path / "a.webp"
    noise = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)
    write_video(clip, noise, 8, kept | {"emogen": "0.0.1"})
    again = arguments("--from", str(clip), "--emotion", "fear")
    read_job(again)
    assert (again.prompt, again.emotion, again.seed, again.loop) == ("a face", "fear", 4, True)
    assert again.made_with == {"emogen": "0.0.1"} and again.output is None
    write_video(clip, noise, 8)
    for wrong in (clip, tmp_path / "none.webp"):
        with pytest.raises(RequestError, match="no clip that says what made it"):
            arguments("--from", str(wrong))


def test_a_prompt_is_enriched_where_it_is_asked_for(tmp_path):
    look = {name: {"brightness": {"n": 40, "mean": 0.3 if name == "sadness" else 0.6, "sd": 0.1}} for name in MIKELS}
    (tmp_path / "p.json").write_text(json.dumps({"emotions": look}))
    line = ("--prompt", "a cat", "--emotion", "sadness")
    plain, rich = arguments(*line), arguments(*line, "--enrich", str(tmp_path / "p.json"))
    assert prompt_of(plain, read_job(plain).emotion) == "a cat", "off unless it is asked for"
    assert prompt_of(rich, read_job(rich).emotion) == "a cat, dark"
    assert description(rich)["prompt"] == "a cat" and description(rich)["enrich"].endswith("p.json")
    (tmp_path / "p.json").write_text("{}")
    with pytest.raises(RequestError, match=r"--enrich .*p\.json: holds no priors"):
        read_job(rich)
    clip = write_video(tmp_path / "a.mp4", np.zeros((2, 16, 16, 3), np.uint8), 8.0,
                       {"prompt": "a cat", "emotion": "sadness", "enrich": "/etc/p.json"})  # fmt: skip
    with pytest.raises(RequestError, match=r"--enrich '/etc/p\.json'; --trust takes"):
        arguments("--from", str(clip))


def test_a_picture_that_changed_is_told(tmp_path):
    picture, clip = tmp_path / "face.png", tmp_path / "a.webp"
    noise = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)
    Image.new("RGB", (32, 32)).save(picture)
    made = arguments("--prompt", "a face", "--image", str(picture), "--seed", "1")
    write_video(clip, noise, 8, description(made))
    assert arguments("--from", str(clip)).image == str(picture)
    Image.new("RGB", (32, 32), "red").save(picture)
    with pytest.raises(RequestError, match=r"face\.png has changed since"):
        arguments("--from", str(clip))
    assert arguments("--from", str(clip), "--image", str(picture)).seed == 1
    picture.unlink()
    with pytest.raises(RequestError, match="is not there any more"):
        arguments("--from", str(clip))
