"""What emotion a clip's captions speak of: a suggestion to look at, never a label.

The words are those of emogen's lexicon, where the caption uses them for a feeling ("amusement park" is none). A caption
that names no feeling suggests nothing, or if asked for what it is nearest to in meaning (`meaning`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from emogen.curation.stage import Row
from emogen.emotion import MIKELS
from emogen.emotion.lexicon import LEXICON, normal_word
from emogen.emotion.scrubber import scrub

_SAID_BY_DOING = {
    "amusement": ("laugh", "giggl", "chuckl"), "sadness": ("cry", "cries", "cried", "sob", "weep", "wept"),
    "anger": ("scowl",), "fear": ("trembl",),
}  # fmt: skip
"""Beginnings of words that tell a feeling and are not in the lexicon."""


def suggest(row: Row, meaning: Callable[[str], tuple[str | None, str]] | None = None) -> Row | None:
    """`suggested` and `suggested_by` (the words) for a clip, or None where its captions suggest nothing.

    Args:
        row: with `caption_emotional` or `caption`, which is looked at in this order.
        meaning: text -> an emotion or None, and what says so; for captions that name no feeling.
    """
    text = row.get("caption_emotional") or row.get("caption") or ""
    emotion, words = suggested_by_words(text)
    by = "words: " + ", ".join(words)
    if not words and meaning is not None and text.strip():
        emotion, by = meaning(text)
    return None if emotion is None else {"clip_id": row["clip_id"], "suggested": emotion, "suggested_by": by}


def suggested_by_words(text: str) -> tuple[str | None, list[str]]:
    """The emotion of the eight that most of a text's words of feeling stand for, and these words. None if there are
    none, or if two emotions have the same share."""
    found = scrub(text)
    shares: Counter[str] = Counter()
    words: list[str] = []
    for word in [*found.removed, *found.left]:
        meant = list(_meant(word))
        if meant:
            words.append(word)
        for emotion, share in meant:
            shares[emotion] += share
    ranked = shares.most_common(2)
    if not ranked or (len(ranked) == 2 and abs(ranked[0][1] - ranked[1][1]) < 1e-9):
        return None, words
    return ranked[0][0], words


def _meant(phrase: str) -> Iterable[tuple[str, float]]:
    """Emotions and shares of the words in what was said, the whole phrase first."""
    for word in (phrase, *phrase.split()):
        entry = LEXICON.get(normal_word(word))
        if entry is not None:
            if not entry.state.is_neutral:
                yield from ((e, s) for e, s in zip(MIKELS, entry.state.distribution, strict=True) if s > 0)
            return
        for emotion, beginnings in _SAID_BY_DOING.items():
            if word.startswith(beginnings):
                yield emotion, 1.0
                return
