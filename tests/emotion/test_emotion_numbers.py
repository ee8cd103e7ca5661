"""Numbers in emotions: every state's text reads back, and no text takes long or means infinity."""

import math
import pickle

import pytest

from emogen.emotion import MIKELS, EmotionArc, EmotionState, Taxonomy, parse_emotion, parse_emotion_or_arc
from emogen.emotion.parse import MAX_LENGTH


@pytest.mark.parametrize("intensity", [1e-300, 1e-7, 0.1 + 0.2, 123456.789, 1e16, 1e17 / 3, 1e22, 1.7e308, -1e20])
@pytest.mark.parametrize("text", ["fear", "joy", "annoyance", "va:0.5,-0.25", "joy:0.3+awe:0.2"])
def test_every_state_reads_back(text, intensity):
    state = parse_emotion(text).scaled(intensity) if abs(intensity) < 1e300 else EmotionState.of("fear", intensity)
    assert EmotionState.parse(str(state)) == state and EmotionState.from_dict(state.to_dict()) == state


def test_arcs_of_large_numbers_read_back():
    arc = EmotionArc.from_keyframes([(1e-7, "fear:1e20"), (0.1 + 0.2, "joy:5e18"), (1, "neutral")])
    assert EmotionArc.parse(str(arc)) == arc


@pytest.mark.parametrize("text", [
    "joy:nan", "joy:inf", "joy:-infinity", "va:nan,0", "va:0.5,0.5@inf", "state:awe=nan", "0:joy 1:fear:inf",
    "joy:1e999", "joy:0.5+awe:1e400", "state:awe=1;intensity=1e999",
])  # fmt: skip
def test_nothing_is_infinite(text):
    with pytest.raises(ValueError, match=r"finite|not a number"):
        parse_emotion_or_arc(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400])
def test_nothing_is_infinite_in_python(value):
    for make in (lambda: EmotionState.of("fear", value), lambda: EmotionState((value,) * 8, 0, 0),
                 lambda: EmotionState.from_dict({"distribution": {"awe": value}})):  # fmt: skip
        with pytest.raises(ValueError):
            make()


@pytest.mark.parametrize("text", [
    "1" * 10**6, "joy:" + "1" * 10**6,
    "0:joy " + "9" * (MAX_LENGTH - 9), "9" * MAX_LENGTH, "0" + " " * (MAX_LENGTH - 9),
    "joy" * (MAX_LENGTH // 3), "+".join(["a" * 50] * 300), "va:" + "1" * (MAX_LENGTH - 9) + ",0", "0: " * 6000,
    "1" * 9000 + ".1" * 5000 + ":", "a" * 9999 + ":1",
])  # fmt: skip
def test_long_texts_are_refused_with_a_short_sentence(text):
    """A text of a million digits that took time by the square would not end here."""
    with pytest.raises(ValueError) as error:
        parse_emotion_or_arc(text)
    assert len(str(error.value)) < 600


def test_a_taxonomy_is_its_names_with_places():
    assert MIKELS[4:] == MIKELS.negative and MIKELS.index("fear") == 6 and MIKELS.places["fear"] == (-0.65, 0.85)
    again = pickle.loads(pickle.dumps(MIKELS))
    assert again == MIKELS and (again.name, again.places) == ("mikels", MIKELS.places)
    assert Taxonomy.from_dict(MIKELS.to_dict()) == MIKELS
    for name, places in (("x", {}), ("x", {"neutral": (0, 0)}), ("x", {"a": (2, 0)}), ("x", {"a": (math.nan, 0)})):
        with pytest.raises(ValueError):
            Taxonomy(name, places)
