import csv
import json

import pytest

from emogen.emotion import (
    LEXICON,
    MIKELS,
    MIKELS_VA,
    NEGATIVE,
    POSITIVE,
    WARRINER_VA,
    EmotionState,
    UnknownEmotionError,
    load_lexicon,
    lookup,
    parse_emotion,
    register_word,
)
from emogen.emotion.lexicon import BUILTIN

TAXONOMIES = """
Ekman: anger disgust fear happiness sadness surprise
Plutchik: serenity joy ecstasy acceptance trust admiration apprehension fear terror distraction surprise amazement
Plutchik: pensiveness sadness grief boredom disgust loathing annoyance anger rage interest anticipation vigilance
GoEmotions: admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval
GoEmotions: disgust embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief
GoEmotions: remorse sadness surprise neutral
everyday: happy happiness joyful calm peaceful surprised scared afraid angry furious bored lonely proud grateful hope
everyday: sad disgusted excited content amused nervous embarrassed jealous guilty tired love
"""
# Means of Warriner et al. 2013 by (x - 5) / 4, for the words whose entries cite them.
NORMS = {
    "love": (0.75, 0.09),
    "calm": (0.47, -0.83),
    "boredom": (-0.56, -0.60),
    "tired": (-0.18, -0.33),
    "gratitude": (0.42, 0.02),
    "pride": (0.38, 0.14),
    "hope": (0.62, 0.07),
    "serenity": (0.69, -0.51),
    "rage": (-0.62, 0.41),
    "terror": (-0.56, 0.34),
    "grief": (-0.67, -0.01),
    "shame": (-0.59, 0.10),
    "lonely": (-0.58, -0.16),
    "trust": (0.56, -0.18),
    "fun": (0.84, 0.33),
}


@pytest.fixture(autouse=True)
def words_as_shipped():
    yield
    LEXICON.clear()
    LEXICON.update(BUILTIN)


def test_taxonomies_are_covered():
    words = sorted({word for word in TAXONOMIES.split() if not word.endswith(":")})
    assert {word for word in words if parse_emotion(word).is_neutral} == {"neutral"}


def test_every_word_is_sound():
    for word, entry in BUILTIN.items():
        state = entry.state
        assert entry.word == word == word.lower().strip() and entry.source
        assert set(entry.blend) <= set(MIKELS) and all(share > 0 for share in entry.blend.values())
        assert state.is_neutral or sum(entry.blend.values()) == pytest.approx(1), word
        assert 0 <= state.intensity <= 1.2, word
        if "Warriner 2013" in entry.source:
            rated = entry.source.rpartition("'")[0].rpartition("'")[2]
            assert entry.va == NORMS[rated], word
        elif not state.is_neutral:
            form = "other form of a category's name"
            assert "our reading" in entry.source or word in MIKELS or entry.source == form, word


def test_every_word_reads_in_any_dress_and_prints_back():
    for word in BUILTIN:
        state = lookup(word)
        assert lookup(f"  {word.upper().replace(' ', '-')} ") == lookup(word.title().replace(" ", "_")) == state
        for text in (word, f"{word}:0.37", f"{word}:1.3", f"{word}:-0.5", f"{word}:0.4+awe:0.2", f"{word}+fear"):
            parsed = parse_emotion(text)
            assert parse_emotion(str(parsed)) == parsed, text
            assert EmotionState.from_dict(parsed.to_dict()) == parsed, text


def test_signs_agree():
    """A word's own valence never contradicts its blend."""
    for entry in BUILTIN.values():
        good = sum(entry.blend.get(n, 0) for n in POSITIVE)
        bad = sum(entry.blend.get(n, 0) for n in NEGATIVE)
        if abs(good - bad) > 0.5:
            assert entry.state.valence * (good - bad) > 0, entry.word


def test_joy_is_clear_happiness():
    for word in ("joy", "joyful", "happy", "happiness"):
        state = parse_emotion(word)
        assert state.dominant == "amusement" and state.intensity == 1 and state.valence >= 0.75
        assert sum(state.distribution[:4]) == pytest.approx(1)
        assert set(LEXICON[word].blend) == {"amusement", "excitement", "contentment"}


