import json
import math

import pytest

from emogen.emotion import EmotionArc, EmotionState, Keyframe, UnknownEmotionError, latent_frame_times, parse_emotion

FEAR, AMUSEMENT, NEUTRAL = EmotionState.of("fear"), EmotionState.of("amusement"), EmotionState.neutral()


def test_held_then_changing():
    arc = EmotionArc.parse("0:fear 0.6:fear 1:amusement")
    assert arc.at(0) == arc.at(0.3) == arc.at(0.6) == FEAR and arc.at(1) == AMUSEMENT
    middle = arc.at(0.8)
    assert middle.intensity == pytest.approx(1) and middle.distribution[0] == pytest.approx(0.5)
    assert middle.valence == pytest.approx((FEAR.valence + AMUSEMENT.valence) / 2)
    assert arc.at(-1) == FEAR and arc.at(2) == AMUSEMENT and not arc.is_constant
    with pytest.raises(ValueError, match="not a number"):
        arc.at(math.nan)


def test_ends_hold():
    arc = EmotionArc.parse("0.25:fear .75:amusement")
    assert arc.at(0) == arc.at(0.25) == FEAR and arc.at(1) == arc.at(0.75) == AMUSEMENT


def test_going_to_neutral_lowers_the_intensity_alone():
    arc = EmotionArc.parse("0:neutral 1:sadness")
    for time in (0.1, 0.25, 0.5, 0.9):
        assert arc.at(time) == EmotionState.of("sadness", time)
    assert arc.at(0) == NEUTRAL


def test_blends_weigh_by_intensity():
    """i p = (1-t) i0 p0 + t i1 p1 at each time, and the same for valence and arousal."""
    start, end = parse_emotion("joy:0.7+awe:0.3"), parse_emotion("sadness:0.4")
    arc = EmotionArc.parse("0:joy:0.7+awe:0.3 1:sadness:0.4")
    assert arc.keyframes[0].state == start and arc.keyframes[1].state == end
    for time in (0.2, 0.5, 0.9):
        state = arc.at(time)
        a, b = (1 - time) * start.intensity, time * end.intensity
        assert state.intensity == pytest.approx(a + b)
        assert state.valence * state.intensity == pytest.approx(a * start.valence + b * end.valence)
        for share, p, q in zip(state.distribution, start.distribution, end.distribution, strict=True):
            assert share * state.intensity == pytest.approx(a * p + b * q)


def test_easings():
    hold = EmotionArc.parse("0:fear@hold 0.5:amusement 1:neutral")
    assert hold.at(0.499) == FEAR and hold.at(0.5) == AMUSEMENT and hold.at(0.75) == AMUSEMENT.scaled(0.5)
    ease, linear = EmotionArc.parse("0:neutral@ease 1:fear"), EmotionArc.parse("0:neutral 1:fear")
    assert ease.at(0.5) == linear.at(0.5)
    assert ease.at(0.25).intensity == pytest.approx(0.15625) and ease.at(0.75).intensity == pytest.approx(0.84375)
    strong = [ease.at(k / 50).intensity for k in range(51)]
    assert strong == sorted(strong) and strong[0] == 0 and strong[-1] == 1


@pytest.mark.parametrize(
    "text",
    [
        "0:fear 0.6:fear 1:amusement",
        "0:joy:0.7+awe:0.3 1:sadness:0.4",
        "0:va:0.8,0.3 1:neutral",
        "0.5:joy",
        "0:va:0.8,0.3@0.7@hold 0.5:joy@ease 1:rage:0.3",
        "0:fear, 0.5: joy + awe@hold ,1:sadness:-0.5",
        "0:fear:-0.5@hold 1:joy",
        "0:fear,1:joy",
        "0:fear 1e-05:awe 0.3333333333333333:joy",
    ],
)
def test_text_and_dicts_go_and_come_back(text):
    arc = EmotionArc.parse(text)
    assert EmotionArc.parse(str(arc)) == arc and EmotionArc.parse(arc) is arc
    assert EmotionArc.from_dict(json.loads(json.dumps(arc.to_dict()))) == arc
    assert EmotionArc.looks_like_arc(text) and EmotionArc.looks_like_arc(str(arc))


