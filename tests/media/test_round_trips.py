import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from emogen.media.limits import VideoError
from emogen.media.pixels import enlarge, palettise, resample_frames, spread_under
from emogen.media.reader import probe, read_metadata, read_video
from emogen.media.sheets import label_grid
from emogen.media.writer import WRITABLE, write_video


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
    images[0].save(
        tmp_path / "a.webp", save_all=True, append_images=images[1:], duration=[100, 300, 100], lossless=True
    )
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
    with pytest.raises(VideoError, match=r"\.mp4, \.webm, \.gif"):
        write_video(tmp_path / "a.avi", clip, 12)
    with pytest.raises(VideoError, match="uint8"):
        write_video(tmp_path / "a.mp4", clip.astype(float), 12)


def test_a_failed_write_leaves_the_old_file(tmp_path, clip, monkeypatch):
    path = write_video(tmp_path / "a.webp", clip, 12)
    before = path.read_bytes()
    monkeypatch.setattr("emogen.files.os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
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


ANIMATED_IMAGES = [ending for ending in WRITABLE if ending not in (".mp4", ".webm")]


@pytest.mark.parametrize("ending", WRITABLE)
def test_a_clip_that_stands_still_keeps_its_frames_and_rate(tmp_path, clip, ending):
    path = write_video(tmp_path / f"still{ending}", np.repeat(clip[:1], 7, axis=0), 12)
    frames, fps = read_video(path)
    assert frames.shape == (7, 32, 48, 3) and fps == pytest.approx(12)
    assert np.abs(frames.astype(int) - clip[0]).mean() < 6
    assert read_metadata(path) is None
    about = probe(path)
    assert (about.frames, about.fps) == (7, pytest.approx(12))


@pytest.mark.parametrize("ending", ANIMATED_IMAGES)
@pytest.mark.parametrize("fps", [7.3, 16, 30])
def test_held_frames_come_back_where_they_were(tmp_path, clip, ending, fps):
    order = [0, 0, 0, 4, 4, 9, 1, 1, 1, 1, 12]
    path = write_video(tmp_path / f"held{ending}", clip[order], fps, {"seed": 1})
    frames, read_fps = read_video(path)
    assert read_fps == fps
    distance = np.abs(frames[:, None].astype(int) - clip[None]).mean((2, 3, 4))
    assert distance.argmin(1).tolist() == order
    with Image.open(path) as image:  # other players see the same length of time
        total = 0
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            total += image.info["duration"]
    assert total == pytest.approx(11000 / fps, abs=11)


def test_a_file_that_was_timed_anew_is_read_as_it_is_now(tmp_path, clip):
    path = write_video(tmp_path / "a.png", clip[:4], 10)
    with Image.open(path) as image:
        text = image.info["emogen"]
    kept = PngInfo()
    kept.add_text("emogen", text)
    images = [Image.fromarray(f) for f in clip[:4]]
    images[0].save(path, save_all=True, append_images=images[1:], duration=200, pnginfo=kept)
    frames, fps = read_video(path)
    assert len(frames) == 4 and fps == 5
    for wrong in ('{"_clip": {"frames": 0, "fps": 3}}', '{"_clip": {"fps": "x"}}', '{"_clip": 3}'):
        kept = PngInfo()
        kept.add_text("emogen", wrong)
        images[0].save(path, pnginfo=kept)
        assert read_video(path)[1] == 1 and read_metadata(path) is None


def test_a_gif_of_a_fast_clip_is_thinned_but_lasts_as_long(tmp_path, clip):
    path = write_video(tmp_path / "a.gif", clip, 100)
    with Image.open(path) as image:
        assert image.n_frames in (6, 7)
        assert image.info["duration"] == 20


@pytest.mark.parametrize("ending", [".webm", ".webp", ".apng", ".png", ".gif"])
def test_alpha_is_kept(tmp_path, ending):
    rgba = np.zeros((4, 33, 47, 4), np.uint8)
    for i in range(4):
        rgba[i, 5:25, 4 * i : 4 * i + 20] = (210, 60, 30, 255)
    path = write_video(tmp_path / f"a{ending}", rgba, 10, {"seed": 3})
    frames, _ = read_video(path, alpha=True)
    assert frames.shape == rgba.shape and read_metadata(path) == {"seed": 3}
    assert np.abs(frames[..., 3].astype(int) - rgba[..., 3]).mean() < 4
    seen = rgba[..., 3] == 255
    assert np.abs(frames[seen].astype(int) - rgba[seen]).mean() < 12  # no dark rim from the colours under the hole
    assert (read_video(path)[0][:, -1] > 245).all()  # on white without alpha


def test_hidden_pixels_take_the_colours_beside_them():
    rgba = np.zeros((1, 20, 20, 4), np.uint8)
    rgba[0, :, :3] = (200, 100, 50, 255)
    rgba[0, :, 17:] = (20, 30, 240, 9)
    under = spread_under(rgba, steps=3)
    assert (under[..., 3] == rgba[..., 3]).all() and (under[rgba[..., 3] > 0] == rgba[rgba[..., 3] > 0]).all()
    assert (under[0, :, 3:6, :3] == (200, 100, 50)).all() and (under[0, :, 14:17, :3] == (20, 30, 240)).all()
    assert (under[0, :, 8:12, :3] == (110, 65, 145)).all() and not rgba[0, :, 3:17].any()


def test_mp4_has_no_alpha_and_lies_on_the_background(tmp_path):
    rgba = np.zeros((2, 16, 16, 4), np.uint8)
    rgba[:, :8] = (200, 0, 0, 255)
    assert read_video(write_video(tmp_path / "a.mp4", rgba, 10))[0][:, 12:].min() > 240
    green = read_video(write_video(tmp_path / "b.mp4", rgba, 10, background=(0, 200, 0)))[0][:, 12:, 4:12]
    assert np.abs(green.astype(int) - (0, 200, 0)).max() < 25
    assert (read_video(tmp_path / "b.mp4", alpha=True)[0][..., 3] == 255).all()


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_a_broken_video_is_named_without_a_banner(tmp_path, clip, ending):
    path = tmp_path / f"broken{ending}"
    path.write_bytes(b"nothing of the kind" * 50)
    for call in (read_video, probe, read_metadata):
        with pytest.raises(VideoError, match="broken") as caught:
            call(path)
        assert "\n" not in str(caught.value) and "ffmpeg version" not in str(caught.value)
        assert "Invalid data" in str(caught.value)


@pytest.mark.parametrize("ending", [".gif", ".png"])
def test_few_colours(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 255, (3, 24, 24, 3), dtype=np.uint8)
    sizes = []
    for colours in (8, 64):
        path = write_video(tmp_path / f"a{ending}", noise, 10, colours=colours)
        frames = read_video(path)[0]
        assert 4 <= len(np.unique(frames.reshape(-1, 3), axis=0)) <= colours
        sizes.append(path.stat().st_size)
    assert sizes[0] < 0.7 * sizes[1]
    with pytest.raises(ValueError, match="4 to 256"):
        write_video(path, noise, 10, colours=2)


def test_few_colours_with_half_transparent_pixels():
    rgba = np.zeros((2, 20, 20, 4), np.uint8)
    rgba[:, 5:15, 5:15] = (220, 40, 40, 255)
    rgba[:, 4, 5:15] = (220, 40, 40, 120)
    indices, table = palettise(rgba, 8, partial_alpha=True)
    assert np.abs(table[indices].astype(int) - rgba).max() < 12
    indices, table = palettise(rgba, 8)
    assert set(table[indices][..., 3].flat) == {0, 255} and (table[indices][:, 4, :, 3] == 0).all()


def test_metadata_that_cannot_be_kept_is_refused(tmp_path, clip):
    with pytest.raises(VideoError, match="_clip"):
        write_video(tmp_path / "a.gif", clip, 10, {"_clip": 1})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", WRITABLE)
def test_long_metadata_is_kept(tmp_path, clip, ending):
    made = {"prompt": "x" * 200_000}
    assert read_metadata(write_video(tmp_path / f"a{ending}", clip, 10, made)) == made


@pytest.mark.parametrize("ending", ANIMATED_IMAGES)
def test_one_frame_is_an_image_and_several_are_a_video(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)
    assert probe(write_video(tmp_path / f"moves{ending}", noise, 10)).kind == "video"
    assert probe(write_video(tmp_path / f"stands{ending}", noise[:1], 10)).kind == "image"
