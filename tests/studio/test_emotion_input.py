"""What is set on the studio's page, as an emotion."""

import pytest

from emogen.emotion import MIKELS, EmotionArc, EmotionState, UnknownEmotionError, parse_emotion
from emogen.studio.emotion_input import (
    arc_points,
    mixture_text,
    named,
    plain_text,
    plane_text,
    points_text,
    read,
    read_avoid,
    with_strength,
)


def test_point_of_the_plane_is_text_that_parses_to_that_point():
    assert plane_text("0.62,-0.3") == plane_text((0.62, -0.3)) == "va:0.62,-0.3"
    state = read("plane", point="0.62,-0.3")
    assert (state.valence, state.arousal) == (0.62, -0.3)
    assert state == parse_emotion("va:0.62,-0.3")


def test_point_beside_the_plane_moves_onto_its_edge():
    assert plane_text((1.2, -7)) == "va:1,-1"
    assert plane_text((-0.001, 0.001)) == "va:0,0"
    assert read("plane", point=(0, 0)) == EmotionState.neutral()


@pytest.mark.parametrize("point", ["", "0.2", "1,2,3", "a,b", "nan,0", None, (0.1, None)])
def test_what_is_no_point_is_refused(point):
    with pytest.raises((ValueError, TypeError)):
        plane_text(point)


def test_sliders_are_strengths_in_the_order_of_the_eight():
    amounts = [0.0] * 8
    amounts[MIKELS.index("awe")], amounts[MIKELS.index("sadness")] = 0.6, 0.2
    assert mixture_text(amounts) == "awe:0.6+sadness:0.2"
    state = read("mixture", amounts=amounts)
    assert state.distribution[MIKELS.index("awe")] == pytest.approx(0.75)
    assert state.intensity == pytest.approx(0.8)
    assert mixture_text([0] * 8) == "neutral"
    assert mixture_text([None, *[0] * 7]) == "neutral"


def test_wrong_sliders_are_refused_by_name():
    with pytest.raises(ValueError, match="8 sliders, not 3"):
        mixture_text([1, 0, 0])
    with pytest.raises(ValueError, match="slider of excitement"):
        mixture_text([0, 0, 0, -0.5, 0, 0, 0, 0])


def test_a_named_dot_is_that_emotion_and_nothing_else():
    for name in MIKELS:
        assert read("plane", point=name) == EmotionState.of(name)
    assert read("plane", point="neutral").is_neutral
    assert read("plane", point="-0.65,0.85").distribution[MIKELS.index("fear")] < 0.6  # why a dot is no mere point


@pytest.mark.parametrize(("emotion", "name"), [
    ("fear", "fear"), ("fear:0.3", "fear"), ("fear:-1", "fear"), ("neutral", "neutral"), ("awe:0.5+fear:0.5", None),
    ("va:-0.65,0.85", None),
])  # fmt: skip
def test_what_is_one_of_the_eight(emotion, name):
    assert named(parse_emotion(emotion)) == name


def test_arc_to_points_and_back():
    text = "0:neutral@ease 0.3:sadness:0.5@hold 0.6:awe:0.5+fear:0.5 1:va:0.5,-0.2"
    points = arc_points(text)
    assert [point["emotion"] for point in points[:2]] == ["neutral", "sadness"]
    assert [(point["strength"], point["easing"]) for point in points[:2]] == [(0, "ease"), (0.5, "hold")]
    assert EmotionArc.parse(points_text(reversed(points))) == EmotionArc.parse(text)
    points[1] |= {"time": 0.4, "strength": 1.2}
    assert "0.4:sadness:1.2@hold" in points_text(points)


@pytest.mark.parametrize(("points", "message"), [
    ([], "no point"),
    ([{"time": 0, "emotion": "fear", "strength": 1}, {"time": 0.5, "emotion": "fearr", "strength": 1}], "point 2 of"),
    ([{"time": 1.5, "emotion": "fear", "strength": 1}], "point 1 of the arc: keyframe time 1.5 is outside"),
    ([{"time": 0, "emotion": "fear", "strength": 1, "easing": "bounce"}], "easing 'bounce'"),
    ([{"time": "soon", "emotion": "fear", "strength": 1}], "point 1 of the arc"),
    ([{"emotion": "fear"}], "point 1 of the arc"),
])  # fmt: skip
def test_wrong_points_are_refused_by_their_number(points, message):
    with pytest.raises(ValueError, match=message):
        points_text(points)


def test_only_the_chosen_input_counts():
    given = {"point": "0.5,0.5", "amounts": [1, *[0] * 7], "arc": "0:no emotion at all", "words": "fear"}
    assert read("words", **given) == EmotionState.of("fear")
    assert read("mixture", **given) == EmotionState.of("amusement")
    with pytest.raises(ValueError, match="no input 'dream'"):
        read("dream", **given)


def test_words_may_be_an_arc_and_nothing_is_neutral():
    assert read("words", words="0:fear 1:joy") == EmotionArc.parse("0:fear 1:joy")
    assert read("words", words="  ") == EmotionState.neutral()
    with pytest.raises(UnknownEmotionError, match="fearr"):
        read("words", words="fearr")


def test_strength_is_a_factor_on_states_and_on_every_keyframe():
    assert read("words", words="sadness:0.5", strength=0.5).intensity == 0.25
    assert read("words", words="sadness", strength=0) == EmotionState.neutral()
    assert read("words", words="sadness", strength=-1).intensity == -1
    arc = with_strength(EmotionArc.parse("0:fear 1:joy@hold"), 0.5)
    assert [k.state.intensity for k in arc.keyframes] == [0.5, 0.5 * parse_emotion("joy").intensity]
    assert [k.easing for k in arc.keyframes] == ["linear", "hold"]
    with pytest.raises(ValueError, match="negative"):
        with_strength(EmotionArc.parse("0:fear 1:joy"), -1)
    with pytest.raises(ValueError, match="strength"):
        with_strength(EmotionState.of("fear"), float("nan"))


def test_emotion_to_avoid():
    assert read_avoid("fear:0.5") == parse_emotion("fear:0.5")
    assert read_avoid(None) is read_avoid("") is read_avoid("none") is read_avoid("Neutral") is None
    with pytest.raises(UnknownEmotionError, match="avoid: "):
        read_avoid("feer")


def test_an_empty_arc_says_what_to_do():
    with pytest.raises(ValueError, match="the arc is empty"):
        read("arc", arc=" ")


def test_text_for_people():
    assert plain_text(parse_emotion("amusement:0.6+awe:0.2")) == "amusement:0.6+awe:0.2"
    assert plain_text(EmotionArc.parse("0:fear@hold 1:amusement")) == "0:fear@hold 1:amusement"
