"""Emotion in the text: the paper's prompt sentence, and taking emotion words out of captions."""

from __future__ import annotations

import re

from .lexicon import LEXICON
from .mikels import NEUTRAL
from .state import EmotionState

AMBIGUOUS = frozenset({
    "content", "fun", "cross", "mad", "gross", "sick", "interest", "trust", "love", "peace", "calm", "none", "null",
    "neutral", "relief", "thrill", "tender", "wonder", "cozy", "desire", "relaxed", "comfortable", "tired", "exhausted",
    "hope", "awesome", "distraction", "acceptance", "no emotion", "curious", "pride", "shock", "approval",
})
"""Lexicon words that captions also use for things without feeling ("a calm sea", "a stained glass in relief", "Mad
Max"): left in place unless they follow a word such as "looks" or "feeling"."""

_EXTRA = ("smile", "smiles", "smiling", "frown", "frowns", "frowning", "cry", "cries", "tears", "laugh", "laughs", "scream",
          "screams", "screaming", "sob", "sobbing", "grin", "grinning", "scowl", "scowling")
_FEELING = r"(?:(?:looks?|looking|feels?|feeling|seems?|seeming|being|very|so)\s+)"


def emotion_prompt(state: EmotionState) -> str:
    """The sentence EmoVid (AAAI 2026) appends to a caption, with the dominant category; "" for neutral."""
    return "" if state.dominant == NEUTRAL else f'The video is in the "{state.dominant}" emotion.'


def scrub_emotion_words(text: str) -> tuple[str, list[str]]:
    """Take the emotion words out of a caption, so that a model trained on it must take emotion from the adapter.

    Whole words only, in any case: every lexicon word but the ambiguous ones, and common words for expressions
    (smile, frown, tears ...). Ambiguous words ("calm", "love") go only after "looks", "feeling" and the like.
    Paraphrases ("her heart sinks") stay: no word list catches them.

    Returns:
        The caption with its punctuation tidied, and the words removed, lower case, in their order.
    """
    clear = sorted({*LEXICON, *_EXTRA} - AMBIGUOUS, key=len, reverse=True)
    unclear = sorted(AMBIGUOUS & set(LEXICON), key=len, reverse=True)
    removed: list[str] = []

    def drop(match: re.Match) -> str:
        removed.append(match.group("word").lower())
        return ""

    words = "|".join(re.escape(w).replace(r"\ ", r"[\s-]+") for w in clear)
    text = re.sub(rf'(?:the video is in the\s+)"(?P<word>\w+)"\s+emotion\.?', drop, text, flags=re.I)
    text = re.sub(rf"\b{_FEELING}?(?P<word>{words})\b(?:\s+(?:and|but|yet)(?=\s+(?:{words})\b))?", drop, text, flags=re.I)
    text = re.sub(rf"\b{_FEELING}(?P<word>{'|'.join(map(re.escape, unclear))})\b", drop, text, flags=re.I)
    if removed:
        text = re.sub(r"\s+", " ", text)
        text = re.sub(r"\s+([,.;:!?])", r"\1", text)
        text = re.sub(r"\b(an?|the)\s*[,;:]\s*", r"\1 ", text, flags=re.I)
        text = re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", text)
        text = re.sub(r"\b([Aa])n (?=[^aeiouAEIOU\W])", r"\1 ", text)
        text = re.sub(r"[,;:]\s*(?=[.!?]|$)", "", text).strip(" ,;:")
    return text, removed
