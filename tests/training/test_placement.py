"""What becomes of clips before training: listed in every mode, damaged ones dropped, arcs cut with their clip."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from emogen.data.buckets import Bucket
from emogen.data.records import ClipRecord
from emogen.emotion import EmotionArc
from emogen.media import write_video
from emogen.models import latent_frame_times
from emogen.training.data.clips import PlannedClip, load_clip, moments_in_clip
from emogen.training.data.plan import DataError, make_plan
from emogen.training.run import reading_memory

FIXTURES = Path(__file__).parent.parent / "fixtures" / "media"


def noisy(count, height=16, width=16):
    return np.random.default_rng(count).integers(0, 255, (count, height, width, 3), dtype=np.uint8)


@pytest.fixture
def odd_clips(tmp_path, monkeypatch):
    """Clips of which half cannot be used at 5 frames of 16x16 and 8 a second, each for a reason of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    folder = tmp_path / "odd"
    folder.mkdir()
    write_video(folder / "whole.webp", noisy(5), 8)
    write_video(folder / "long.webp", noisy(40), 8)
    write_video(folder / "short.webp", noisy(3), 8)
    write_video(folder / "wide.webp", noisy(6, 16, 64), 8)
    write_video(folder / "tiny.webp", noisy(6, 6, 6), 8)
    for name in ("cut_at_half.mp4", "overwritten_middle.mp4", "audioonly.mp4", "x.svg", "one.png", "strip.png"):
        shutil.copy(FIXTURES / name, folder / name)
    rows = [{"file_name": path.name, "caption": "a red ball", "emotion": "joy"} for path in sorted(folder.iterdir())]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_every_drop_cut_loop_and_enlargement_is_listed(make_config, odd_clips):
    said = []
    data = {"dataset_name": str(odd_clips), "max_bad_fraction": 1.0, "short_clips": "loop"}
    plan = make_plan(make_config(data=data), said.append)
    text = "\n".join(said)
    used = ("whole", "long", "short", "wide", "tiny")
    assert sorted(clip.record.file_name for clip in plan.clips) == sorted(f"{name}.webp" for name in used)
    for line in (
        "cut_at_half.mp4: truncated: 36 frames are declared, 12 can be decoded",
        "overwritten_middle.mp4: damaged: 36 frames are declared, 30 can be decoded",
        "holds no picture, only sound",
        "SVG drawing",
        "one.png: 1x1 pixels would be enlarged 16 times",
        "strip.png: 99% of 2000x20 pixels would be cut off",
        "long.webp: 5 of 40 frames at the model's rate are used",
        "short.webp: 3 frames at the model's rate; repeated to 5",
        "tiny.webp: 6x6 enlarged 2.67 times to 16x16",
        "wide.webp: 75% of 16x64 cut off to fit 16x16",
    ):
        assert line in text, line
    clips = 8 * 5 * 16 * 16 * 3 * 4 / 2**20
    assert f"{clips:,.0f} for 8 clips (data.encode_clips)" in reading_memory(plan)
    assert "162 for a frame of the largest size allowed" in reading_memory(plan)  # 18 bytes a pixel of 4096x2304
    said.clear()
    make_plan(make_config(data={**data, "short_clips": "skip"}), said.append)
    assert "short.webp: 3 frames at the model's rate; the shortest bucket has 5" in "\n".join(said)
    with pytest.raises(DataError, match="max_bad_fraction"):
        make_plan(make_config(data={**data, "max_bad_fraction": 0.1}), said.append)


def test_limits_are_keys_of_the_configuration(make_config, odd_clips):
    said = []
    data = {"dataset_name": str(odd_clips), "max_bad_fraction": 1.0, "max_frames": 30}
    make_plan(make_config(data=data), said.append)
    assert "claims 40 frames, more than 30" in "\n".join(said) and "max_frames" in "\n".join(said)


def planned(frames, fps=8.0, last=None, count=5):
    record = ClipRecord(path=Path("a"), file_name="a", caption="", emotion=EmotionArc.parse("0:joy").at(0))
    return PlannedClip(record, Bucket(count, 16, 16), frames, last)


@pytest.mark.parametrize(
    ("clip", "short", "moments"),
    [
        (planned(5, last=0.5), "skip", [0, 0.25, 0.5, 0.75, 1]),  # learned whole
        (planned(41, last=5.0), "skip", [0, 0.025, 0.05, 0.075, 0.1]),  # a tenth of it
        (planned(3, last=0.25), "hold", [0, 0.5, 1, 1, 1]),
        (planned(3, last=0.25), "loop", [0, 0.5, 1, 0, 0.5]),
        (planned(None), "skip", [0, 0.25, 0.5, 0.75, 1]),
    ],
)
def test_an_arc_is_cut_with_its_clip(clip, short, moments):
    assert moments_in_clip(clip, [0, 0.25, 0.5, 0.75, 1], 8.0, short) == pytest.approx(moments)


def test_training_on_the_first_second_of_ten_is_told_its_emotion(make_config, odd_clips, tmp_path):
    """Ten seconds from fear to amusement, of which half a second is learned: fear, not amusement."""
    from accelerate import Accelerator

    from emogen.training.data.encode import cache_of
    from emogen.training.run import prepare_data

    folder = tmp_path / "arc"
    folder.mkdir()
    write_video(folder / "a.webp", noisy(80), 8)
    row = {"file_name": "a.webp", "caption": "a ball", "emotion": "0:fear 0.1:fear 0.2:amusement"}
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    plan = make_plan(make_config(data={"dataset_name": str(folder)}, run={"train_batch_size": 1}), lambda line: None)
    geometry = plan.geometry
    cache = cache_of(plan.family, tmp_path / "cache", geometry.fps, "skip", geometry.max_sequence_length)
    _, train, _ = prepare_data(plan, cache, Accelerator(cpu=True))
    emotion = train.batch([0]).emotion
    fear = train.records[0].arc.at(0)
    states = [train.records[0].arc.at(time) for time in latent_frame_times(2)]
    assert states[1] != fear  # as it was told before
    told = emotion.distribution[0] if emotion.distribution.ndim == 3 else emotion.distribution
    assert torch.allclose(told, torch.tensor(fear.distribution).expand_as(told))


def test_a_damaged_clip_is_never_padded(tmp_path):
    record = ClipRecord(path=FIXTURES / "cut_at_half.mp4", file_name="a", caption="",
                        emotion=EmotionArc.parse("0:joy").at(0))  # fmt: skip
    for short in ("hold", "loop", "skip"):
        with pytest.raises(ValueError, match=r"cut_at_half\.mp4: damaged"):
            load_clip(PlannedClip(record, Bucket(33, 16, 16)), 12, short)
    assert load_clip(PlannedClip(record, Bucket(9, 16, 16)), 12, "skip").shape == (3, 9, 16, 16)


def test_time_is_that_of_the_stamps():
    """13 frames at 12 a second of a bar that grows by 24 pixels a second end at one second, not at a quarter."""
    record = ClipRecord(
        path=FIXTURES / "bar_vfr.mp4", file_name="a", caption="", emotion=EmotionArc.parse("0:joy").at(0)
    )
    pixels = load_clip(PlannedClip(record, Bucket(13, 96, 96)), 12, "skip")
    assert (pixels[0, -1, 48] > 0).sum() == pytest.approx(24, abs=2)