def test_surprise_says_that_it_is_ambiguous():
    assert parse_emotion("surprise").dominant == "awe"
    assert "no valence of its own" in LEXICON["surprise"].source


def test_milder_and_stronger_forms_are_in_order():
    for mild, plain, strong in (
        ("apprehension", "fear", "terror"),
        ("annoyance", "anger", "rage"),
        ("pensiveness", "sadness", "grief"),
    ):
        a, b, c = (parse_emotion(w) for w in (mild, plain, strong))
        assert a.intensity < b.intensity < c.intensity and a.dominant == b.dominant == c.dominant == plain


def test_unknown_words_get_help():
    with pytest.raises(UnknownEmotionError, match=r"unknown emotion 'sadnes': did you mean sadness") as caught:
        parse_emotion("sadnes:0.5")
    assert isinstance(caught.value, ValueError) and "va:0.8,0.3" in str(caught.value)
    with pytest.raises(UnknownEmotionError, match="the eight are amusement, awe"):
        lookup("xqzzt")


def test_registering_a_word():
    entry = register_word("Giddy-Up", {"excitement": 3, "amusement": 1}, intensity=0.5)
    state = parse_emotion("giddy up")
    assert entry.word == "giddy up" and state.distribution[3] == 0.75 and state.intensity == 0.5
    assert parse_emotion(str(state)) == state and "giddy" not in str(state)
    state = parse_emotion("giddy up:0.5")
    assert state.intensity == 0.25


def test_a_replaced_word_does_not_change_what_saved_text_means():
    joy = parse_emotion("joy")
    register_word("joy", {"contentment": 1})
    assert parse_emotion("joy").dominant == "contentment"
    assert parse_emotion(str(joy)) == joy and parse_emotion(str(parse_emotion("joy"))) == parse_emotion("joy")


def test_a_word_may_have_only_a_place_on_the_plane():
    register_word("gloomful", va=(-0.5, -0.4))
    state = parse_emotion("gloomful")
    assert state.dominant == "sadness" and state == EmotionState.from_va(-0.5, -0.4)
    register_word("blah", intensity=0)
    assert parse_emotion("blah").is_neutral


@pytest.mark.parametrize(
    ("word", "kwargs", "message"),
    [
        ("a:b", {"blend": {"awe": 1}}, "cannot be a lexicon word"),
        ("0.5", {"blend": {"awe": 1}}, "cannot be a lexicon word"),
        (" ", {"blend": {"awe": 1}}, "cannot be a lexicon word"),
        ("fear", {"blend": {"awe": 1}}, "one of the categories themselves"),
        ("new", {"blend": {"joy": 1}}, "'joy' is not one of amusement"),
        ("new", {"blend": {"awe": -1}}, "the share of awe is -1"),
        ("new", {"blend": {"awe": "x"}}, "the share of awe is 'x'"),
        ("new", {"blend": {}}, "has neither shares nor va"),
        ("new", {"va": (0.5,)}, "must be two numbers"),
        ("new", {"va": (0.5, 3)}, "off the plane"),
        ("new", {"blend": {"awe": 1}, "va": (2, 0)}, "valence is 2"),
        ("new", {"blend": {"awe": 1}, "intensity": float("nan")}, "intensity is nan"),
    ],
)
def test_a_bad_word_is_refused(word, kwargs, message):
    with pytest.raises(ValueError, match=message):
        register_word(word, **kwargs)
    assert dict(LEXICON) == dict(BUILTIN)


def test_loading_a_table(tmp_path):
    path = tmp_path / "mine.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows(
            [
                ["word", "excitement", "amusement", "intensity", "valence", "arousal", "source"],
                ["giddy", "0.7", "0.3", "0.8", "", "", "my notes"],
                [],
                ["wistful", "", "", "", "-0.4", "-0.4", ""],
            ]
        )
    assert load_lexicon(path) == 2
    assert parse_emotion("giddy").intensity == 0.8 and LEXICON["giddy"].source == "my notes"
    assert parse_emotion("wistful").dominant == "sadness" and LEXICON["wistful"].source == "mine.csv"


