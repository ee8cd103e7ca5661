"""Emotion in the text: the paper's prompt sentence, and taking emotion words out of captions."""

from __future__ import annotations

import re

from emogen.emotion.lexicon import BUILTIN, LEXICON
from emogen.emotion.state import EmotionState
from emogen.emotion.taxonomy import NEUTRAL

AMBIGUOUS = frozenset(
    {
        "content",
        "fun",
        "cross",
        "mad",
        "gross",
        "sick",
        "interest",
        "trust",
        "love",
        "peace",
        "calm",
        "none",
        "null",
        "neutral",
        "relief",
        "thrill",
        "tender",
        "wonder",
        "cozy",
        "desire",
        "relaxed",
        "comfortable",
        "tired",
        "exhausted",
        "hope",
        "awesome",
        "distraction",
        "acceptance",
        "no emotion",
        "curious",
        "pride",
        "shock",
        "approval",
    }
)
"""Lexicon words that captions also use for things without feeling ("a calm sea", "a stained glass in relief", "Mad
Max"): left in place unless they follow a word such as "looks", "feeling" or "very"."""

_EXPRESSIONS = (
    "smile smiles smiled smilingly frown frowns frowning frowned cry cries cried tears laugh laughs laughed giggle "
    "giggles giggling grin grins grinning scowl scowls scowling scream screams screaming sob sobs sobbing weep weeps "
    "weeping angrily anxiously cheerfully contentedly ecstatically excitedly fearfully furiously gleefully gloomily "
    "happily happier happiest joyfully joyous joyously joyless nervously mournful mournfully playfully proudly sadder "
    "saddest saddened sadly scare scares scaring serenely sorrowfully tearfully fears"
)

EMOTION_WORDS: frozenset[str] = frozenset({*BUILTIN, *_EXPRESSIONS.split()} - AMBIGUOUS)
"""The words that `scrub_emotion_words` takes out wherever they stand: the lexicon emogen comes with, but for the
ambiguous words, and common words for expressions (smile, tears) and manners (sadly)."""

_DEGREE = (
    r"(?:looks?|looked|looking|feels?|felt|feeling|seems?|seemed|seeming|being|very|so|quite|really|extremely|"
    r"not)\s+"
)
_JOIN = r"(?:and|but|yet|or)"
_ENDS = r"(?=\s*(?:[,.;:!?]|$))"
# A phrase ends before these, so that nothing follows for "of", "with" or "a" to belong to.
_BREAK = (
    r"(?=\s*(?:[,.;:!?]|$)|\s+(?:and|but|as|while|when|on|in|at|to|from|for|over|under|during|before|after|by|"
    r"with|near|across|through|that|which|who|is|are|was|were)\b)"
)
_GAP = "\x00"


def emotion_prompt(state: EmotionState) -> str:
    """The sentence EmoVid (AAAI 2026) appends to a caption, with the dominant category.

    "" for neutral, and for a negative intensity: naming an emotion asks for it.
    """
    if state.dominant == NEUTRAL or state.intensity < 0:
        return ""
    return f'The video is in the "{state.dominant}" emotion.'