def test_emotions_do_not_look_like_arcs():
    for text in ("joy", "joy:0.5", "va:0.8,0.3", "joy:0.7+awe:0.3", "neutral"):
        assert not EmotionArc.looks_like_arc(text)


def test_constant():
    arc = EmotionArc.constant("sadness:0.6")
    assert arc.is_constant and arc.at(0) == arc.at(1) == EmotionState.of("sadness", 0.6)
    assert EmotionArc.parse("0:fear 1:afraid").is_constant
    assert EmotionArc.from_keyframes([(0, "fear"), (1, FEAR, "hold")]).is_constant


def test_latent_frames():
    assert latent_frame_times(1) == [0.0] and latent_frame_times(3) == [0.0, 2.5 / 8, 6.5 / 8]
    arc = EmotionArc.parse("0:neutral 1:fear")
    assert arc.sampled(3) == [NEUTRAL, FEAR.scaled(2.5 / 8), FEAR.scaled(6.5 / 8)]
    assert [s.intensity for s in arc.sampled(5, temporal_factor=1)] == [0, 0.25, 0.5, 0.75, 1]
    assert arc.sampled(1) == [NEUTRAL]
    with pytest.raises(ValueError, match="cannot sample an arc 0 times"):
        arc.sampled(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("joy", "'joy' is not an arc; write times and emotions"),
        ("", "is not an arc"),
        ("x 0:joy", "is not an arc"),
        ("0:joy 0:fear", "keyframe times must rise: 0, 0"),
        ("0.5:joy 0.2:fear", "keyframe times must rise: 0.5, 0.2"),
        ("0:joy 2:fear", "keyframe 2: keyframe time 2 is outside 0..1"),
        ("0:joy@bounce 1:fear", "keyframe 1: easing 'bounce' is not one of linear, hold, ease"),
        ("0:joy 1:", "keyframe 2: the emotion is empty"),
        ("0:joy 1:fear:x", "keyframe 2: 'x' in 'fear:x' is not a number"),
        ("0:fear:-0.5 1:joy", "between 0 and 1 the arc would blend an emotion of negative intensity"),
        (7, "an arc is text"),
    ],
)
def test_bad_text_is_explained(text, message):
    with pytest.raises(ValueError, match=message):
        EmotionArc.parse(text)


def test_an_unknown_word_keeps_its_kind():
    with pytest.raises(UnknownEmotionError, match="keyframe 2: unknown emotion 'sadnes': did you mean sadness"):
        EmotionArc.parse("0:joy 1:sadnes")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "the one key 'keyframes'"),
        ({"keyframes": [], "x": 1}, "not keyframes, x"),
        ({"keyframes": []}, "at least one keyframe"),
        ({"keyframes": 3}, "not 3"),
        ({"keyframes": [{"emotion": "joy"}]}, "keyframe 1 has no 'time'"),
        ({"keyframes": [{"time": 0, "emotion": "joy"}, 3]}, "keyframe 2 has no 'emotion'"),
        ({"keyframes": [{"time": 0, "emotion": "joy", "ease": 1}]}, "keyframe 1 has the unknown key 'ease'"),
        ({"keyframes": [{"time": "soon", "emotion": "joy"}]}, "keyframe 1: could not convert"),
    ],
)
def test_bad_dicts_are_explained(data, message):
    with pytest.raises(ValueError, match=message):
        EmotionArc.from_dict(data)


@pytest.mark.parametrize("item", [(0,), (0, "joy", "hold", 1), 5])
def test_bad_keyframes_are_named(item):
    with pytest.raises(ValueError, match=r"keyframe 2: .* is not \(time, emotion\)"):
        EmotionArc.from_keyframes([(0, "joy"), item])


def test_a_keyframe_holds_a_state():
    with pytest.raises(ValueError, match="from_keyframes reads text"):
        Keyframe(0.0, "joy")
    assert hash(EmotionArc([Keyframe(0, FEAR)])) == hash(EmotionArc.constant("fear"))
