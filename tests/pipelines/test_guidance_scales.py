"""From `emotion_guidance_scale` and `guidance_interval` to the scale of every step."""

import numpy as np
import pytest
import torch

from emogen.pipelines.guidance import read_emotion_guidance as read


def test_nothing_given():
    assert read(None, None, 4) is None
    assert read([None] * 4, None, 4) is None
    assert read(lambda share: None, None, 4) is None


@pytest.mark.parametrize("scale", [4, 4.0, np.float32(4)])
def test_a_number_holds_for_all_steps(scale):
    assert read(scale, None, 3) == [4.0, 4.0, 4.0]
    assert read(scale, (0, 1), 3) == [4.0, 4.0, 4.0]


def test_a_list_and_a_function():
    assert read([1, None, 0], None, 3) == [1.0, None, 0.0]
    assert read((1, 2, 3), None, 3) == [1.0, 2.0, 3.0]
    shares = []
    assert read(lambda share: shares.append(share) or 4 - share, None, 4) == [4.0, 3.75, 3.5, 3.25]
    assert shares == [0, 0.25, 0.5, 0.75]


def test_an_interval_includes_its_start_and_not_its_end():
    assert read(4, (0.0, 0.5), 4) == [4, 4, None, None]
    assert read(4, [0.5, 1], 4) == [None, None, 4, 4]
    assert read(4, (0.0, 0.6), 8) == [4, 4, 4, 4, 4, None, None, None]
    assert read([1, 2, 3, 4], (0.25, 0.75), 4) == [None, 2, 3, None]
    assert read(4, (0.3, 0.4), 4) is None  # between two steps


@pytest.mark.parametrize(
    ("scale", "interval", "message"),
    [
        (-1, None, "emotion_guidance_scale is -1; it has to be at least 0"),
        (float("nan"), None, "emotion_guidance_scale is nan"),
        (float("inf"), None, "finite"),
        ([1, 2, -3, 4], None, r"emotion_guidance_scale\[2\] is -3"),
        (lambda share: 1 - 2 * share, None, r"emotion_guidance_scale\(0.75\) is -0.5"),
        ([1, 2, 3], None, "has 3 entries for 4 steps"),
        ([], None, "has 0 entries for 4 steps"),
        (4, (0.6, 0.2), r"\(0.6, 0.2\); it needs 0 <= start < end <= 1"),
        (4, (0.5, 0.5), "start < end"),
        (4, (-0.1, 0.5), "0 <= start"),
        (4, (0.5, 1.5), "end <= 1"),
        (4, (float("nan"), 1), "0 <= start"),
        (None, (0, 0.5), "guidance_interval says when emotion_guidance_scale is on"),
    ],
)
def test_wrong_values(scale, interval, message):
    with pytest.raises(ValueError, match=message):
        read(scale, interval, 4)


@pytest.mark.parametrize("scale", ["4", True, [1, 2, "3", 4], torch.zeros(4), {}])
def test_scales_that_are_no_numbers(scale):
    with pytest.raises(TypeError, match=r"emotion_guidance_scale\S* is a number of at least 0"):
        read(scale, None, 4)


@pytest.mark.parametrize("interval", [0.6, (0.6,), (0, 0.5, 1), "01", ("0", "1"), (False, True)])
def test_intervals_that_are_no_pairs(interval):
    with pytest.raises(TypeError, match="guidance_interval is two shares of the steps"):
        read(4, interval, 4)


def test_without_an_adapter():
    assert read(None, None, 4, loaded=False) is None
    with pytest.raises(ValueError, match="emotion_guidance_scale needs an emotion adapter"):
        read(4, None, 4, loaded=False)
