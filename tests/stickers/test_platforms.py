from dataclasses import replace

import av
import numpy as np
import pytest

from emogen.media.limits import VideoError
from emogen.media.reader import read_metadata, read_video
from emogen.media.writer import write_video
from emogen.stickers.platforms import PLATFORMS, on_square, platform_named, write_for

MADE = {"prompt": "a face", "emotion": "awe:1"}


def clip(count=6, height=24, width=24):
    """A red square that drifts over nothing."""
    frames = np.zeros((count, height, width, 4), np.uint8)
    for index in range(count):
        frames[index, 6:18, 2 + index % 6 : 14 + index % 6] = (220, 40, 40, 255)
    return frames


def small(name, side=64):
    return replace(PLATFORMS[name], side=side)  # the true size only makes the test slower


@pytest.mark.parametrize(("name", "ending"), [(n, e) for n, p in PLATFORMS.items() for e in p.endings])
def test_every_platform_takes_what_is_written_for_it(tmp_path, name, ending):
    platform = small(name)
    done = write_for(platform, tmp_path / f"a{ending}", clip(), 12, MADE)
    assert platform.check(done.path) == [] and read_metadata(done.path) == MADE
    assert done.changes == ("size 24x24 -> 64x64",)
    frames, fps = read_video(done.path, alpha=True)
    assert frames.shape == (6, 64, 64, 4) and fps == pytest.approx(12)
    assert frames[:, 2, 2, 3].max() < 20 and frames[:, 30, 30, 3].min() > 230  # alpha is kept


def test_the_presets_are_what_the_platforms_say():
    assert {n: (p.side, p.max_kb, p.max_seconds, p.endings[0]) for n, p in PLATFORMS.items()} == {
        "telegram": (512, 256, 3, ".webm"),
        "whatsapp": (512, 500, 10, ".webp"),
        "discord": (320, 512, 5, ".png"),
        "slack": (128, 128, None, ".gif"),
    }
    assert PLATFORMS["telegram"].max_fps == 30 and 1000 / PLATFORMS["whatsapp"].max_fps == 8


def test_a_long_clip_is_played_faster_cut_or_refused(tmp_path):
    platform = replace(small("discord"), max_seconds=1)
    fast = write_for(platform, tmp_path / "a.png", clip(24), 12)
    assert fast.num_frames == 24 and fast.fps == 24 and "2.00 times faster" in fast.changes[0]
    cut = write_for(platform, tmp_path / "b.png", clip(24), 12, too_long="cut")
    assert cut.num_frames == 12 and cut.fps == 12 and "cut from 2.00 s to 1.00 s" in cut.changes[0]
    assert platform.check(fast.path) == platform.check(cut.path) == []
    with pytest.raises(ValueError, match=r"2\.00 s, discord takes 1 s"):
        write_for(platform, tmp_path / "c.png", clip(24), 12, too_long="error")
    with pytest.raises(ValueError, match="'shrink' is not one of speed, cut, error"):
        write_for(platform, tmp_path / "c.png", clip(24), 12, too_long="shrink")


def test_a_fast_clip_and_one_of_many_frames_are_thinned(tmp_path):
    done = write_for(small("telegram"), tmp_path / "a.webm", clip(20), 60)
    assert done.num_frames == 10 and done.fps == 30 and small("telegram").check(done.path) == []
    done = write_for(small("slack"), tmp_path / "a.gif", clip(60), 30)
    assert done.num_frames == 50 and done.fps == pytest.approx(25) and small("slack").check(done.path) == []
    assert "60 frames at 30 a second -> 50 at 25" in done.changes


def test_the_limit_of_bytes_is_kept_at_full_size(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), dtype=np.uint8)
    plain = write_video(tmp_path / "plain.gif", on_square(noise, 64), 10)
    platform = replace(small("slack"), max_kb=plain.stat().st_size * 0.8 / 1024)
    done = write_for(platform, tmp_path / "a.gif", noise, 10)
    assert platform.check(done.path) == [] and (done.height, done.width) == (64, 64) and done.colours < 256


def test_a_wide_clip_gets_clear_margins():
    wide = np.full((2, 10, 20, 3), 200, np.uint8)
    square = on_square(wide, 40)
    assert square.shape == (2, 40, 40, 4)
    assert (square[:, 10:30] == (200, 200, 200, 255)).all() and not square[:, :10].any() and not square[:, 30:].any()
    assert on_square(wide[:, :, :10], 40).shape == (2, 40, 40, 3)


def test_check_names_everything_that_is_wrong(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (9, 40, 30, 3), dtype=np.uint8)
    path = write_video(tmp_path / "a.gif", noise, 2)
    platform = replace(PLATFORMS["telegram"], max_kb=1, max_frames=5, max_fps=1)
    wrong = platform.check(path)
    for part in (
        ".webm, not .gif",
        "30x40 pixels, not 512x512",
        "KB, more than 1",
        "4.50 s, more than 3",
        "2 frames/s, more than 1",
        "9 frames, more than 5",
    ):
        assert any(part in line for line in wrong), part
    assert len(wrong) == 6
    still = write_video(tmp_path / "a.webp", noise[:1], 2)
    assert "does not move" in small("whatsapp", 40).check(still)[-1]
    moved = tmp_path / "vp8.webm"
    with av.open(str(moved), "w") as file:
        stream = file.add_stream("libvpx", rate=10)
        stream.width = stream.height = 64
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode(None))
    assert small("telegram").check(moved) == ["its codec is not VP9"]


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match=r"'signal' is not one of telegram, whatsapp, discord, slack"):
        platform_named("signal")
    with pytest.raises(VideoError, match=r"a\.gif: telegram takes \.webm, not \.gif"):
        write_for("telegram", tmp_path / "a.gif", clip(), 12)
    with pytest.raises(VideoError, match="uint8"):
        write_for("slack", tmp_path / "a.gif", clip() / 255, 12)
    with pytest.raises(VideoError, match="fps is nan"):
        write_for("slack", tmp_path / "a.gif", clip(), float("nan"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(VideoError, match="whatsapp would refuse it: it does not move"):
        write_for(small("whatsapp"), tmp_path / "a.webp", clip()[[0, 0, 0]], 12)
