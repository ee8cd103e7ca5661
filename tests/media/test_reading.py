"""Times, sizes, colours and damage of files of many kinds."""

import shutil
import tracemalloc
import warnings

import numpy as np
import pytest
from clip_parts import FIXTURES, encode, moving
from PIL import Image

from emogen.media import VideoError, iterate_frames, probe, read_frames, read_picture, read_video
from emogen.media.reader import DamageError, DamageWarning

# name -> kind, frames, seconds, width, height
KNOWN = {
    "bar_cfr.mp4": ("video", 120, 4.0, 96, 96),
    # What their own movie headers and edit lists say: the last frames appear at 3.87 and 3.80 s. ffprobe's 3.7 and 3.45
    # are sums of distances between decoding.
    "bar_vfr.mp4": ("video", 52, 3.9, 96, 96),
    "vfr60.mp4": ("video", 75, 3.82, 128, 96),
    "delay10ms.gif": ("video", 26, 2.6, 96, 96),
    "no_duration.webm": ("video", 36, 3.0, 96, 96),
    "sar_16_9_circle.mp4": ("video", 18, 1.5, 171, 96),
    "exif6.jpg": ("image", 1, 0, 128, 128),
    "gray16.png": ("image", 1, 0, 128, 128),
    "strip.png": ("image", 1, 0, 2000, 20),
    "one.png": ("image", 1, 0, 1, 1),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_a_file_is(name):
    about = probe(FIXTURES / name)
    kind, frames, seconds, width, height = KNOWN[name]
    assert (about.kind, about.frames, about.width, about.height) == (kind, frames, width, height)
    assert about.duration == pytest.approx(seconds, abs=0.02) and about.damaged is None and not about.has_audio
    assert about.fps == pytest.approx(frames / seconds if seconds else 0, rel=0.01)
    pixels, times = read_frames(FIXTURES / name)
    assert pixels.shape == (frames, height, width, 3) and pixels.dtype == np.uint8
    assert times[0] == 0 and (np.diff(times) > 0).all() and times[-1] == pytest.approx(about.last, abs=1e-6)


def test_at_any_moment_a_varying_and_a_constant_rate_show_the_same():
    """The bar grows by a quarter of the width a second: its width tells the time."""
    for name in ("bar_cfr.mp4", "bar_vfr.mp4"):
        frames, times = read_frames(FIXTURES / name, fps=10)
        shown = (frames[:, 48, :, 0] > 128).sum(1) / 24
        assert len(frames) in (39, 40) and (times == np.arange(len(times)) / 10).all()
        assert (shown <= times + 0.06).all() and (shown >= times - 0.16).all()  # the longest gap is 0.133 s
    part, times = read_frames(FIXTURES / "bar_vfr.mp4", fps=12, num_frames=13)
    assert times[-1] == 1 and (part[-1, 48, :, 0] > 128).sum() == pytest.approx(24, abs=2)
    late, times = read_frames(FIXTURES / "bar_vfr.mp4", fps=12, num_frames=13, start=2.0)
    assert times[0] == 2 and (late[0, 48, :, 0] > 128).sum() == pytest.approx(48, abs=4)


def test_a_circle_is_a_circle_when_displayed():
    dark = read_frames(FIXTURES / "sar_16_9_circle.mp4", num_frames=1)[0][0].mean(-1) < 128
    dark = dark if dark.mean() < 0.5 else ~dark
    assert np.ptp(np.nonzero(dark.any(0))) == pytest.approx(np.ptp(np.nonzero(dark.any(1))), abs=3)


@pytest.mark.parametrize(
    ("name", "codec", "form", "options"),
    [
        ("old.avi", "mpeg4", None, {}),
        ("tv.mpg", "mpeg1video", "mpeg", {}),
        ("tv.ts", "mpeg2video", "mpegts", {}),
        ("clip.flv", "flv", "flv", {}),
        ("phone.3gp", "libx264", "3gp", {}),
        ("no_ending", "libx264", "mp4", {}),
        ("named.gif", "libx264", "mp4", {}),
        ("named.png", "libvpx-vp9", "webm", {"crf": "20", "b": "0"}),
        ("clip.mkv", "libx264", None, {"crf": "10"}),
    ],
)
def test_files_are_known_by_their_content(tmp_path, name, codec, form, options):
    frames, rate = moving(), 25 if codec == "mpeg1video" else 12
    options = options or ({"qscale": "2", "b": "4M"} if codec not in ("libx264",) else {"crf": "10"})
    path = encode(tmp_path / name, frames, rate, codec, form=form, options=options)
    about = probe(path)
    assert (about.kind, about.frames, about.height, about.width) == ("video", 18, 64, 96) and about.damaged is None
    assert about.duration == pytest.approx(18 / rate, abs=0.01)
    got, fps = read_video(path)
    assert fps == pytest.approx(rate, rel=0.01)
    distance = np.abs(got[:, None].astype(int) - frames[None]).mean((2, 3, 4))
    assert (distance.argmin(1) == np.arange(18)).all()


def test_sound_does_not_count(tmp_path):
    path = encode(tmp_path / "a.mp4", moving(15), 12, sound=5)
    about = probe(path)
    assert about.duration == pytest.approx(1.25, abs=0.01) and about.frames == 15
    assert about.has_audio and about.damaged is None
    assert len(read_frames(path, fps=12)[0]) == 15


def test_stamps_are_the_times(tmp_path):
    stamps = [0, 50, 100, 300, 350, 900]
    path = encode(tmp_path / "a.mkv", moving(6), 12, stamps=stamps, options={"crf": "10", "bf": "0"})
    _, times = read_frames(path)
    assert times == pytest.approx(np.array(stamps) / 600, abs=0.001)
    shown, times = read_frames(path, fps=4, num_frames=6)
    coded = read_frames(path)[0]
    assert [int(np.abs(coded.astype(int) - f).mean((1, 2, 3)).argmin()) for f in shown] == [0, 2, 3, 4, 4, 4]
    later, times = read_frames(path, start=0.4)
    assert len(later) == 3 and times[0] == pytest.approx(0.5, abs=0.001)
    with pytest.raises(VideoError, match=r"no frame at 9 s"):
        read_frames(path, start=9)


@pytest.mark.parametrize("form", ["mp4", "matroska", "mpegts", "flv"])
def test_seeking_gives_what_reading_from_the_start_gives(tmp_path, form):
    codec = "flv" if form == "flv" else "libx264"
    path = encode(tmp_path / "long", moving(200), 20, codec, form=form, options={"g": "33"})
    whole, times = read_frames(path)
    for start in (1.02, 3.7, 6.66, 9.9):
        part, at = read_frames(path, start=start, num_frames=5)
        first = int(np.searchsorted(times, start - 0.001))
        assert at == pytest.approx(times[first : first + 5], abs=0.002)
        assert (part == whole[first : first + 5]).all()
        shown, _ = read_frames(path, fps=20, start=times[150], num_frames=3)
        assert (shown == whole[150:153]).all()


def test_rotation_is_applied(tmp_path):
    """A display matrix of a quarter turn, written into the track's header as phones do."""
    path = encode(tmp_path / "a.mp4", moving(3), options={"crf": "5"})
    flat = read_frames(path)[0]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: the matrix stands 40 bytes after flags begin
    one = (0x10000).to_bytes(4, "big")
    minus = (0xFFFF0000).to_bytes(4, "big")
    zero = b"\0\0\0\0"
    data[at : at + 36] = zero + one + zero + minus + zero + zero + zero + zero + (0x40000000).to_bytes(4, "big")
    path.write_bytes(data)
    about = probe(path)
    assert (about.width, about.height) == (64, 96)
    turned = read_frames(path)[0]
    assert (turned == np.rot90(flat, -1, axes=(1, 2))).all()  # clockwise


def test_interlaced_frames_lose_their_combs(tmp_path):
    frames = moving(12)
    woven = frames.copy()
    woven[:-1, 1::2] = frames[1:, 1::2]  # the lower field is half a step later
    path = encode(tmp_path / "a.ts", woven, 25, "mpeg2video", form="mpegts",
                  options={"flags": "+ilme+ildct", "b": "4M"})  # fmt: skip
    got, times = read_frames(path)

    def comb(clip):
        grey = clip[2:-2].astype(float).mean(-1)
        return np.abs(grey[:, 1:-1] - (grey[:, :-2] + grey[:, 2:]) / 2)[:, 17:30].mean()

    assert len(got) == 12 and times[1] == pytest.approx(0.04, abs=0.001)
    assert comb(got) < 0.6 * comb(woven)
    assert probe(path).frames == 12


@pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG"), (2, "unnamed")])
def test_hdr_is_mapped_or_refused(tmp_path, curve, name):
    ramp = np.linspace(0, 65535, 96).astype(np.uint16)
    frames = np.broadcast_to(ramp[None, None, :, None], (3, 64, 96, 3))
    params = f"log-level=0:colormatrix=bt2020nc:colorprim=bt2020:transfer={curve}"
    path = encode(tmp_path / "a.mkv", frames, codec="libx265", pix_fmt="yuv420p10le", tags=(9, 9, curve),
                  options={"x265-params": params, "crf": "5"})  # fmt: skip
    assert probe(path).hdr == name
    if name == "unnamed":
        with pytest.raises(VideoError, match=r"BT\.2020 in ten bits"):
            read_frames(path)
        return
    line = read_frames(path)[0][1, 32].astype(int)
    grey = line.mean(-1)
    assert np.ptp(line, axis=-1).max() <= 3 and (np.diff(grey) >= -1).all() and grey[0] < 3 and grey[-1] > 250
    # 203 cd/m2, the white of SDR, is code 0.58 of PQ and 0.75 of HLG: bright here, and not yet all there is.
    white = {"PQ": 0.58, "HLG": 0.75}[name]
    assert 185 < grey[round(white * 95)] < 235
    # A tenth of the light of that white: a grey of 0.1 ** (1 / 2.4).
    dark = {"PQ": 0.358, "HLG": 0.342}[name]
    assert grey[round(dark * 95)] == pytest.approx(255 * 0.1 ** (1 / 2.4), abs=5)


@pytest.mark.parametrize(("tags", "matrix"), [((1, 1, 1), 1), ((6, 6, 6), 5), ((), None)])
def test_a_named_matrix_is_obeyed_and_a_missing_one_guessed_by_size(tmp_path, tags, matrix):
    import av

    red = np.zeros((2, 720, 1280, 3), np.uint8)
    red[..., 0] = 255
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 720, 1280, "yuv420p"
        if tags:
            context = stream.codec_context
            context.colorspace, context.color_primaries, context.color_trc = tags
        for frame in red:  # untagged files of this size are BT.709 to every player
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            file.mux(stream.encode(picture.reformat(format="yuv420p", dst_colorspace=matrix or 1)))
        file.mux(stream.encode(None))
    assert np.abs(read_frames(path)[0].astype(int) - red).max() <= 3


@pytest.mark.parametrize(
    ("name", "declared", "least", "kind"),
    [("cut_at_half", 36, 12, "truncated"), ("overwritten_middle", 36, 30, "damaged")],
)
def test_damage_is_reported_with_both_numbers_and_never_padded(name, declared, least, kind):
    path = FIXTURES / f"{name}.mp4"
    about = probe(path)
    assert abs(about.frames - least) <= 1 and about.damaged.startswith(kind)  # ffmpeg's versions differ by one
    assert f"{declared} frames are declared, {about.frames} can be decoded" in about.damaged
    with pytest.warns(DamageWarning, match=name):
        frames, times = read_frames(path, fps=12, num_frames=36)
    assert len(frames) == len(times) < 20
    with pytest.raises(DamageError, match=name):
        list(iterate_frames(path, fps=12, num_frames=36, damage="raise"))
    enough, _ = read_frames(path, fps=12, num_frames=9)  # the part before the damage is whole: no warning
    assert (enough == frames[:9]).all()


@pytest.mark.parametrize(
    ("form", "codec"), [("matroska", "libx264"), ("webm", "libvpx-vp9"), ("avi", "mpeg4"), ("mpegts", "mpeg2video")]
)
def test_a_cut_file_of_any_container_is_damaged(tmp_path, form, codec):
    path = encode(tmp_path / "a", moving(60), 12, codec, form=form, options={"b": "1M"})
    assert probe(path).damaged is None
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    about = probe(path)
    assert about.frames < 45
    if form == "mpegts" and len(data[: int(len(data) * 0.6)]) % 188 == 0:
        return  # it has no header that says how long it is, and may end after any whole packet
    assert about.damaged.startswith("truncated") and f"{about.frames} can be decoded" in about.damaged


def test_the_last_frames_are_missed_too(tmp_path):
    """Headers of seconds are rounded; the number of bytes is not."""
    path = encode(tmp_path / "a", moving(60), 24, "libx264", form="matroska", options={"bf": "0", "qp": "1"})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.97)])
    about = probe(path)
    assert 55 < about.frames < 60 and f"about 60 frames are declared, {about.frames} can" in about.damaged
    with pytest.warns(DamageWarning):
        assert len(read_frames(path)[0]) < 60


