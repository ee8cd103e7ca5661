import re

import pytest

from emogen.emotion import (
    EMOTION_WORDS,
    LEXICON,
    MIKELS,
    EmotionState,
    emotion_prompt,
    parse_emotion,
    register_word,
    scrub_emotion_words,
)
from emogen.emotion.lexicon import BUILTIN
from emogen.emotion.prompts import AMBIGUOUS


def test_the_papers_sentence():
    assert emotion_prompt(EmotionState.of("amusement")) == 'The video is in the "amusement" emotion.'
    assert emotion_prompt(parse_emotion("joy:0.3")) == 'The video is in the "amusement" emotion.'
    assert emotion_prompt(EmotionState.neutral()) == ""
    assert emotion_prompt(parse_emotion("sadness:-0.5")) == "", "naming a suppressed emotion would ask for it"


@pytest.mark.parametrize("name", MIKELS)
def test_the_papers_sentence_is_scrubbed(name):
    sentence = emotion_prompt(EmotionState.of(name))
    assert scrub_emotion_words(f"A dog runs. {sentence}") == ("A dog runs.", [name])
    assert scrub_emotion_words(sentence) == ("", [name])


@pytest.mark.parametrize("word", sorted(EMOTION_WORDS))
def test_every_emotion_word_goes(word):
    for form in (word, word.upper(), word.title()):
        text, removed = scrub_emotion_words(f"Then {form} fills a green room.")
        assert removed == [word] and not re.search(rf"\b{word}\b", text, re.I) and text.endswith("a green room.")


@pytest.mark.parametrize("word", sorted(AMBIGUOUS))
def test_ambiguous_words_go_only_where_they_are_felt(word):
    assert word in BUILTIN and word not in EMOTION_WORDS
    assert scrub_emotion_words(f"a {word} sea") == (f"a {word} sea", [])
    assert scrub_emotion_words(f"A boy looks {word}, then turns.") == ("A boy, then turns.", [word])


@pytest.mark.parametrize(
    ("caption", "left", "removed"),
    [
        ("A sad owl waits for an hour.", "An owl waits for an hour.", ["sad"]),
        ("a furious umbrella, a sad unicorn", "an umbrella, a unicorn", ["furious", "sad"]),
        ("A happy hour in a house", "An hour in a house", ["happy"]),
        ("an angry, sad cat", "a cat", ["angry", "sad"]),
        ("a big, happy cat.", "a big cat.", ["happy"]),
        ("A big and happy cat.", "A big cat.", ["happy"]),
        ("a happy-looking dog", "a dog", ["happy"]),
        ("She is happy and dances.", "She dances.", ["happy"]),
        ("The man is very sad.", "The man.", ["sad"]),
        ("She laughs and waves", "She waves", ["laughs"]),
        ("He angrily shouts", "He shouts", ["angrily"]),
        ("with a smile, she waves", "she waves", ["smile"]),
        ("a face full of joy, eyes wide", "a face, eyes wide", ["joy"]),
        ("A look of fear on her face", "A look on her face", ["fear"]),
        ("a girl with sad eyes", "a girl with eyes", ["sad"]),
        ("a jar filled with anger and water", "a jar filled with water", ["anger"]),
        ("A man, smiling, waves...", "A man, waves...", ["smiling"]),
        ("He runs. Sad! He stops.", "He runs. He stops.", ["sad"]),
        ("A cat (angry) sits.", "A cat sits.", ["angry"]),
        ("Sad music plays", "Music plays", ["sad"]),
        ("a man is not happy.", "a man.", ["happy"]),
        ("The girl's joy's end", "The girl's end", ["joy"]),
        ("a grossed-out boy", "a boy", ["grossed out"]),
        ("happy", "", ["happy"]),
    ],
)
def test_captions_stay_readable(caption, left, removed):
    assert scrub_emotion_words(caption) == (left, removed)


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a calm sea,  gentle waves ;",
        "fearless climbers on a gladiolus field",
        "An unsaddled horse",
        "  two spaces ",
        "Madrid, contents of a saddlebag",
        "a boy and\na dog",
        "a cross on a hill in 1900!?",
    ],
)
def test_captions_without_emotion_come_back_to_the_character(caption):
    assert scrub_emotion_words(caption) == (caption, [])


def test_scrubbing_twice_changes_nothing_more():
    for word in sorted(EMOTION_WORDS):
        once, _ = scrub_emotion_words(f"A {word} cat and a very {word}, old dog, {word} and grey, run with {word}.")
        assert scrub_emotion_words(once) == (once, [])
        assert "  " not in once and " ," not in once and "\x00" not in once


def test_registered_words_go_too():
    try:
        register_word("giddy up", {"excitement": 1})
        assert scrub_emotion_words("a giddy-up horse") == ("a horse", ["giddy up"])
    finally:
        del LEXICON["giddy up"]
