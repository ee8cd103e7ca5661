"""What is set on the studio's page, as an emotion."""

import pytest

from emogen.emotion import MIKELS, EmotionArc, EmotionState, UnknownEmotionError, parse_emotion
from emogen.studio.emotion_input import (
    arc_rows,
    arc_text,
    in_words,
    mixture_text,
    plane_text,
    read,
    read_avoid,
    with_intensity,
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


def test_table_is_an_arc_in_the_order_of_time_without_its_empty_rows():
    rows = [["1", "amusement", None], [0, "fear", "hold"], ["", "", ""], [None, float("nan"), ""], [0.6, "fear", ""]]
    assert arc_text(rows) == "0:fear@hold 0.6:fear 1:amusement"
    assert read("arc", rows=rows) == EmotionArc.parse("0:fear@hold 0.6:fear 1:amusement")


def test_arc_to_table_and_back():
    text = "0:neutral@ease 0.3:sadness:0.5 1:va:0.5,-0.2"
    assert EmotionArc.parse(arc_text(arc_rows(text))) == EmotionArc.parse(text)


@pytest.mark.parametrize(("rows", "message"), [
    ([], "no keyframe"),
    ([["", "", ""]], "no keyframe"),
    ([[0, "fear", ""], [1, "", ""]], "row 2 of the arc has no emotion"),
    ([["", "fear", ""]], "row 1 of the arc has no time"),
    ([["soon", "fear", ""]], "row 1 of the arc: 'soon' is not a time"),
    ([[0, "fear", ""], [1.5, "joy", ""]], "row 2 of the arc: keyframe time 1.5 is outside"),
    ([[0, "fear", "bounce"]], "row 1 of the arc: easing 'bounce'"),
    ([[0.5, "fear", ""], [0, "awe", ""], [0.5, "joy", ""]], "rows 1 and 3 of the arc have the same time, 0.5"),
])  # fmt: skip
def test_wrong_rows_are_refused_by_their_number(rows, message):
    with pytest.raises(ValueError, match=message):
        arc_text(rows)


def test_unknown_word_in_a_row_is_an_unknown_emotion():
    with pytest.raises(UnknownEmotionError, match="row 2 of the arc"):
        arc_text([[0, "fear", ""], [1, "amusment", ""]])


def test_only_the_chosen_input_counts():
    given = {"point": "0.5,0.5", "amounts": [1, *[0] * 7], "rows": [[0, "no emotion at all", ""]], "words": "fear"}
    assert read("words", **given) == EmotionState.of("fear")
    assert read("mixture", **given) == EmotionState.of("amusement")
    with pytest.raises(ValueError, match="no input 'dream'"):
        read("dream", **given)


def test_words_may_be_an_arc_and_nothing_is_neutral():
    assert read("words", words="0:fear 1:joy") == EmotionArc.parse("0:fear 1:joy")
    assert read("words", words="  ") == EmotionState.neutral()
    with pytest.raises(UnknownEmotionError, match="fearr"):
        read("words", words="fearr")


def test_intensity_is_a_factor_on_states_and_on_every_keyframe():
    assert read("words", words="sadness:0.5", intensity=0.5).intensity == 0.25
    assert read("words", words="sadness", intensity=0) == EmotionState.neutral()
    assert read("words", words="sadness", intensity=-1).intensity == -1
    arc = with_intensity(EmotionArc.parse("0:fear 1:joy@hold"), 0.5)
    assert [k.state.intensity for k in arc.keyframes] == [0.5, 0.5 * parse_emotion("joy").intensity]
    assert [k.easing for k in arc.keyframes] == ["linear", "hold"]
    with pytest.raises(ValueError, match="negative"):
        with_intensity(EmotionArc.parse("0:fear 1:joy"), -1)
    with pytest.raises(ValueError, match="intensity"):
        with_intensity(EmotionState.of("fear"), float("nan"))


def test_emotion_to_avoid():
    assert read_avoid("fear:0.5") == parse_emotion("fear:0.5")
    assert read_avoid(None) is read_avoid("") is read_avoid("none") is read_avoid("Neutral") is None
    with pytest.raises(UnknownEmotionError, match="avoid: "):
        read_avoid("feer")


def test_in_words():
    assert in_words(parse_emotion("amusement:0.6+awe:0.2")) == "75% amusement, 25% awe, intensity 0.80"
    assert "intensity 0.50" in in_words(parse_emotion("sadness:0.5"))
    assert "adds nothing" in in_words(EmotionState.neutral())
    assert in_words(EmotionArc.parse("0:fear 1:amusement")) == "fear at 0% → amusement at 100%"
