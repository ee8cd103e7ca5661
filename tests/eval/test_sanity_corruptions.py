"""What is done to clips does what it says, and more of it does more."""

import numpy as np
import pytest
from parts import moving_square
from PIL import Image, ImageFilter

from emogen.eval.benchmark.config import EvalConfigError
from emogen.eval.sanity.corruptions import CORRUPTIONS, check_strengths, corrupt

clip = moving_square


def order_of(spoilt, original):
    return [next(i for i, frame in enumerate(original) if (frame == shown).all()) for shown in spoilt]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_strength_zero_is_the_clip_and_the_original_is_never_touched(name):
    original = clip()
    before = original.copy()
    assert (corrupt(original, name, 0) == before).all()
    for strength in CORRUPTIONS[name].strengths:
        spoilt = corrupt(original, name, strength, seed=(1, 2))
        assert spoilt.shape == before.shape and spoilt.dtype == np.uint8 and (spoilt != before).any()
        assert (original == before).all()
        assert (corrupt(original, name, strength, seed=(1, 2)) == spoilt).all()
    if name != "blur":
        some = CORRUPTIONS[name].strengths[1]
        assert (corrupt(original, name, some, seed=(1, 2)) != corrupt(original, name, some, seed=(1, 3))).any()


def test_blur_is_pillows_frame_by_frame():
    original = clip()
    for radius in (1, 2.5):
        for frame, shown in zip(original, corrupt(original, "blur", radius), strict=True):
            assert (np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius))) == shown).all()


def test_noise_has_its_sigma_and_the_same_field_at_every_strength():
    grey = np.full((8, 40, 40, 3), 128, np.uint8)
    weak, strong = (corrupt(grey, "noise", sigma).astype(int) - 128 for sigma in (5, 20))
    assert weak.std() == pytest.approx(5, rel=0.03) and strong.std() == pytest.approx(20, rel=0.03)
    assert abs(strong.mean()) < 0.5 and np.abs(strong - 4 * weak).max() <= 3  # rounding
    assert abs(np.corrcoef(weak[0].ravel(), weak[1].ravel())[0, 1]) < 0.1  # another in every frame
    assert corrupt(np.full((2, 9, 9, 3), 254, np.uint8), "noise", 30).min() > 100  # cut, not wrapped around


def test_shuffled_frames_all_leave_their_place_and_none_is_lost():
    original = clip()
    before = None
    for share, count in ((0.01, 2), (0.25, 3), (0.5, 6), (1, 12)):
        order = order_of(corrupt(original, "shuffle", share), original)
        moved = {place for place, source in enumerate(order) if place != source}
        assert sorted(order) == list(range(12)) and len(moved) == count
        assert before is None or before <= moved  # what is moved once is moved by more
        before = moved


def test_frozen_frames_show_what_was_shown_before():
    original = clip()
    before = None
    for share, count in ((0.01, 1), (0.5, 6), (0.75, 8), (1, 11)):
        order = order_of(corrupt(original, "freeze", share), original)
        held = {place for place, source in enumerate(order) if place != source}
        assert len(held) == count and 0 not in held
        assert all(order[place] == order[place - 1] for place in held)
        assert before is None or before <= held
        before = held
    assert set(order) == {0}


@pytest.mark.parametrize(("call", "message"), [
    ((clip(), "smear", 1), "unknown corruption 'smear'; known are blur, noise, shuffle, freeze"),
    ((clip(), "shuffle", 1.5), "shuffle: a strength must be finite and from 0 to 1, not 1.5"),
    ((clip(), "blur", -1), "blur: a strength must be finite and from 0, not -1"),
    ((clip(), "noise", float("nan")), "must be finite"),
    ((clip(1), "blur", 1), r"2 frames and more, not uint8 \[1, 16, 16, 3\]"),
    ((clip().astype(float), "blur", 1), "must be uint8"),
])  # fmt: skip
def test_bad_corruptions(call, message):
    with pytest.raises(ValueError, match=message):
        corrupt(*call)


@pytest.mark.parametrize(("given", "message"), [
    ({"blur": [1]}, "blur: strengths must be two or more, rising, above 0, not 1"),
    ({"noise": [10, 5]}, "noise: strengths must be two or more, rising"),
    ({"freeze": [0, 1]}, "freeze: strengths must be two or more, rising, above 0"),
    ({"shuffle": [0.5, 2]}, "shuffle: a strength must be finite and from 0 to 1, not 2"),
    ({"smear": [1, 2]}, "unknown corruption 'smear'"),
])  # fmt: skip
def test_bad_strengths(given, message):
    with pytest.raises(EvalConfigError, match=message):
        check_strengths(given)
    assert check_strengths({"blur": [1, 3]}) == {"blur": (1, 3), **{n: CORRUPTIONS[n].strengths
                                                                  for n in ("noise", "shuffle", "freeze")}}  # fmt: skip
