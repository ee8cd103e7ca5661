"""Taking the emotion out of a caption without breaking it: whole phrases go, or a neutral word takes their place.

The rules look at one word to either side, and a little further where a phrase begins or ends; they know no grammar
beyond that. A caption that they cannot keep whole is left as it is, and said so, for a person to look at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from emogen.emotion.evidence import EMOTION_WORDS
from emogen.emotion.grammar import TEMPLATE, harm, tidy
from emogen.emotion.lexicon import BUILTIN, LEXICON
from emogen.emotion.rephrase import Editor

_PIECES = re.compile(r"\s*\S.{0,800}?[.!?]+(?:\s+|$)|.{1,800}(?:\s+|$)|.{1,800}", re.DOTALL)
"""Sentences; of one without an end, parts of a length that stays quick to look at."""


@dataclass(frozen=True)
class Scrubbed:
    """A caption without its emotion.

    Attributes:
        text: the caption; as it was, to the character, where nothing is taken out.
        removed: words taken out, lower case, in their order.
        left: words of emotion that could not be taken out without harm, for review.
    """

    text: str
    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def scrub_emotion_words(text: str) -> tuple[str, list[str]]:
    """Take the emotion out of a caption, so that a model trained on it must take emotion from the adapter.

    Words go with what belongs to them ("with joy", "a smile on her face", "is sad and"); where a sentence would fall
    apart, a neutral word takes their place ("is afraid of the dark": "is thinking of the dark"). Content stays: an
    amusement park, Joy as a name, angry birds. The ambiguous words (`AMBIGUOUS`: "calm", "love") go only after "looks",
    "feeling", "very" and the like. The paper's prompt sentence goes too.

    Limits: it knows English words, not meaning. Paraphrases ("her heart sinks") and other languages stay. What cannot
    be taken out safely stays too; `scrub` says where.

    Returns:
        The caption, and the words removed, lower case, in the order they were found. A caption of which nothing is
        removed comes back as it was, to the character.
    """
    found = scrub(text)
    return found.text, found.removed


def scrub(text: str) -> Scrubbed:
    """As `scrub_emotion_words`, with the words that are left for review."""
    removed, left, kept = [], [], []
    said = [match["word"].lower() for match in TEMPLATE.finditer(text)]
    bare = TEMPLATE.sub("", text)
    words = EMOTION_WORDS | frozenset(word for word in LEXICON if word not in BUILTIN)
    titled = text.istitle() or text.isupper()
    for piece in _PIECES.findall(bare):
        editor = Editor(piece, words, titled)
        editor.run()
        removed, left = removed + editor.removed, left + editor.left
        gone = editor.removed and not re.search(r"\w", editor.text)
        kept.append("" if gone else editor.text)
    if not removed and not said:
        return Scrubbed(text, [], left)
    after = tidy("".join(kept), text)
    if removed and harm(after, text):
        return Scrubbed(text, [], removed + left)
    removed += said
    return Scrubbed(after, removed, left)
