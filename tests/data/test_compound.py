"""Drawn faces that feel several things at once."""

import numpy as np
import pytest

from emogen.data.stickers.compound import compound_expression
from emogen.data.stickers.expression import EXPRESSIONS, expression_at
from emogen.data.stickers.render import StickerSpec, render
from emogen.emotion import MIKELS, EmotionState, parse_emotion


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
    ends = [EXPRESSIONS[name].pose.smile for name in ("fear", "amusement")]
    assert both.pose.smile == pytest.approx(0.6 * ends[0] + 0.4 * ends[1])
    assert both.tint_color == EXPRESSIONS["fear"].tint_color  # amusement has no tint to share


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
