"""Small files that claim a lot are refused at once, and the limits can be raised."""

import numpy as np
import pytest
from clip_parts import claiming_png, encode, moving
from PIL import Image

from emogen.media import LimitError, Limits, probe, read_frames, read_video, write_video
from emogen.media.probe_cache import ProbeCache


@pytest.fixture(scope="module")
def huge_gif(tmp_path_factory):
    """Frames of 4000x4000 in a few kilobytes each: decoded as RGBA they take 64 MB."""
    path = tmp_path_factory.mktemp("huge") / "huge.gif"
    first, *rest = (Image.new("P", (4000, 4000), color) for color in range(6))
    first.save(path, save_all=True, append_images=rest, duration=100)
    return path


def test_too_many_pixels(huge_gif):
    for call in (probe, read_frames, read_video):
        with pytest.raises(LimitError, match=r"4000x4000 is 16,000,000 pixels a frame.*max_pixels"):
            call(huge_gif)


def test_a_raised_limit_holds(tmp_path):
    path = write_video(tmp_path / "a.gif", np.random.default_rng(0).integers(0, 9, (6, 300, 300, 3), np.uint8) * 20, 10)
    with pytest.raises(LimitError, match="max_pixels"):
        probe(path, Limits(max_pixels=10_000))
    wider = Limits(max_pixels=90_000)
    assert probe(path, wider).frames == 6
    with pytest.raises(LimitError, match="max_memory"):
        read_frames(path, limits=Limits(max_memory=10**6))
    assert len(read_frames(path, num_frames=1, limits=wider)[0]) == 1


def test_too_many_frames(tmp_path):
    path = claiming_png(tmp_path / "claims.png")
    for call in (probe, read_frames, read_video):
        with pytest.raises(LimitError, match=r"claims 1,000,000 frames, more than 100,000.*max_frames"):
            call(path)
    about = probe(path, Limits(max_frames=2_000_000))  # and with the limit raised, no loop over what is not there
    assert about.frames < 10 and about.damaged is not None
    timed = write_video(tmp_path / "a.png", np.zeros((3, 8, 8, 3), np.uint8), 10)
    data = timed.read_bytes()
    assert b'"frames": 3,' in data
    from PIL.PngImagePlugin import PngInfo

    kept = PngInfo()
    kept.add_text("emogen", '{"_clip": {"frames": 999999999, "fps": 10.0}}')
    Image.new("RGB", (8, 8)).save(timed, pnginfo=kept)
    with pytest.raises(LimitError, match="max_frames"):
        read_video(timed)


@pytest.mark.parametrize("form", ["mp4", "matroska"])
def test_too_long(tmp_path, form):
    path = encode(tmp_path / "a", moving(30), 5, form=form)
    with pytest.raises(LimitError, match="max_seconds"):
        probe(path, Limits(max_seconds=5))
    with pytest.raises(LimitError, match="max_frames"):
        probe(path, Limits(max_frames=20))
    with pytest.raises(LimitError, match="max_pixels"):
        read_frames(path, limits=Limits(max_pixels=1000))
    assert probe(path, Limits(max_seconds=6.1, max_frames=30)).frames == 30


def test_probes_are_kept_until_the_file_changes(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4", moving(12))
    kept = ProbeCache(tmp_path / "kept" / "probes.json")
    first = kept.probe(path)
    kept.save()
    calls = []
    monkeypatch.setattr("emogen.media.probe_cache.probe", lambda *a: calls.append(a) or probe(*a))
    again = ProbeCache(tmp_path / "kept" / "probes.json")
    assert again.probe(path) == first and not calls
    with pytest.raises(LimitError, match="max_pixels"):  # what was kept holds only within the limits of today
        ProbeCache(tmp_path / "kept" / "probes.json", Limits(max_pixels=100)).probe(path)
    encode(path, moving(20))
    assert again.probe(path).frames == 20 and len(calls) == 1
    (tmp_path / "kept" / "probes.json").write_text("{")
    assert ProbeCache(tmp_path / "kept" / "probes.json").probe(path).frames == 20