def test_loading_an_object(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"giddy": {"blend": {"excitement": 1}, "va": [0.6, 0.8]}, "joy": {"blend": {"awe": 1}}}))
    assert load_lexicon(path) == 2
    assert parse_emotion("giddy").arousal == 0.8 and parse_emotion("joy").dominant == "awe"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "word,awe\nok,1\nbad,much\n", r"a\.csv, line 3: awe of 'bad' is 'much', not a number"),
        ("a.csv", "word,joy\nx,1\n", "line 1: unknown column 'joy'; the columns are word, amusement"),
        ("a.csv", "awe,fear\n1,1\n", "line 1: the first row must have a column 'word'; it is 'awe,fear'"),
        ("a.csv", "word,awe\nok,1,2\n", "line 2: 3 cells under a header of 2"),
        ("a.csv", "word,awe\nok,1\nOK,1\n", "line 3: 'OK' stands on line 2 already"),
        ("a.csv", "word,valence\nok,1\n", "line 2: 'ok' needs both valence and arousal"),
        ("a.csv", "word,awe\nok,1\nsad:ish,1\n", "line 3: 'sad:ish' cannot be a lexicon word"),
        ("a.csv", "word,awe\nok,-1\n", "line 2: 'ok': the share of awe is -1"),
        ("a.csv", "word,awe\n", "line 1: no words in the file"),
        ("a.csv", "", "line 1: the first row must have"),
        (
            "a.json",
            '{"ok": {"blend": {"awe": 1}},\n "bad": {"blend": {"joy": 1}}}',
            r"a\.json, line 2: 'bad': 'joy' is not",
        ),
        ("a.json", '{\n\n "bad": {"shares": {}}}', "line 3: 'bad' has the unknown key 'shares'"),
        ("a.json", '{"a": {"blend": {"awe": 1}},\n"A": {"blend": {"awe": 1}}}', "line 2: 'A' stands on line 1 already"),
        ("a.json", '{"a": {"blend": 3}}', "line 1: blend of 'a' must be an object"),
        ("a.json", '{"a": 3}', "line 1: 'a' must be an object"),
        ("a.json", '{"a": {"va": 3}}', "line 1: "),
        ("a.json", "{\n oops}", "line 2: not JSON"),
        ("a.csv", 'word,awe\n"ok,1\n', "line 2: not valid CSV"),
        ("a.csv", "word,Awe,awe\nok,1,1\n", "line 1: a column stands in the header twice"),
        (
            "a.json",
            '{"a": {"va": [0, 1]},\n "b": {"va": [0, 0], "va": [0, 0]}}',
            "line 2: 'b': the key 'va' stands twice",
        ),
        ("a.json", "[" * 100_000, "line 1: not usable JSON"),
        ("a.json", "[1]", "line 1: a lexicon is an object"),
        ("a.json", "{}", "line 1: no words"),
        ("a.txt", "joy", r"a\.txt: a lexicon is a \.csv or a \.json file"),
    ],
)
def test_a_bad_file_is_named_with_its_line_and_changes_nothing(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        load_lexicon(tmp_path / name)
    assert dict(LEXICON) == dict(BUILTIN)


def test_text_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"word,awe\ncaf\xe9,1\n")
    with pytest.raises(ValueError, match=r"a\.csv: line 2: byte 12 is 0xE9, which is not UTF-8"):
        load_lexicon(tmp_path / "a.csv")


@pytest.mark.parametrize("text", ["Word; AWE\r\ngiddy;1\r\n", "sep=|\rword|awe\rgiddy|1\r", 'word, awe\n"giddy",1'])
def test_a_spreadsheet_of_any_make_is_read(tmp_path, text):
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "a.csv").write_bytes(text.encode(encoding))
        assert load_lexicon(tmp_path / "a.csv") == 1 and parse_emotion("giddy").dominant == "awe"


def test_norms_of_the_eight_are_not_the_conditioning_positions():
    assert set(WARRINER_VA) == set(MIKELS_VA) == set(MIKELS)
    assert parse_emotion("awe").arousal == MIKELS_VA["awe"][1] != WARRINER_VA["awe"][1]
