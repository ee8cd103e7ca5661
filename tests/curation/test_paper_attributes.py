"""The paper's three numbers by hand, the traps they hold, and what the second set makes of the same clips."""

import colorsys

import numpy as np
import pytest

from emogen.data.paper_look import attributes_of

YELLOW, BLUE = (255, 200, 0), (40, 80, 220)


def still(colour, size=(20, 20)):
    return np.full((*size, 3), colour, np.uint8)


def on(ground, colour=YELLOW):
    """A square of the colour, a fifth of the picture, on a ground; with alpha."""
    frame = np.full((20, 20, 4), (*ground, 0), np.uint8)
    frame[6:15, 6:15] = (*colour, 255)
    return frame


def of(*frames, step=1.0):
    return attributes_of((frame, step * place) for place, frame in enumerate(frames))


@pytest.mark.parametrize("colour", [YELLOW, BLUE, (255, 0, 0), (10, 200, 90), (128, 128, 128)])
def test_one_colour_is_its_own_hue_saturation_and_value(colour):
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    found = of(still(colour))
    assert found.paper_hue == int(hue * 360 + 0.5) % 360
    assert (found.paper_colourfulness, found.paper_brightness) == (
        int(round(saturation * 10, 9) + 0.5) / 10,
        int(round(value * 10, 9) + 0.5) / 10,
    )
    assert found.saturation == pytest.approx(saturation) and found.brightness == pytest.approx(value)
    if saturation:
        assert found.hue == pytest.approx(hue * 360, abs=1e-3) and found.hue_strength == pytest.approx(1)
    else:
        assert found.hue is None and found.hue_strength is None


def test_the_vector_sum_of_hues_by_hand():
    """Red at 0 and green at 120 degrees in equal parts point to 60; 3 to 1 to atan2(sin 120, 3 + cos 120)."""
    frame = still((255, 0, 0))
    frame[:5] = (0, 255, 0)
    assert of(frame).paper_hue == round(np.degrees(np.arctan2(np.sin(2 * np.pi / 3), 3 + np.cos(2 * np.pi / 3))))


def test_359_6_rounds_to_0():
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(359.6 / 360, 1, 1))
    degrees = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)[0] * 360
    assert 359.5 < degrees < 360 and of(still((red, green, blue))).paper_hue == 0


def test_grey_pixels_vote_for_red_in_the_paper_and_do_not_count_beside_it():
    own = of(still(YELLOW)).paper_hue
    for ground in ((255, 255, 255), (0, 0, 0), (128, 128, 128)):
        found = of(on(ground))
        assert found.paper_hue < own / 3
        assert found.hue == pytest.approx(own, abs=0.6) and found.transparent == pytest.approx(1 - 81 / 400)
        assert found.saturation == pytest.approx(1)


def test_bars_of_a_letterbox_are_left_out():
    frame = np.zeros((20, 20, 3), np.uint8)
    frame[3:17] = BLUE
    found, own = of(frame), of(still(BLUE))
    assert found.letterbox == pytest.approx(0.3) and found.paper_brightness < own.paper_brightness
    assert found.brightness == pytest.approx(own.brightness) and found.hue == pytest.approx(own.hue)
    black = of(still((0, 0, 0)))
    assert black.letterbox == 0 and black.paper_hue == 0 and black.hue is None and black.brightness == 0


def test_motion_is_change_a_second():
    assert of(still((0, 0, 0)), still((51, 51, 51)), step=0.5).motion == pytest.approx(0.4)
    assert of(still(BLUE)).motion is None
    assert of(still(BLUE), still(BLUE)).motion == 0


def test_what_is_no_frame_is_refused():
    with pytest.raises(ValueError, match="no frames"):
        attributes_of([])
    with pytest.raises(ValueError, match="uint8"):
        of(np.zeros((4, 4, 3)))
