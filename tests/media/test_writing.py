"""What is written is what was given, or it is said, or refused; and a full disk loses nothing silently."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from emogen.media import VideoError, probe, read_frames, read_metadata, read_video, write_video
from emogen.media.writer import WRITABLE, WriteError, check_output
from emogen.stickers.output import UnfitError, write_clip
from emogen.stickers.output import check_output as check_sticker

COLOURS = [(255, 0, 0), (0, 255, 0), (20, 40, 250), (128, 128, 128), (255, 255, 255), (250, 200, 40)]


@pytest.mark.parametrize("size", [(64, 64), (720, 1280)])
@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_colours_come_back_at_every_size_and_are_named(tmp_path, ending, size):
    for colour in COLOURS if size == (64, 64) else COLOURS[:1]:
        clip = np.broadcast_to(np.uint8(colour), (2, *size, 3))
        path = write_video(tmp_path / f"a{ending}", clip, 12)
        assert np.abs(read_frames(path)[0].astype(int) - colour).max() <= 3
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)
        if ending == ".mp4":
            assert (int(frame.color_primaries), int(frame.color_trc)) == (1, 1)
        # As other readers see it, who go by the tags:
        plain = frame.to_ndarray(format="rgb24", src_colorspace=int(frame.colorspace))
    assert np.abs(plain.astype(int) - colour).max() <= 3


def test_a_clip_from_before_the_tags_keeps_its_colours(tmp_path):
    """Untagged, BT.601, with what made it inside, at a size where players guess BT.709."""
    red = np.zeros((720, 1280, 3), np.uint8)
    red[..., 0] = 255
    for text, close in (('{"prompt": "a red face"}', True), ("by hand", False)):
        path = tmp_path / "old.mp4"
        with av.open(str(path), "w", container_options={"movflags": "+use_metadata_tags"}) as file:
            file.metadata["comment"] = text
            stream = file.add_stream("libx264", rate=12)
            stream.height, stream.width, stream.pix_fmt = 720, 1280, "yuv420p"
            file.mux(stream.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
            file.mux(stream.encode(None))
        assert (np.abs(read_frames(path)[0].astype(int) - red).max() <= 3) == close


FILL = """
    import resource, signal, sys
    import numpy as np
    from emogen.media.writer import WriteError, write_video
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    clip = np.random.default_rng(0).integers(0, 255, (24, 96, 96, 3), dtype=np.uint8)
    path = sys.argv[1]
    old = write_video(path, clip[:2], 12, {"old": 1})
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        write_video(path, clip, 12)
    except WriteError as error:
        print(error)
        sys.exit(7)