def scrub_emotion_words(text: str) -> tuple[str, list[str]]:
    """Take the emotion words out of a caption, so that a model trained on it must take emotion from the adapter.

    Whole words only, in any case: `EMOTION_WORDS` and registered words. The ambiguous ones (`AMBIGUOUS`: "calm",
    "love") go only after "looks", "feeling", "very" and the like, so "a calm sea" stays; and so does "a calm man".
    Also the paper's prompt sentence goes. What led up to a word goes with it ("with joy", "is sad and"), and "a" and
    "an" are set right for what comes next.

    Limits: it knows words, not meaning. Paraphrases ("her heart sinks") and other languages stay, names go ("Joy
    opens the door"), and a sentence that was all emotion is left a fragment ("The man is sad." becomes "The man.").
    A caption without emotion words comes back as it was, to the character.

    Returns:
        The caption, and the words removed, lower case, in the order they were found.
    """
    registered = {word for word in LEXICON if word not in BUILTIN}
    clear, unclear = _pattern(EMOTION_WORDS | registered), _pattern(AMBIGUOUS)
    found: list[tuple[int, str]] = []

    def note(match: re.Match) -> str:
        found.append((match.start("word"), " ".join(re.split(r"[\s-]+", match.group("word").lower()))))
        return _GAP + "\n" * (len(match.group(0)) - 1)  # as long as before, so that positions keep their order

    source = text.replace(_GAP, " ")
    gaps = re.sub(r'the video is in the\s+"(?P<word>\w+)"\s+emotion\b\.?', note, source, flags=re.I)
    tail = r"(?:-(?:looking|faced|eyed|filled))?(?:['\u2019]s)?(?![\w])"
    gaps = re.sub(rf"\b(?:{_DEGREE})*(?P<word>{clear}){tail}", note, gaps, flags=re.I)
    gaps = re.sub(rf"\b(?:{_DEGREE})+(?P<word>{unclear}){tail}", note, gaps, flags=re.I)
    if not found:
        return text, []
    return _tidy(gaps, source), [word for _, word in sorted(found)]


def _pattern(words: frozenset[str]) -> str:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return "|".join(re.escape(word).replace(r"\ ", r"[\s-]+") for word in longest_first)


def _tidy(text: str, source: str) -> str:
    """Close the gaps left in `source`: dangling joints, prepositions and articles, then spaces and punctuation."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(rf"{_GAP}-", f"{_GAP} ", text)
    text = re.sub(rf"[(\[\"'\u201c]\s*{_GAP}\s*[)\]\"'\u201d]", _GAP, text)
    text = re.sub(rf"(?<=[.!?])\s*{_GAP}\s*[.!?]", "", text)
    text = re.sub(rf"\b(an?|the)\s+(\w+),\s*{_GAP}\s+(?=\w)", r"\1 \2 ", text, flags=re.I)
    text = re.sub(rf"{_GAP}(?:\s*(?:,\s*{_JOIN}\b|,|{_JOIN}\b)?\s*{_GAP})+", _GAP, text)
    be = r"\s*\b(?:is|are|was|were|be|been|has|have)\s+"
    text = re.sub(rf"{be}{_GAP}\s+{_JOIN}\s+(?=\w)", " ", text)
    text = re.sub(rf"{be}{_GAP}{_ENDS}", _GAP, text)
    text = re.sub(rf",?\s*\b{_JOIN}\s+{_GAP}", " " + _GAP, text)
    text = re.sub(rf"{_GAP}\s+{_JOIN}\b(?=\s+\w)", _GAP, text)
    lead = r"(?:(?:full|out)\s+)?\b(?:with|in|of|from|by|into)\s+(?:(?:an?|the|his|her|its|their|great|pure)\s+)*"
    text = re.sub(rf"{lead}{_GAP}{_BREAK}", _GAP, text, flags=re.I)
    text = re.sub(rf"\b(?:an?)\s+{_GAP}{_BREAK}", _GAP, text, flags=re.I)
    text = re.sub(rf"\b([Aa])n?\s+{_GAP}\s+(\w+)", lambda m: f"{m[1]}{'n' if _takes_an(m[2]) else ''} {m[2]}", text)
    text = re.sub(rf"\s*{_GAP}\s*", " ", text)
    text = re.sub(r"\s+([,.;:!?])", r"\1", text)
    text = re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", text)
    text = re.sub(r"[,;:]\s*(?=[.!?])", "", text).strip(" ,;:")
    text = "" if not re.search(r"\w", text) else text.lstrip(" .!?")
    return text[:1].upper() + text[1:] if source.lstrip()[:1].isupper() else text


def _takes_an(word: str) -> bool:
    """Whether "an" goes before a word, by its sound as far as spelling tells."""
    word = word.lower()
    if re.match(r"hour|honest|honou?r|heir", word):
        return True
    return word[0] in "aeiou" and not re.match(r"uni(?!n)|us[eu]|eu|one\b|once\b|ute", word)
