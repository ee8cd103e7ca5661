"""Drawn faces that feel several things at once."""

import itertools

import numpy as np
import pytest

from emogen.emotion import MIKELS, EmotionState, parse_emotion
from emogen.stickers.compound import compound_expression
from emogen.stickers.expression import EXPRESSIONS, expression_at
from emogen.stickers.render import StickerSpec, render


@pytest.mark.parametrize("emotion", ["neutral", *MIKELS])
@pytest.mark.parametrize("intensity", [0.2, 0.6, 1.0])
def test_of_one_emotion_it_is_the_plain_expression(emotion, intensity):
    spec = StickerSpec(emotion=emotion, intensity=intensity, seed=4)
    state = EmotionState.of(emotion, intensity)
    if emotion != "neutral":
        assert compound_expression(state).pose == expression_at(emotion, intensity).pose
    assert np.array_equal(render(spec, 5), render(StickerSpec(seed=4), 5, states=[state] * 5))


def test_two_share_a_face():
    both = compound_expression(parse_emotion("fear:0.6+amusement:0.4"))
    assert (both.eyes, both.mouth) == (EXPRESSIONS["fear"].eyes, EXPRESSIONS["amusement"].mouth)
    assert {both.effect, both.beside} == {EXPRESSIONS["fear"].effect, EXPRESSIONS["amusement"].effect}
    fear, amusement = (EXPRESSIONS[name].pose for name in ("fear", "amusement"))
    assert both.pose.bounce == pytest.approx(0.6 * fear.bounce + 0.4 * amusement.bounce)  # of neither half
    assert both.pose.pupil == pytest.approx(fear.pupil)  # half or more of the emotion: its eyes in full
    mixed = 0.6 * fear.smile + 0.4 * amusement.smile
    assert both.pose.smile == pytest.approx(0.2 * mixed + 0.8 * amusement.smile)  # 0.4 of it: 0.8 of its mouth
    assert both.tint_color == EXPRESSIONS["fear"].tint_color  # amusement has no tint to share


@pytest.mark.parametrize(("first", "second"), itertools.combinations(MIKELS, 2))
def test_who_has_the_eyes_does_not_depend_on_the_shares(first, second):
    faces = [compound_expression(parse_emotion(f"{first}:{share}+{second}:{1 - share:g}")) for share in (0.4, 0.6)]
    assert len({(face.eyes, face.mouth, face.effect, face.beside) for face in faces}) == 1
    assert {faces[0].effect, faces[0].beside} == {EXPRESSIONS[first].effect, EXPRESSIONS[second].effect}


def test_a_small_share_only_moves_the_blend():
    mostly = compound_expression(parse_emotion("anger:0.85+fear:0.15"))
    assert (mostly.eyes, mostly.mouth, mostly.beside) == ("open", "teeth", "none")
    assert mostly.pose.brow_lift != EXPRESSIONS["anger"].pose.brow_lift


def test_a_weak_blend_keeps_neutral_features():
    weak = compound_expression(parse_emotion("fear:0.12+amusement:0.08"))
    assert (weak.eyes, weak.mouth, weak.effect, weak.beside) == ("open", "curve", "none", "none")


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="cannot be drawn"):
        compound_expression(EmotionState.of("fear", 1.5))
