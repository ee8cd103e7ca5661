import numpy as np
import pytest

from emogen.stickers.loop import METHODS, make_seamless, seam_error


def drifting(count=12, step=2, channels=3):
    """A bright bar that moves `step` pixels a frame over black."""
    frames = np.zeros((count, 8, 80, channels), np.uint8)
    for index in range(count):
        frames[index, :, step * index + 4 : step * index + 24] = 200
    return frames


def turning(count=12):
    """Brightness that goes once around, so that the last frame leads to the first."""
    light = 120 + 80 * np.cos(np.arange(count) / count * 2 * np.pi)
    return np.repeat(light, 8 * 8 * 3).reshape(count, 8, 8, 3).astype(np.uint8)


def test_the_seam_is_counted_in_steps():
    assert seam_error(drifting(5)) == pytest.approx(4)  # four steps back
    assert seam_error(turning()) < 1.2
    still = np.full((4, 8, 8, 3), 9, np.uint8)
    assert seam_error(still) == 0 and seam_error(still[:1]) == 0
    near = np.concatenate([still, still])
    assert seam_error(near) == 0
    hidden = drifting(5, channels=4)
    hidden[..., 3] = 0
    assert seam_error(hidden) == 0  # colours that nobody sees do not count


def test_pingpong_goes_back_the_way_it_came():
    loop = make_seamless(drifting(), "pingpong")
    assert len(loop.frames) == 22 and (loop.frames[12:] == loop.frames[10:0:-1]).all()
    assert loop.seam_before > 5 and loop.seam_after == pytest.approx(1) and loop.method == "pingpong"


@pytest.mark.parametrize("channels", [3, 4])
def test_crossfade_closes_the_seam_and_keeps_the_middle(channels):
    frames = drifting(16, 1, channels)
    loop = make_seamless(frames, "crossfade", overlap=6)
    assert len(loop.frames) == 10 and (loop.frames[6:] == frames[6:10]).all()
    assert loop.seam_after < 1.5 < 10 < loop.seam_before
    # Alternation of both ends: mostly the end at first, mostly the beginning at last.
    first, last = loop.frames[0].astype(float), loop.frames[5].astype(float)
    assert np.abs(first - frames[10]).mean() < np.abs(first - frames[0]).mean()
    assert np.abs(last - frames[5]).mean() < np.abs(last - frames[15]).mean()


def test_crossfade_of_transparent_frames_does_not_darken():
    frames = np.zeros((4, 4, 4, 4), np.uint8)
    frames[2:] = (200, 100, 50, 255)  # clear, then solid
    mixed = make_seamless(frames, "crossfade", overlap=2).frames[0]
    assert 100 < mixed[0, 0, 3] < 230 and np.abs(mixed[0, 0, :3].astype(int) - (200, 100, 50)).max() <= 2


def test_auto_takes_the_least_that_helps():
    whole = turning()
    kept = make_seamless(whole)
    assert kept.method == "none" and kept.frames is whole and kept.seam_after == kept.seam_before
    assert make_seamless(drifting(4)).method == "crossfade"
    assert make_seamless(drifting(12)).method == "pingpong"
    assert make_seamless(drifting(12), max_frames=15).method == "crossfade"


def test_bad_input():
    with pytest.raises(ValueError, match=r"'mirror'.*" + ", ".join(METHODS)):
        make_seamless(drifting(), "mirror")
    with pytest.raises(ValueError, match="1 to 6 for 12 frames, not 7"):
        make_seamless(drifting(), "crossfade", overlap=7)
    with pytest.raises(ValueError, match="at least 3 frames, not 2"):
        make_seamless(drifting(2), "pingpong")
    with pytest.raises(ValueError, match=r"22 frames, at most 20 .* crossfade"):
        make_seamless(drifting(), "pingpong", max_frames=20)
    with pytest.raises(ValueError, match="uint8"):
        seam_error(drifting().astype(float))