"""


@pytest.mark.parametrize("ending", WRITABLE)
def test_a_full_disk_is_an_error_and_the_old_file_stays(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(FILL), str(path)], capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    assert str(path) in done.stdout and "free some space" in done.stdout
    assert len(read_video(path)[0]) == 2 and read_metadata(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_muxer_that_keeps_silent_is_found_out(tmp_path, monkeypatch):
    clip = np.zeros((9, 32, 32, 3), np.uint8)
    whole = av.container.OutputContainer.mux
    seen = []

    class Lossy:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def mux(self, packets):
            for packet in packets:
                seen.append(packet)
                if len(seen) != 4:
                    whole(self.file, packet)

    opened = av.open
    monkeypatch.setattr(
        "emogen.media.writer.av.open", lambda p, m="r", **o: Lossy(opened(p, m, **o)) if m == "w" else opened(p, m, **o)
    )
    with pytest.raises(WriteError, match=r"8 of 9 frames"):
        write_video(tmp_path / "a.mp4", clip, 12)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused_before(tmp_path):
    for name, options, why in (
        ("a.avi", {}, r"cannot write '\.avi'"),
        ("a", {}, "without ending"),
        ("a:b.mp4", {}, "holds ':'"),
        ("a\nb.mp4", {}, r"holds '\\n'"),
        ("x" * 260 + ".mp4", {}, "too long"),
        ("a.mp4", {"transparent": True}, "MP4 has no transparency"),
        ("a.webp", {"width": 20000}, "16383"),
        ("a.gif", {"height": 0}, "1 to 65535"),
        ("a.gif", {"fps": float("inf")}, "fps is inf"),
        ("file/a.mp4", {}, "is a file, not a folder"),
        ("folder.mp4", {}, "is a folder"),
    ):
        (tmp_path / "file").touch()
        (tmp_path / "folder.mp4").mkdir(exist_ok=True)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(VideoError, match=why):
            check_output(tmp_path / name, **options)
        assert sorted(tmp_path.rglob("*")) == before
    assert check_output(tmp_path / "new" / "deep" / "a.webp", transparent=True) and not (tmp_path / "new").exists()
    with pytest.raises(VideoError, match="the folder /proc cannot be written to"):  # though root has the permission
        check_output("/proc/a.mp4")
    if os.geteuid():  # root may write everywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(VideoError, match="cannot be written to"):
            check_output(tmp_path / "locked" / "a.mp4")
    for name, options, why in (
        ("a.gif", {"platform": "telegram"}, r"telegram takes \.webm"),
        ("a.webp", {"platform": "whatsapp", "num_frames": 1}, "one frame does not"),
        ("a.gif", {"platform": "signal"}, "not one of"),
        ("a.gif", {"max_kb": 0}, "max_kb"),
        ("a.mp4", {"transparent": True}, "no transparency"),
    ):
        with pytest.raises(ValueError, match=why):
            check_sticker(tmp_path / name, **options)
    assert check_sticker(tmp_path / "a.gif", platform="slack", width=4000, height=4000)


def noisy(count=12, side=48):
    return np.random.default_rng(0).integers(0, 255, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "frames", "fps", "options", "changes"),
    [
        ("a.mp4", noisy(12, 47), 12, {}, "size 47x47 -> 48x48"),
        ("a.gif", noisy(30), 100, {}, "30 frames at 100 a second -> 15 at 50"),
        ("a.webp", noisy(30), 120, {}, "frames at 120 a second -> "),
        ("a.webp", noisy(), 12, {}, None),
        ("a.webp", noisy(16, 128), 12, {"max_kb": 60}, "quality"),
        ("a.gif", noisy(70, 130), 24, {"platform": "slack"}, "70 frames at 24 a second"),
        ("a.mp4", np.dstack([noisy(3)[0], noisy(1)[0][..., :1]])[None].repeat(3, 0), 12, {}, "laid on white"),
    ],
)
def test_what_is_said_is_what_the_file_is(tmp_path, name, frames, fps, options, changes):
    if "platform" in options:
        frames = frames // 64 * 64  # fits with few colours
        frames[:] = frames[:, :1, :1]
    fitted = write_clip(tmp_path / name, frames, fps, {"seed": 1}, **options)
    about = probe(fitted.path)
    assert (fitted.height, fitted.width, fitted.num_frames) == (about.height, about.width, about.frames)
    assert fitted.fps == pytest.approx(about.fps) and fitted.num_bytes == fitted.path.stat().st_size
    assert read_metadata(fitted.path) == {"seed": 1}
    assert changes in "; ".join(fitted.changes) if changes else fitted.changes == ()
    if name.endswith(".gif"):
        with Image.open(fitted.path) as image:
            assert image.n_frames <= fitted.num_frames


def test_the_smaller_limit_holds_and_what_does_not_fit_is_kept(tmp_path):
    clip = noisy(20, 128)
    with pytest.raises(UnfitError, match=r"a\.webp: does not fit in 3 KB") as caught:
        write_clip(tmp_path / "a.webp", clip, 12, {"seed": 1}, max_kb=3)
    assert caught.value.kept.name in str(caught.value) and len(read_video(caught.value.kept)[0]) == 20
    assert read_metadata(caught.value.kept) == {"seed": 1} and not (tmp_path / "a.webp").exists()
    still = np.repeat(clip[:1] // 128 * 128, 4, 0)
    with pytest.raises(UnfitError, match="does not move"):  # equal frames become one picture
        write_clip(tmp_path / "b.webp", still, 12, platform="whatsapp")
    assert not (tmp_path / "b.webp").exists() and len(list(tmp_path.iterdir())) == 2
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8)[None, :, None, None] * 2, (8, 128, 128, 3)).copy()
    ramp = np.stack([np.roll(frame, 6 * i, 0) for i, frame in enumerate(ramp)])
    free = write_clip(tmp_path / "c.gif", ramp, 12, platform="slack")
    tight = write_clip(tmp_path / "d.gif", ramp, 12, platform="slack", max_kb=0.6 * free.num_bytes / 1024)
    assert tight.num_bytes <= 0.6 * free.num_bytes and Path(tight.path).stat().st_size == tight.num_bytes


def test_webp_metadata_is_where_other_programs_look(tmp_path):
    path = write_video(tmp_path / "a.webp", noisy(2), 10, {"seed": 1})
    data = path.read_bytes()
    at = data.index(b"EXIF")
    assert data[at + 8 : at + 10] in (b"II", b"MM")  # a TIFF header at once, as the WebP specification has it
    with Image.open(path) as image:
        assert '"seed": 1' in image.getexif()[0x010E]
    prefixed = bytearray(data)  # as some programs write it
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    prefixed[at + 4 : at + 8] = (size + 6).to_bytes(4, "little")
    prefixed[at + 8 : at + 8] = b"Exif\0\0"
    prefixed[4:8] = (len(prefixed) - 8).to_bytes(4, "little")
    path.write_bytes(prefixed)
    assert read_metadata(path) == {"seed": 1}