def test_a_cut_file_without_its_index_says_how_much_is_there(tmp_path):
    path = encode(tmp_path / "a", moving(60), 24, form="mp4", options={"qp": "1"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match=rf"truncated: {len(data) // 2:,} of [\d,]+ bytes are there, and its index"):
        probe(path)


@pytest.mark.parametrize(("codec", "place"), [("libvpx-vp9", 0.3), ("libvpx-vp9", 0.5), ("libx265", 0.3)])
def test_an_overwritten_middle_is_told_where_the_decoder_keeps_silent(tmp_path, codec, place):
    """ffmpeg's own VP9 decoder makes up pictures from damaged data without a word."""
    noise = np.random.default_rng(0).integers(0, 255, (24, 64, 96, 3), dtype=np.uint8)
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = encode(tmp_path / "a", noise, 12, codec, form="matroska", options={"b": "2M", **quiet})
    assert probe(path).damaged is None and probe(path).frames == 24
    data = path.read_bytes()
    middle = int(len(data) * place)
    path.write_bytes(data[:middle] + bytes(3000) + data[middle + 3000 :])
    about = probe(path)
    assert about.frames < 24 and f"24 frames are declared, {about.frames} can be decoded" in about.damaged


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_a_cut_animation_is_damaged_or_refused(tmp_path, ending):
    from emogen.media import write_video

    noise = np.random.default_rng(0).integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
    path = write_video(tmp_path / f"a{ending}", noise, 10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    try:
        about = probe(path)
    except VideoError as error:
        assert path.name in str(error)
    else:
        assert about.frames < 12 and (about.damaged or ending == ".gif")


REFUSED = {
    "audioonly.mp4": "no picture, only sound",
    "x.svg": "SVG drawing",
    "trunc.jpg": "truncated",
    "empty.mp4": "is empty",
    "text.mp4": "cannot be decoded",
    "playlist.mp4": "cannot be decoded",
    "zeros.webm": "cannot be decoded",
    "page.gif": "markup",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_clip_is_a_sentence(tmp_path, name):
    path = tmp_path / name
    bar = FIXTURES / "bar_cfr.mp4"
    made = {
        "empty.mp4": b"",
        "text.mp4": b"hello\n" * 99,
        "zeros.webm": bytes(5000),
        "page.gif": b"<!DOCTYPE html><html>",
        "playlist.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{bar}\n#EXT-X-ENDLIST\n".encode(),
    }
    if name in made:
        path.write_bytes(made[name])
    else:
        shutil.copy(FIXTURES / name, path)
    for call in (probe, read_frames, read_video):
        with pytest.raises(VideoError, match=REFUSED[name]) as caught:
            call(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_arguments_out_of_range():
    path = FIXTURES / "bar_cfr.mp4"
    for wrong in ({"fps": 0}, {"fps": float("nan")}, {"num_frames": 0}, {"start": -1}, {"start": float("inf")}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            read_frames(path, **wrong)
    with pytest.raises(FileNotFoundError, match="absent"):
        probe("absent.mp4")


@pytest.mark.parametrize("name", ["gray16.png", "rgb16.png", "la.png", "palette_transp.png", "bilevel.png", "cmyk.jpg"])
def test_odd_modes_have_the_tones_of_the_plain_picture(name):
    plain = np.asarray(Image.open(FIXTURES / "plain.png").convert("RGB")).astype(float)
    got = read_frames(FIXTURES / name)[0][0].astype(float)
    grey = plain @ (0.299, 0.587, 0.114)
    if name in ("rgb16.png", "palette_transp.png", "cmyk.jpg"):
        assert np.abs(got - plain).mean() < 6
    else:
        assert abs(got.mean() - grey.mean()) < 2 and (got.max(-1) == got.min(-1)).all()
    if name in ("gray16.png", "la.png"):  # the bilevel one is dithered
        assert np.abs(got[..., 0] - grey).mean() < 2


def test_pictures_are_upright_and_keep_alpha_where_asked():
    turned = np.asarray(read_picture(FIXTURES / "exif6.jpg"))
    stored = np.asarray(Image.open(FIXTURES / "exif6.jpg"))
    assert (turned == np.rot90(stored, -1)).all()
    assert (read_frames(FIXTURES / "exif6.jpg")[0][0] == turned).all()
    assert read_picture(FIXTURES / "palette_transp.png").mode == "RGBA"
    assert read_picture(FIXTURES / "plain.png").mode == "RGB"
    assert read_frames(FIXTURES / "la.png", alpha=True)[0].shape[-1] == 4


def test_memory_does_not_grow_with_the_clip(tmp_path):
    """Peaks of what Python holds; a benchmark measures the process."""
    peaks = []
    for count in (40, 400):
        path = encode(tmp_path / f"{count}.mp4", moving(count, 192, 256), 20, options={"g": "20"})
        tracemalloc.start()
        for _ in iterate_frames(path, fps=20, start=1.5, num_frames=9):
            pass
        probe(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 1e6


@pytest.mark.parametrize("seed", range(6))
def test_damaged_bytes_end_in_frames_or_a_sentence(tmp_path, seed):
    """Thirty files a seed, cut, overwritten or with bytes doubled: never a traceback of a decoder, never a hang."""
    import random

    chance = random.Random(seed)
    files = sorted(path for path in FIXTURES.iterdir() if path.stat().st_size < 40_000)
    for number in range(30):
        data = bytearray(chance.choice(files).read_bytes())
        at = chance.randrange(len(data))
        how = number % 4
        if how == 0:
            data = data[: at + 1]
        elif how == 1:
            data[at : at + 500] = chance.randbytes(500)
        elif how == 2:
            data[at:at] = data[at : at + 900]
        else:
            for _ in range(8):
                data[chance.randrange(min(len(data), 400))] = chance.choice((0, 127, 255))
        path = tmp_path / f"{number}"
        path.write_bytes(data)
        for call in (probe, read_frames, lambda p: read_frames(p, fps=12, num_frames=13, start=0.5)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DamageWarning)
                    call(path)
            except VideoError as error:
                assert str(path) in str(error) and "\n" not in str(error)
