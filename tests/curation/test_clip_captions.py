"""Captions by a tiny model with random weights, and what emotion a caption's words speak of."""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
from judge_parts import save_llava, save_video_llava

from emogen.commands.data import main
from emogen.curation.captions import caption_clips, caption_stage
from emogen.curation.frames import frames_of
from emogen.curation.stage import StageError
from emogen.curation.suggest import suggest, suggested_by_words
from emogen.media import write_video


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_llava(tmp_path_factory.mktemp("llava")))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for name, seconds in (("a.mp4", 2), ("b.mp4", 1), ("c.mp4", 3)):
        frames = np.repeat(rng.integers(0, 256, (seconds * 8, 2, 2, 3), np.uint8), 16, 1).repeat(16, 2)
        write_video(folder / name, frames, 8)
    return folder


def row(films, name, **more):
    return {"clip_id": name, "source_folder": str(films), "source_path": name, "kind": "video", **more}


def test_frames_are_the_middles_of_equal_parts(tmp_path):
    write_video(tmp_path / "t.mp4", np.stack([np.full((16, 16, 3), 20 * k, np.uint8) for k in range(12)]), 4)
    found = frames_of(row(tmp_path, "t.mp4", start=1.0, end=3.0), 4)
    assert found[:, 8, 8, 0].astype(int) == pytest.approx([100, 140, 180, 220], abs=8)
    with pytest.raises(StageError):
        frames_of(row(tmp_path, "gone.mp4", start=0.0, end=1.0), 4)


def test_a_batch_says_what_each_clip_alone_would(model, films):
    """A still among videos has a shorter prompt, so that the batch is padded; one that is gone costs itself alone."""
    stage = caption_stage(model, frames=3, prompt_emotional="And how does it feel?", max_new_tokens=12)
    rows = [
        row(films, "a.mp4", start=0.0, end=2.0),
        row(films, "b.mp4", kind="image"),
        row(films, "gone.mp4", start=0.0, end=1.0),
        row(films, "c.mp4", start=1.0, end=3.0),
    ]
    together = caption_clips(rows, stage.settings, films)
    assert isinstance(together[2], StageError)
    alone = [caption_clips([one], stage.settings, films)[0] for one in (rows[0], rows[1], rows[3])]
    assert [together[0], together[1], together[3]] == alone
    texts = [made[0]["caption"] for made in alone]
    assert len(set(texts)) > 1 and all(made[0]["caption_emotional"] != made[0]["caption"] for made in alone)


def test_frames_may_be_given_as_one_video(tmp_path):
    pytest.importorskip("torchvision", reason="video processors of transformers need torchvision")
    model = str(save_video_llava(tmp_path / "model"))
    stage = caption_stage(model, frames=4, as_video=True, max_new_tokens=8)
    ramp = np.arange(0, 256, 32, dtype=np.uint8)[:, None, None, None]
    for name, frames in (("dark.mp4", ramp // 8), ("lighter.mp4", ramp)):
        write_video(tmp_path / name, np.broadcast_to(frames, (8, 32, 32, 3)), 4)
    rows = [row(tmp_path, f"{name}.mp4", start=0.0, end=2.0) for name in ("dark", "lighter")]
    together = caption_clips(rows, stage.settings, tmp_path)
    assert together == [caption_clips([one], stage.settings, tmp_path)[0] for one in rows]
    texts = [made[0]["caption"] for made in together]
    assert len(set(texts)) == 2 and all(texts)


def test_captions_by_a_recipe(model, films, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"sources:\n  - {{folder: {films}}}\nscenes: {{detector: none}}\nsuggest: true\n"
        f"caption_model: {{model: {model}, frames: 2, max_new_tokens: 6, batch: 2, prompt: 'What is seen?'}}\n"
    )
    out = tmp_path / "set"
    assert main(["run", str(recipe), "--output_dir", str(out), "--workers", "0", "--quiet"]) == 0
    clips = parquet.read_table(out / "clips.parquet").to_pylist()
    assert len(clips) == 3 and all(clip["caption"] and clip["caption_by"] == model for clip in clips)
    assert not any(clip["emotion"] for clip in clips)


def test_what_is_no_caption_model(films, tmp_path, capsys):
    with pytest.raises(StageError, match="cannot be loaded"):
        caption_clips([row(films, "a.mp4")], caption_stage(str(tmp_path)).settings, films)
    assert main(["ingest", str(films), "--output_dir", str(tmp_path / "o"), "--workers", "0", "--quiet"]) == 0
    assert main(["scenes", str(tmp_path / "o"), "--detector", "none", "--workers", "0", "--quiet"]) == 0
    assert main(["caption", str(tmp_path / "o")]) == 2
    assert "either --captions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "emotion"),
    [
        ("A man laughs happily at the camera.", "amusement"),
        ("The girl looks terrified and screams.", "fear"),
        ("A woman cries in the rain, full of sadness.", "sadness"),
        ("Two dogs run along a beach, excited.", "excitement"),
        ("a serene and peaceful lake", "contentment"),
        ("An amusement park at night.", None),
        ("A calm sea under a grey sky.", None),
        ("An angry man shouts at a scared child.", None),
        ("", None),
    ],
)
def test_words_suggest_an_emotion(text, emotion):
    assert suggested_by_words(text)[0] == emotion


def test_a_suggestion_is_no_label():
    found = suggest({"clip_id": "a", "caption": "a lake", "caption_emotional": "an awed man at a lake"})
    assert found == {"clip_id": "a", "suggested": "awe", "suggested_by": "words: awed"}
    assert suggest({"clip_id": "a", "caption": "a lake"}) is None


def test_a_caption_that_names_no_feeling_is_near_to_one(monkeypatch):
    pytest.importorskip("wordllama", reason="the extra suggest is not installed")
    from emogen.curation.meaning import Meaning

    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("it asks the network"))
    meaning = Meaning()
    sentences = {
        "A clown slips on a banana peel.": "amusement", "A hiker stands before a vast canyon under the stars.": "awe",
        "A cat dozes on a warm blanket.": "contentment", "Fans jump as the winning goal is scored.": "excitement",
        "A man slams the door and shouts at his boss.": "anger", "Flies swarm over a pile of garbage.": "disgust",
        "A girl hides under the bed as footsteps approach.": "fear", "A widow stands at a grave in rain.": "sadness",
    }  # fmt: skip
    found = {text: suggest({"clip_id": "a", "caption": text}, meaning) for text in sentences}
    right = sum(row is not None and row["suggested"] == sentences[text] for text, row in found.items())
    assert right >= 6 and all(
        row is None or row["suggested_by"].startswith("meaning: wordllama") for row in found.values()
    )
    named = suggest({"clip_id": "a", "caption": "A sad clown slips on a banana peel."}, meaning)
    assert (named["suggested"], named["suggested_by"]) == ("sadness", "words: sad")
    assert suggest({"clip_id": "a", "caption": "A red car drives past a building."}, meaning) is None


def test_without_the_package_it_is_said(monkeypatch, films, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "wordllama", None)
    out = str(tmp_path / "o")
    assert main(["ingest", str(films), "--output_dir", out, "--workers", "0", "--quiet"]) == 0
    assert main(["scenes", out, "--detector", "none", "--workers", "0", "--quiet"]) == 0
    assert main(["suggest", out, "--by", "meaning"]) == 2
    assert 'needs the package wordllama: pip install -e ".[suggest]"' in capsys.readouterr().err
    assert main(["suggest", out]) == 0
