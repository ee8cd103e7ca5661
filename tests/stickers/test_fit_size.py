import numpy as np
import pytest

from emogen.media.limits import VideoError
from emogen.media.reader import read_metadata, read_video
from emogen.media.writer import write_video
from emogen.stickers.fit_size import SizeError, resize_frames, write_within

MADE = {"prompt": "a face", "seed": 4}


@pytest.fixture(scope="module")
def clip():
    """Coloured blobs that wander, uint8 (12, 64, 64, 4), with a clear rim."""
    y, x = np.mgrid[:64, :64] / 64
    frames = np.zeros((12, 64, 64, 4), np.uint8)
    for index in range(12):
        for channel in range(3):
            wave = np.sin((channel + 3) * 6 * x + index * 0.6) * np.cos((5 - channel) * 6 * y - index * 0.4)
            frames[index, ..., channel] = 127 + 120 * wave
        frames[index, 6:58, 6:58, 3] = 255
    return frames


def kilobytes(folder, clip, ending, **options):
    return write_video(folder / f"full{ending}", clip, 12, MADE, **options).stat().st_size / 1024


def test_what_fits_is_left_alone(tmp_path, clip):
    done = write_within(tmp_path / "a.webp", clip, 12, 500, MADE)
    assert done.changes == () and done.quality == 90 and (done.height, done.width, done.num_frames) == (64, 64, 12)
    assert done.path.read_bytes() == write_video(tmp_path / "b.webp", clip, 12, MADE).read_bytes()
    assert write_within(tmp_path / "a.png", clip, 12, 5000).colours is None  # lossless


@pytest.mark.parametrize(("ending", "given"), [(".webp", "quality"), (".gif", "colours"), (".png", "colours")])
def test_quality_goes_first_and_only_as_far_as_it_takes(tmp_path, clip, ending, given):
    floor = {"quality": 40} if given == "quality" else {"colours": 32}
    best = kilobytes(tmp_path, clip, ending)
    limit = (best + kilobytes(tmp_path, clip, ending, **floor)) / 2
    done = write_within(tmp_path / f"a{ending}", clip, 12, limit, MADE)
    assert done.num_bytes == done.path.stat().st_size <= limit * 1024 < best * 1024
    assert len(done.changes) == 1 and given in done.changes[0]
    assert (done.height, done.width, done.num_frames, done.fps) == (64, 64, 12, 12)
    value = getattr(done, given)
    assert value > floor[given]
    better = (
        {"quality": value + 5}
        if given == "quality"
        else {"colours": {48: 64, 64: 96, 96: 128, 128: 192, 192: 256}.get(value)}
    )
    assert kilobytes(tmp_path, clip, ending, **better) > limit  # one step better would not have fitted
    frames, fps = read_video(done.path, alpha=True)
    assert frames.shape == clip.shape and fps == 12 and read_metadata(done.path) == MADE


def test_then_size_and_then_rate(tmp_path, clip):
    floors = {"min_quality": 60, "min_side": 40, "min_fps": 6}
    clip = clip[..., :3]
    at_floor = kilobytes(tmp_path, clip, ".webp", quality=60)
    smaller = write_within(tmp_path / "a.webp", clip, 12, at_floor * 0.8, MADE, **floors)
    assert 40 <= smaller.height < 64 and smaller.num_frames == 12 and "size 64x64" in " ".join(smaller.changes)
    smallest = kilobytes(tmp_path, resize_frames(clip, 40, 40), ".webp", quality=60)
    slower = write_within(tmp_path / "b.webp", clip, 12, smallest * 0.75, MADE, **floors)
    assert (slower.height, slower.width) == (40, 40) and 6 <= slower.fps < 12
    frames, fps = read_video(slower.path)
    assert len(frames) == slower.num_frames and fps == slower.fps
    assert len(frames) / fps == pytest.approx(1)  # as long as before
    with pytest.raises(SizeError, match=r"c\.webp.*smallest reached is \d+\.\d KB at 40x40, 6 frames/s, quality 60"):
        write_within(tmp_path / "c.webp", clip, 12, smallest * 0.3, MADE, **floors)


def test_floors_hold_when_they_do_not_divide(tmp_path, clip):
    with pytest.raises(SizeError, match=r"at 50x38, 7\.2 frames/s"):  # 7 of 10 frames would be slower than 7.1
        write_within(tmp_path / "a.webp", clip[:10, :48], 10 * 1.0285714, 0.2, min_side=37, min_fps=7.15)
    with pytest.raises(SizeError, match="at 64x64, 12 frames/s, quality 90"):
        write_within(tmp_path / "a.webp", clip, 12, 0.2, min_side=64, min_fps=12, min_quality=90)


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_videos(tmp_path, clip, ending):
    limit = kilobytes(tmp_path, clip, ending) * 0.8
    done = write_within(tmp_path / f"a{ending}", clip, 12, limit, MADE, min_quality=10)
    assert done.num_bytes <= limit * 1024 and done.quality < 90 and read_metadata(done.path) == MADE
    assert len(read_video(done.path)[0]) == 12


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path, clip):
    path = write_video(tmp_path / "a.gif", clip[:2], 12)
    before = path.read_bytes()
    with pytest.raises(SizeError):
        write_within(path, clip, 12, 0.1)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def test_resizing_weights_colours_by_alpha():
    half = np.zeros((1, 8, 8, 4), np.uint8)
    half[:, :, :4] = (240, 100, 20, 255)
    small = resize_frames(half, 3, 3)
    seen = small[..., 3] > 20
    assert np.abs(small[seen][:, :3].astype(int) - (240, 100, 20)).max() < 20  # Lanczos rings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_kb": 0}, "max_kb"),
        ({"max_kb": float("nan")}, "max_kb"),
        ({"min_quality": 95}, "min_quality"),
        ({"min_colours": 3}, "min_colours"),
        ({"min_side": 0}, "min_side"),
        ({"min_fps": 0}, "min_fps"),
    ],
)
def test_bad_arguments(tmp_path, clip, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_within(tmp_path / "a.webp", clip, 12, **{"max_kb": 10} | arguments)
    with pytest.raises(VideoError, match=r"\.avi"):
        write_within(tmp_path / "a.avi", clip, 12, 10)
