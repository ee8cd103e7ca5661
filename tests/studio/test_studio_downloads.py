"""Clips to take away from the studio."""

import numpy as np
import pytest

from emogen.emotion import EmotionState
from emogen.media.reader import read_metadata, read_video
from emogen.stickers.platforms import PLATFORMS
from emogen.studio.downloads import FORMATS, choices, size_text, write_download
from emogen.studio.result import Result


@pytest.fixture
def result(tmp_path):
    """A grey ball that moves over white: 9 frames of 32x32."""
    y, x = np.mgrid[:32, :32]
    frames = np.stack([np.where(((x - 8 - i * 2) ** 2 + (y - 16) ** 2 < 30)[..., None], 90, 255) for i in range(9)])
    np.save(tmp_path / "1.npy", np.repeat(frames, 3, -1).astype(np.uint8))
    made = {"prompt": "a ball", "seed": 3}
    return Result(1, "a ball", EmotionState.of("awe"), 3, tmp_path / "clip.webp", tmp_path / "1.npy", 10, 1.0,
                  metadata=made)  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_holds_the_clip_and_what_made_it(result, tmp_path, form):
    done = write_download(result, form, tmp_path / "downloads")
    frames, fps = read_video(done.path)
    assert done.path.suffix == FORMATS[form] and done.path.stem == "clip" and done.changes == ()
    assert frames.shape == (9, 384, 384, 3) and fps == pytest.approx(10, abs=0.2)
    assert {"prompt": "a ball", "seed": 3}.items() <= read_metadata(done.path).items()
    assert size_text(done.path).endswith("B")


def test_unknown_forms_and_transparent_mp4_are_refused(result, tmp_path):
    with pytest.raises(ValueError, match="no form 'AVI'; there are MP4"):
        write_download(result, "AVI", tmp_path)
    with pytest.raises(ValueError, match="MP4 has no transparency"):
        write_download(result, "MP4", tmp_path, transparent=True)


def test_transparent_background(result, tmp_path):
    done = write_download(result, "APNG", tmp_path, transparent=True)
    frames, _ = read_video(done.path, alpha=True)
    assert frames[0, 0, 0, 3] == 0 and frames[0, 192, 96, 3] == 255
    assert done.path.stem == "clip_transparent" and read_metadata(done.path)["transparent"] is True


def test_seamless_loop_is_told(result, tmp_path):
    done = write_download(result, "GIF", tmp_path, loop=True)
    assert done.path.stem == "clip_loop" and done.changes[0].startswith("loop: ")
    assert len(read_video(done.path)[0]) != 9, "the ball's last place is far from its first"


def test_sticker_is_what_the_platform_takes(result, tmp_path):
    offered = choices()[len(FORMATS) :]
    assert [f"sticker for {name}" for name in PLATFORMS] == [choice.lower() for choice in offered]
    assert "Sticker for WhatsApp" in offered
    done = write_download(result, "Sticker for Slack", tmp_path)
    assert PLATFORMS["slack"].check(done.path) == []
    assert any("384x384 -> 128x128" in change for change in done.changes)
    assert done.path.name == "clip_slack.gif"
