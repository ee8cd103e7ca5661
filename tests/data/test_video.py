import numpy as np
import pytest
from PIL import Image

from emogen.data.grid import label_grid
from emogen.data.video import (
    WRITABLE,
    VideoError,
    enlarge,
    read_metadata,
    read_video,
    resample_frames,
    write_video,
)


@pytest.fixture
def clip():
    frames = np.full((13, 32, 48, 3), 90, np.uint8)
    for i in range(13):
        frames[i, :, 3 * i : 3 * i + 8] = (230, 60, 40)
    return frames


@pytest.mark.parametrize("ending", WRITABLE)
def test_round_trip(tmp_path, clip, ending):
    made = {"prompt": 'a "round"; yellow=face #1 \\ é', "seed": 7}
    path = write_video(tmp_path / "deep" / f"clip{ending}", clip, 12, made)
    frames, fps = read_video(path)
    assert frames.shape == clip.shape and frames.dtype == np.uint8
    assert abs(fps - 12) < 0.6
    # Every frame is nearest to the one it came from: order and timing survived the codec.
    distance = np.abs(frames[:, None].astype(int) - clip[None]).mean((2, 3, 4))
    assert (distance.argmin(1) == np.arange(13)).all()
    assert read_metadata(path) == made
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_lossless_png_is_exact(tmp_path, clip):
    assert (read_video(write_video(tmp_path / "a.png", clip, 12))[0] == clip).all()


def test_alpha_survives_and_lies_on_white(tmp_path):
    rgba = np.zeros((3, 8, 8, 4), np.uint8)
    for i in range(3):
        rgba[i, : i + 2, :, 0] = 200
        rgba[i, : i + 2, :, 3] = 255
    path = write_video(tmp_path / "a.png", rgba, 10)
    assert (read_video(path, alpha=True)[0][..., 3] == rgba[..., 3]).all()
    flat = read_video(path)[0]
    assert (flat[0, -1] == 255).all() and (flat[0, 0] == (200, 0, 0)).all()


def test_unequal_durations_become_a_regular_grid(tmp_path):
    images = [Image.new("RGB", (8, 8), c) for c in ("red", "green", "blue")]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:],
                   duration=[100, 300, 100], lossless=True)
    frames, fps = read_video(tmp_path / "a.webp")
    assert len(frames) == 5 and fps == 10
    assert frames[:, 0, 0].argmax(1).tolist() == [0, 1, 1, 1, 2]


def test_resampling_takes_the_nearest_frame():
    frames = np.arange(24)
    assert resample_frames(frames, 24, 12).tolist() == list(range(0, 24, 2))
    assert resample_frames(frames[:4], 8, 16).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert resample_frames(frames, 24, 24, 5).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="positive"):
        resample_frames(frames, 0, 12)


def test_bad_files_are_named(tmp_path, clip):
    (tmp_path / "broken.webp").write_bytes(b"RIFFnothing")
    with pytest.raises(VideoError, match=r"broken\.webp"):
        read_video(tmp_path / "broken.webp")
    with pytest.raises(VideoError, match=r"broken\.webp"):
        read_metadata(tmp_path / "broken.webp")
    with pytest.raises(FileNotFoundError, match="absent"):
        read_video(tmp_path / "absent.mp4")
    with pytest.raises(VideoError, match=r"\.mp4, \.gif"):
        write_video(tmp_path / "a.avi", clip, 12)
    with pytest.raises(VideoError, match="uint8"):
        write_video(tmp_path / "a.mp4", clip.astype(float), 12)


def test_a_failed_write_leaves_the_old_file(tmp_path, clip, monkeypatch):
    path = write_video(tmp_path / "a.webp", clip, 12)
    before = path.read_bytes()
    monkeypatch.setattr("emogen.data.video.os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_video(path, clip[::-1].copy(), 12)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_other_peoples_comments_are_not_metadata(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif", comment=b"made with love")
    assert read_metadata(tmp_path / "a.gif") is None


def test_enlarge_by_whole_factors_only(clip):
    assert enlarge(clip, 100).shape == (13, 128, 192, 3)
    assert enlarge(clip, 32) is clip


def test_grid_holds_every_clip_under_its_label(clip):
    grid = label_grid([clip, clip // 2, clip], ["a", "b", "c"], columns=2)
    bar = 14
    assert grid.shape == (13, 2 * (32 + bar), 96, 3)
    assert (grid[:, bar : bar + 32, 48:] == clip // 2).all()
    assert grid[0, :bar, :48].min() < 128  # the label's ink
    with pytest.raises(ValueError, match="label"):
        label_grid([clip], ["a", "b"], 1)
