"""The look of an emotion as words in a prompt."""

import json

import pytest

from emogen.emotion import MIKELS, EmotionArc, EmotionState, parse_emotion
from emogen.emotion.look import enrich, read_look


def priors(path, n=40, **emotions):
    """A file in which every emotion has the same look, but for what is said."""
    usual = {"saturation": 0.5, "brightness": 0.6, "contrast": 0.2, "motion": 0.3}
    sd = {"saturation": 0.1, "brightness": 0.1, "contrast": 0.05, "motion": 0.1}
    held = {}
    for name in MIKELS:
        mine = {**usual, **{key: value for key, value in emotions.get(name, {}).items() if key != "hue"}}
        held[name] = {"clips": n, **{key: {"n": n, "mean": mean, "sd": sd[key]} for key, mean in mine.items()}}
        hue, length = emotions.get(name, {}).get("hue", (50.0, 0.8))
        held[name]["hue"] = {"n": n, "mean": hue, "resultant": length}
    path.write_text(json.dumps({"format": "emogen_priors 1", "emotions": held}))
    return path


@pytest.mark.parametrize(("look", "words"), [
    ({}, []),
    ({"brightness": 0.3}, ["dark"]),
    ({"brightness": 0.9}, ["bright light"]),
    ({"saturation": 0.2, "motion": 0.05}, ["muted colours", "slow movement"]),
    ({"saturation": 0.9, "motion": 0.5, "contrast": 0.3}, ["vivid colours", "fast movement", "strong contrast"]),
    ({"brightness": 0.62}, []),
    ({"hue": (240.0, 0.7)}, ["blue tones"]),
    ({"hue": (355.0, 0.7)}, ["red tones"]),
    ({"hue": (240.0, 0.1)}, []),
    ({"hue": (60.0, 0.9)}, []),
    ({"brightness": 0.1, "saturation": 0.05, "contrast": 0.4, "motion": 0.9}, 3),
])  # fmt: skip
def test_words_say_what_sets_an_emotion_apart(look, words, tmp_path):
    found = read_look(priors(tmp_path / "p.json", sadness=look)).words("sadness")
    assert len(found) == words if isinstance(words, int) else sorted(found) == sorted(words)


def test_few_clips_say_nothing(tmp_path):
    look = {"brightness": 0.55, "hue": (240.0, 0.7)}
    assert set(read_look(priors(tmp_path / "p.json", sadness=look)).words("sadness")) == {"dark", "blue tones"}
    assert read_look(priors(tmp_path / "p.json", n=3, sadness=look)).words("sadness") == []


def test_a_prompt_with_its_look(tmp_path):
    look = read_look(priors(tmp_path / "p.json", sadness={"brightness": 0.3}, anger={"hue": (0.0, 0.9)}))
    assert enrich("a cat.", parse_emotion("sadness"), look) == "a cat, dark"
    assert enrich("a cat", parse_emotion("anger:0.4"), look) == "a cat, red tones"
    for plain in (EmotionState.neutral(), parse_emotion("fear"), parse_emotion("sadness:-1")):
        assert enrich("a cat.", plain, look) == "a cat."
    assert enrich("a cat", EmotionArc.parse("0:anger 0.2:sadness 1:sadness"), look) == "a cat, dark"


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"emotions": {}}', '{"emotions": {"fear": {"clips": 3}}}', '{"emotions": []}',
    '{"emotions": {"fear": {"brightness": {"n": 2, "mean": "x", "sd": 1}}}}',
    '{"emotions": {"fear": {"brightness": {"n": 2, "mean": NaN, "sd": 1}}}}',
    '{"emotions": {"fear": {"brightness": {"n": 2, "mean": 1, "sd": 1}, "hue": {"n": 1, "mean": 2, "resultant": 7}}}}',
])  # fmt: skip
def test_wrong_priors(text, tmp_path):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ValueError, match=r"p\.json: (holds no priors|says nothing)"):
        read_look(tmp_path / "p.json")
    with pytest.raises(ValueError, match="holds no priors"):
        read_look(tmp_path / "nothing.json")
