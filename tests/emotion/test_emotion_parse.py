import random
import subprocess
import sys

import pytest

from emogen.emotion import LEXICON, MIKELS, EmotionState, parse_emotion


def test_strength_multiplies():
    assert parse_emotion("sadness:0.6") == parse_emotion(" Sadness : 0.6 ") == EmotionState.of("sadness", 0.6)
    assert parse_emotion("serenity:0.5").intensity == pytest.approx(0.4)
    assert parse_emotion("fear:0") == parse_emotion("neutral") == EmotionState.neutral()
    assert parse_emotion("fear:2").intensity == 2 and parse_emotion("fear:-0.5").intensity == -0.5


def test_mixtures_add_up():
    whole, weak = parse_emotion("joy:0.7+awe:0.3"), parse_emotion("joy:0.4 + awe:0.2")
    assert whole.intensity == pytest.approx(1) and weak.intensity == pytest.approx(0.6)
    assert whole.distribution[0] == pytest.approx(0.7 * 0.6) and whole.distribution[1] == pytest.approx(0.3)
    assert parse_emotion("fear+awe") == parse_emotion("fear:0.5+awe:0.5")
    assert parse_emotion("fear+awe:0.5").intensity == 1.5


def test_points():
    state = parse_emotion("va:0.8,0.3")
    assert (state.valence, state.arousal) == (0.8, 0.3) and state.intensity == pytest.approx(0.8544, abs=1e-4)
    assert state == EmotionState.from_va(0.8, 0.3) == parse_emotion("VA: 0.8 , 0.3")
    assert parse_emotion("va:0,0").is_neutral and parse_emotion("va:0.8,0.3@0").is_neutral
    assert parse_emotion("va:0.8,0.3@0.5").intensity == 0.5
    assert parse_emotion("va:0.8,0.3@0.5").distribution == state.distribution


def test_states_and_mappings_pass():
    state = parse_emotion("joy")
    assert parse_emotion(state) is state and parse_emotion(state.to_dict()) == state
    assert parse_emotion({"distribution": {"awe": 1}, "intensity": 0}) == EmotionState.neutral()


def test_text_is_plain_where_it_can_be():
    for text in (
        "neutral",
        "joy",
        "sadness",
        "sadness:0.6",
        "rage",
        "va:0.8,0.3",
        "va:0.8,0.3@0.5",
        "fear:-0.5",
        "anger:0.5",
    ):
        assert str(parse_emotion(text)) == text
    assert str(parse_emotion("angry")) == "anger" and str(parse_emotion("cheerful")) == "happiness"


def test_whatever_parses_prints_and_parses_back():
    random.seed(0)
    words = sorted(LEXICON)
    for _ in range(1000):
        kind = random.randrange(3)
        if kind == 0:
            text = f"va:{random.uniform(-1, 1)},{random.uniform(-1, 1)}"
            text += random.choice(("", f"@{random.uniform(-1, 2)}"))
        else:
            terms = random.sample(words, kind + random.randrange(3))
            text = "+".join(f"{w}:{random.uniform(0, 1.5):.{random.randrange(1, 9)}f}" for w in terms)
        state = parse_emotion(text)
        again = parse_emotion(str(state))
        assert again == state, text
        assert str(again) == str(state)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the emotion is empty"),
        ("joy:", "'' in 'joy:' is not a number"),
        ("joy:much", "'much' in 'joy:much' is not a number"),
        ("joy:nan", "not a finite number"),
        ("joy:0.7+", r"empty term beside a '\+'"),
        ("joy:0.7+awe:-0.3", "at least 0"),
        ("va:0.8", "needs two numbers"),
        ("va:0.8,0.3,0.5", "needs two numbers"),
        ("va:0.8,x", "'x' in 'va:0.8,x' is not a number"),
        ("va:1.8,0", "va:1.8,0 is off the plane"),
        ("va:0.8,0.3@inf", "not a finite number"),
        ("state:awe=1;joy=2", "unknown key 'joy'"),
        ("state:awe", "'awe' in 'state:awe' is no name=number"),
        ("state:awe=1;awe=1", "comes twice"),
        ("state:", "is no name=number"),
        ("0:fear 1:joy", r"begins with a time.*EmotionArc\.parse"),
        (3, "not int"),
        (None, "not NoneType"),
    ],
)
def test_bad_text_is_explained(text, message):
    with pytest.raises(ValueError, match=message):
        parse_emotion(text)


def test_importing_loads_nothing_heavy():
    code = (
        "import sys; import emogen.emotion; "
        "print(*[m for m in ('torch', 'numpy', 'diffusers', 'yaml') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_dominant_of_equals_is_the_first():
    assert parse_emotion("sadness+anger").dominant == "anger" and MIKELS.index("anger") < MIKELS.index("sadness")
