import colorsys
import json

import numpy as np
import pytest

from emogen.data.attributes import ClipAttributes, clip_attributes, hue_difference, mean_attributes, mean_change


def flat(*colours, size=6):
    """A clip of one frame a colour."""
    return np.stack([np.full((size, size, 3), colour, np.uint8) for colour in colours])


@pytest.mark.parametrize(("colour", "luma"), [((255, 0, 0), 0.2126), ((0, 255, 0), 0.7152), ((0, 0, 255), 0.0722),
                                              ((255, 255, 255), 1.0), ((0, 0, 0), 0.0)])  # fmt: skip
def test_brightness_is_rec709_luma(colour, luma):
    assert clip_attributes(flat(colour)).brightness == pytest.approx(luma, abs=1e-6)


def test_colourfulness_of_a_flat_colour_is_its_mean_term():
    # pure red: rg = 255, yb = 127.5, no spread
    assert clip_attributes(flat((255, 0, 0))).colourfulness == pytest.approx(0.3 * np.hypot(255, 127.5))
    assert clip_attributes(flat((77, 77, 77))).colourfulness == 0


def test_colourfulness_of_two_halves_by_hand():
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[:, :2], frame[:, 2:] = (255, 0, 0), (0, 0, 255)
    # rg: 255 and 0; yb: 127.5 and -255. Standard deviations 127.5 and 191.25, means 127.5 and -63.75.
    expected = np.hypot(127.5, 191.25) + 0.3 * np.hypot(127.5, 63.75)
    assert clip_attributes(frame[None]).colourfulness == pytest.approx(expected)


def test_colourfulness_is_of_frames_and_not_of_change():
    red, blue = clip_attributes(flat((255, 0, 0))), clip_attributes(flat((0, 0, 255)))
    both = clip_attributes(flat((255, 0, 0), (0, 0, 255)))
    assert both.colourfulness == pytest.approx((red.colourfulness + blue.colourfulness) / 2)


def test_saturation_and_hue_match_hsv():
    for colour in ((250, 10, 20), (10, 250, 30), (20, 30, 250), (250, 240, 10), (200, 30, 180), (10, 220, 230)):
        hue, saturation, _ = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
        found = clip_attributes(flat(colour))
        assert found.saturation == pytest.approx(saturation, abs=1e-6)
        assert found.hue == pytest.approx(360 * hue, abs=1e-3)


def test_hue_goes_round_the_circle():
    # 10 degrees either side of red: the mean is red, not the 180 of plain averaging
    left, right = (tuple(round(255 * c) for c in colorsys.hsv_to_rgb(h / 360, 1, 1)) for h in (350, 10))
    frame = np.zeros((2, 2, 3), np.uint8)
    frame[0], frame[1] = left, right
    assert abs(hue_difference(clip_attributes(frame[None]).hue, 0.0)) < 0.5
    assert 0 <= clip_attributes(frame[None]).hue < 360


def test_grey_noise_does_not_move_the_hue_and_grey_has_none():
    frame = np.full((10, 10, 3), 120, np.uint8)
    frame[..., 2] = 122  # faintly blue everywhere ...
    frame[0, 0] = frame[0, 1] = frame[1, 0] = (255, 0, 0)  # ... and three red pixels, which have more chroma
    assert abs(hue_difference(clip_attributes(frame[None]).hue, 0.0)) < 45
    assert clip_attributes(flat((80, 80, 80))).hue is None
    assert clip_attributes(flat((0, 0, 0))).hue is None and clip_attributes(flat((0, 0, 0))).saturation == 0
    assert clip_attributes(flat((255, 0, 0), (0, 255, 0), (0, 0, 255))).hue is None  # all around


def test_motion():
    assert clip_attributes(flat((9, 9, 9))).motion == 0
    assert clip_attributes(flat((9, 9, 9), (9, 9, 9))).motion == 0
    assert clip_attributes(flat((0, 0, 0), (255, 255, 255), (255, 255, 255))).motion == pytest.approx(0.5)
    down = clip_attributes(flat((200, 0, 0), (100, 0, 0)))  # a change downwards counts as one upwards
    assert down.motion == pytest.approx(100 / 3 / 255) == clip_attributes(flat((100, 0, 0), (200, 0, 0))).motion


def test_means_and_differences():
    red, green, grey = (clip_attributes(flat(c)) for c in ((255, 0, 0), (0, 255, 0), (50, 50, 50)))
    mean = mean_attributes([red, green, grey])
    assert mean.brightness == pytest.approx((0.2126 + 0.7152 + 50 / 255) / 3)
    assert mean.hue == pytest.approx(60)  # of the two that have one
    change = red - green
    assert change.brightness == pytest.approx(0.2126 - 0.7152) and change.hue == pytest.approx(-120)
    assert (red - grey).hue is None
    assert mean_attributes([grey]).hue is None
    with pytest.raises(ValueError, match="no clips"):
        mean_attributes([])


@pytest.mark.parametrize(("hue", "other", "way"), [(10, 350, 20), (350, 10, -20), (270, 90, 180), (90, 270, 180),
                                                   (5, 5, 0)])  # fmt: skip
def test_hue_difference_is_the_shorter_way(hue, other, way):
    assert hue_difference(hue, other) == way


def test_a_mean_change_of_hue_may_be_negative():
    changes = [ClipAttributes(0.0, 0.0, 0.0, hue, 0.0) for hue in (-20.0, -10.0, None)]
    assert mean_change(changes).hue == pytest.approx(-15)
    assert mean_attributes(changes).hue == pytest.approx(345)
    assert mean_change([ClipAttributes(0.0, 0.0, 0.0, hue, 0.0) for hue in (90.0, -90.0)]).hue is None


def test_recoloured():
    grey, red = clip_attributes(flat((120, 120, 120))), clip_attributes(flat((200, 40, 40)))
    assert not (grey - clip_attributes(flat((125, 125, 125)))).recoloured()
    assert (grey - clip_attributes(flat((140, 140, 140)))).recoloured()  # brightness alone, downwards
    orange = clip_attributes(flat((200, 110, 40)))
    still = ClipAttributes(brightness=0.0, colourfulness=0.0, saturation=0.9, hue=None, motion=0.9)
    assert not still.recoloured()  # saturation goes with colourfulness, and motion is no colour
    hue = (orange - red).hue
    assert hue > 15 and ClipAttributes(0.0, 0.0, 0.0, hue, 0.0).recoloured()
    assert ClipAttributes(0.0, -9.0, 0.0, None, 0.0).recoloured()


def test_to_dict_is_json():
    values = clip_attributes(flat((80, 80, 80))).to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert ClipAttributes(**values) == clip_attributes(flat((80, 80, 80)))


@pytest.mark.parametrize("bad", [np.zeros((2, 4, 4, 3), np.float32), np.zeros((4, 4, 3), np.uint8),
                                 np.zeros((2, 4, 4, 4), np.uint8), np.zeros((0, 4, 4, 3), np.uint8)])  # fmt: skip
def test_other_input_is_refused(bad):
    with pytest.raises(ValueError, match=r"uint8 \[F, H, W, 3\]"):
        clip_attributes(bad)
