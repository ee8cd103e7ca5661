"""The words people use for emotions, each with what it means here and where that reading comes from.

No third-party lexicon is shipped (the common ones forbid it); this is a short table of our own. `source` names the
taxonomy a word belongs to and says where its blend over Mikels' eight is our reading, which it mostly is: there is
no agreed map between taxonomies. Valence-arousal values marked "Warriner 2013" are that paper's means of the word,
mapped to -1..1, and name the word that was rated; without one the blend's own position counts. An emotion's strength
is not in any of these sources: every intensity other than 1 is our reading.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from emogen.emotion.state import EmotionState
from emogen.emotion.taxonomy import MIKELS, MIKELS_VA, NEUTRAL

EKMAN = "Ekman 1992, six basic emotions; blend: our reading"
PLUTCHIK = "Plutchik 1980, wheel of emotions; blend: our reading"
GO = "GoEmotions (Demszky et al. 2020), 27 labels; blend: our reading"
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|nan|inf|infinity")
_LONGEST = 60  # letters of a word that is compared with the others, which takes the product of their lengths
EVERYDAY = "everyday word; our reading"
FORM = "other form of a category's name"
WARRINER = "; valence-arousal: Warriner 2013 for {!r}"


@dataclass(frozen=True)
class LexiconEntry:
    """One word.

    Attributes:
        word: lower case, spaces for hyphens.
        blend: shares over Mikels' eight by name; empty for neutral.
        intensity: of the word alone, 1 for the plain emotion (annoyance 0.5, rage 1.2), 0 for neutral.
        va: the word's own (valence, arousal) in [-1, 1], or None for the blend's.
        source: where the word and its reading come from.
    """

    word: str
    blend: dict[str, float]
    intensity: float
    va: tuple[float, float] | None
    source: str

    @cached_property
    def state(self) -> EmotionState:
        """The entry as a state."""
        total = sum(self.blend.values())
        if not total:
            return EmotionState.neutral()
        shares = tuple(self.blend.get(name, 0.0) / total for name in MIKELS)
        va = self.va or tuple(sum(p * MIKELS_VA[n][i] for p, n in zip(shares, MIKELS, strict=True)) for i in (0, 1))
        # Rounding may leave a sum just outside; the plane's edge is closed.
        return EmotionState(shares, *(max(-1.0, min(1.0, x)) if self.va is None else x for x in va), self.intensity)


class UnknownEmotionError(ValueError):
    """A word that the lexicon does not have; the message offers the nearest ones."""


# word(s) | blend | intensity | (valence, arousal) or None | source
_JOY = "amusement .6 excitement .25 contentment .15"
_TABLE: list[tuple[str, str, float, tuple[float, float] | None, str]] = [
    ("amused, amusing", "amusement 1", 1.0, None, FORM),
    ("awed, awestruck, awesome", "awe 1", 1.0, None, FORM),
    ("contented, content", "contentment 1", 1.0, None, FORM),
    ("excited, exciting", "excitement 1", 1.0, None, FORM),
    ("angry", "anger 1", 1.0, None, FORM),
    ("disgusted, disgusting", "disgust 1", 1.0, None, FORM),
    ("fearful, afraid", "fear 1", 1.0, None, FORM),
    ("sad", "sadness 1", 1.0, None, FORM),
    # Ekman's six, where they are not Mikels' own
    ("joy", _JOY, 1.0, (0.80, 0.45), EKMAN + " (amusement leads: laughter is how a face shows joy)"),
    ("happiness, enjoyment", _JOY, 1.0, (0.85, 0.40), EKMAN),
    (
        "surprise",
        "awe .75 excitement .25",
        1.0,
        (0.45, 0.60),
        EKMAN + "; surprise has no valence of its own and is read as the pleasant kind",
    ),
    # Plutchik's eight with their milder and stronger forms
    ("serenity", "contentment 1", 0.8, (0.69, -0.51), PLUTCHIK + WARRINER.format("serenity")),
    ("ecstasy", "excitement .7 amusement .3", 1.2, None, PLUTCHIK),
    ("trust", "contentment .8 awe .2", 0.7, (0.56, -0.18), PLUTCHIK + WARRINER.format("trust")),
    ("acceptance", "contentment 1", 0.5, None, PLUTCHIK),
    ("admiration", "awe .7 contentment .3", 0.9, None, PLUTCHIK),
    ("apprehension", "fear 1", 0.5, None, PLUTCHIK),
    ("terror", "fear 1", 1.2, (-0.56, 0.34), PLUTCHIK + WARRINER.format("terror")),
    ("distraction", "awe .5 fear .5", 0.3, (0.0, 0.2), PLUTCHIK),
    ("amazement, astonishment", "awe 1", 1.1, None, PLUTCHIK),
    ("pensiveness", "sadness 1", 0.5, None, PLUTCHIK),
    ("grief", "sadness 1", 1.2, (-0.67, -0.01), PLUTCHIK + WARRINER.format("grief")),
    ("boredom", "disgust .5 sadness .5", 0.5, (-0.56, -0.60), PLUTCHIK + WARRINER.format("boredom")),
    ("loathing", "disgust 1", 1.2, None, PLUTCHIK),
    ("annoyance", "anger 1", 0.5, None, PLUTCHIK),
    ("rage", "anger 1", 1.2, (-0.62, 0.41), PLUTCHIK + WARRINER.format("rage")),
    ("anticipation", "excitement .8 fear .2", 0.7, None, PLUTCHIK),
    ("interest", "excitement .6 awe .4", 0.4, None, PLUTCHIK),
    ("vigilance", "fear .6 anger .4", 0.6, (-0.1, 0.6), PLUTCHIK),
    # GoEmotions, where not above
    ("approval", "contentment 1", 0.6, None, GO),
    ("caring", "contentment 1", 0.7, None, GO),
    ("confusion", "fear .5 awe .5", 0.4, (-0.2, 0.2), GO),
    ("curiosity", "awe .6 excitement .4", 0.5, None, GO),
    ("desire", "excitement .8 contentment .2", 0.8, None, GO),
    ("disappointment", "sadness .8 anger .2", 0.7, None, GO),
    ("disapproval", "disgust .6 anger .4", 0.6, None, GO),
    ("embarrassment", "fear .5 sadness .5", 0.6, None, GO),
    ("gratitude", "contentment .8 awe .2", 0.8, (0.42, 0.02), GO + WARRINER.format("gratitude")),
    ("love", "contentment .7 excitement .3", 1.0, (0.75, 0.09), GO + WARRINER.format("love")),
    ("nervousness", "fear 1", 0.6, None, GO),
    ("optimism", "contentment .6 excitement .4", 0.7, None, GO),
    ("pride", "contentment .6 excitement .4", 0.8, (0.38, 0.14), GO + WARRINER.format("pride")),
    ("realization", "awe 1", 0.5, None, GO),
    ("relief", "contentment 1", 0.8, None, GO),
    ("remorse", "sadness 1", 0.8, None, GO),
    # everyday
    ("happy, joyful, cheerful, glad, merry", _JOY, 1.0, (0.85, 0.40), EVERYDAY),
    ("smiling", "contentment .6 amusement .4", 0.7, None, EVERYDAY),
    ("delight, delighted", "amusement .4 excitement .6", 1.0, None, EVERYDAY),
    ("fun, funny, laughing, laughter, hilarious", "amusement 1", 1.0, (0.84, 0.33), EVERYDAY + WARRINER.format("fun")),
    ("playful, silly", "amusement 1", 0.8, None, EVERYDAY),
    ("calm, calmness", "contentment 1", 0.8, (0.47, -0.83), EVERYDAY + WARRINER.format("calm")),
    ("peaceful, peace, relaxed, serene, tranquil, cozy", "contentment 1", 0.9, None, EVERYDAY),
    ("satisfied, satisfaction, comfortable, blissful", "contentment 1", 1.0, None, EVERYDAY),
    ("thankful, grateful", "contentment .8 awe .2", 0.8, None, EVERYDAY),
    ("loving, affectionate, tender", "contentment .8 excitement .2", 0.9, None, EVERYDAY),
    ("hope, hopeful", "contentment .5 excitement .5", 0.7, (0.62, 0.07), EVERYDAY + WARRINER.format("hope")),
    ("proud", "contentment .6 excitement .4", 0.8, None, EVERYDAY),
    ("relieved", "contentment 1", 0.8, None, EVERYDAY),
    ("thrilled, ecstatic, enthusiastic, elated, hyped, energetic", "excitement 1", 1.1, None, EVERYDAY),
    ("enthusiasm, thrill, euphoria", "excitement 1", 1.0, None, EVERYDAY),
    ("eager", "excitement 1", 0.7, None, EVERYDAY),
    ("surprised, astonished, amazed, stunned", "awe .8 excitement .2", 1.0, None, EVERYDAY),
    ("wonder, wondrous, reverence", "awe 1", 1.0, None, EVERYDAY),
    ("shock, shocked", "awe .5 fear .5", 1.0, (-0.2, 0.8), EVERYDAY),
    ("curious", "awe .6 excitement .4", 0.5, None, EVERYDAY),
    ("mad, furious, enraged, outraged", "anger 1", 1.1, None, EVERYDAY),
    ("fury, outrage, wrath, hostility", "anger 1", 1.1, None, EVERYDAY),
    ("annoyed, irritated, grumpy, cross", "anger 1", 0.5, None, EVERYDAY),
    ("irritation, frustration, frustrated", "anger .8 sadness .2", 0.7, None, EVERYDAY),
    ("jealous, jealousy, envy, envious", "anger .6 sadness .4", 0.7, None, EVERYDAY),
    ("gross, revolted, revulsion, repulsed, grossed out", "disgust 1", 1.0, None, EVERYDAY),
    ("nauseated, sick, nausea", "disgust 1", 0.9, None, EVERYDAY),
    (
        "contempt, contemptuous, scorn",
        "disgust .7 anger .3",
        0.8,
        None,
        "Ekman and Friesen 1986, the seventh expression; blend: our reading",
    ),
    ("scared, frightened, scary", "fear 1", 1.0, None, EVERYDAY),
    ("terrified, horrified, horror, panic, panicked", "fear 1", 1.2, None, EVERYDAY),
    ("anxious, anxiety, worried, worry, nervous", "fear .8 sadness .2", 0.6, None, EVERYDAY),
    ("dread", "fear .8 sadness .2", 0.9, None, EVERYDAY),
    ("unhappy, sorrow, sorrowful, gloomy, miserable, melancholy", "sadness 1", 0.9, None, EVERYDAY),
    ("crying, tearful, heartbroken, devastated", "sadness 1", 1.1, None, EVERYDAY),
    ("despair, hopeless", "sadness .8 fear .2", 1.0, None, EVERYDAY),
    ("lonely, loneliness", "sadness 1", 0.8, (-0.58, -0.16), EVERYDAY + WARRINER.format("lonely")),
    ("disappointed", "sadness .8 anger .2", 0.7, None, EVERYDAY),
    ("guilt, guilty, regret", "sadness .8 fear .2", 0.7, None, EVERYDAY),
    ("shame, ashamed", "sadness .7 fear .3", 0.8, (-0.59, 0.10), EVERYDAY + WARRINER.format("shame")),
    ("embarrassed", "fear .5 sadness .5", 0.6, None, EVERYDAY),
    ("bored", "disgust .5 sadness .5", 0.5, (-0.56, -0.60), EVERYDAY + WARRINER.format("boredom")),
    ("tired, exhausted", "sadness .7 contentment .3", 0.5, (-0.18, -0.33), EVERYDAY + WARRINER.format("tired")),
    ("nostalgia, nostalgic", "sadness .5 contentment .5", 0.6, None, EVERYDAY),
    ("confused", "fear .5 awe .5", 0.4, (-0.2, 0.2), EVERYDAY),
    ("none, no emotion, null", "", 0.0, None, "other words for neutral"),
]


def normal_word(word: str) -> str:
    """The form words are kept in: lower case, single spaces for hyphens and underscores."""
    return " ".join(word.lower().replace("-", " ").replace("_", " ").split())


def _build() -> dict[str, LexiconEntry]:
    entries = {
        name: LexiconEntry(name, {name: 1.0}, 1.0, None, "Mikels et al. 2005; valence-arousal: MIKELS_VA")
        for name in MIKELS
    }
    entries[NEUTRAL] = LexiconEntry(NEUTRAL, {}, 0.0, None, "no emotion: the adapter's null")
    for words, blend, intensity, va, source in _TABLE:
        parts = blend.split()
        shares = {name: float(share) for name, share in zip(parts[::2], parts[1::2], strict=True)}
        for word in words.split(", "):
            if word in entries:
                raise AssertionError(f"{word!r} stands twice in the lexicon")
            entries[word] = LexiconEntry(word, shares, intensity, va, source)
    return entries


BUILTIN: Mapping[str, LexiconEntry] = MappingProxyType(_build())
"""The words that come with emogen, the eight and "neutral" first."""

LEXICON: dict[str, LexiconEntry] = dict(BUILTIN)
"""Every known word. `register_word` and `load_lexicon` add to it."""


def lookup(word: str) -> EmotionState:
    """The state of a word, in any case and with hyphens or spaces.

    Raises:
        UnknownEmotionError: the word is not known.
    """
    key = normal_word(word)
    if key in LEXICON:
        return LEXICON[key].state
    close = difflib.get_close_matches(key, LEXICON, n=4, cutoff=0.6) if len(key) <= _LONGEST else []
    hint = f"did you mean {' or '.join(close)}?" if close else f"the eight are {', '.join(MIKELS)}, and 'neutral'."
    raise UnknownEmotionError(
        f"unknown emotion {word.strip()[:_LONGEST]!r}: {hint} `emogen info --lexicon` lists all {len(LEXICON)} "
        "words; a point on the plane (va:0.8,0.3) or a mixture (joy:0.7+awe:0.3) says what no word does."
    )


def register_word(
    word: str,
    blend: Mapping[str, float] | None = None,
    *,
    intensity: float | None = None,
    va: Sequence[float] | None = None,
    source: str = "registered by the user",
) -> LexiconEntry:
    """Add a word, or replace one; the eight and "neutral" keep their meaning.

    Args:
        blend: shares over Mikels' eight by name; they are normalised. Left out, they are inferred from `va`.
        intensity: of the word alone. By default 1; for a word with `va` alone its distance from (0, 0), at most 1.
        va: (valence, arousal) in [-1, 1]. By default that of the blend.
        source: where the reading comes from.

    Raises:
        ValueError: a name that is not one of the eight, a share below 0, or a value out of range.
    """
    key = normal_word(word)
    if not key or any(c in key for c in ":+@;=,") or _NUMBER.fullmatch(key) or key in ("va", "state"):
        raise ValueError(
            f"{word!r} cannot be a lexicon word: it is empty, a number, 'va' or 'state', or has one of : + @ ; = ,"
        )
    if key in (*MIKELS, NEUTRAL):
        raise ValueError(f"{word!r} is one of the categories themselves and cannot be given another meaning")
    for name, share in (blend or {}).items():
        if name not in MIKELS:
            raise ValueError(f"{word!r}: {name!r} is not one of {', '.join(MIKELS)}")
        if not (isinstance(share, (int, float)) and 0 <= share < math.inf):
            raise ValueError(f"{word!r}: the share of {name} is {share!r}; it must be a number, 0 or more")
    shares = {name: float(share) for name, share in (blend or {}).items() if share}
    if va is not None and (isinstance(va, str) or len(va) != 2):
        raise ValueError(f"{word!r}: va is {va!r}; it must be two numbers, valence and arousal")
    if not shares and intensity != 0:
        if va is None:
            raise ValueError(f"{word!r} has neither shares nor va; give one (or intensity 0 for a word for neutral)")
        inferred = EmotionState.from_va(*va)
        shares = {name: share for name, share in zip(MIKELS, inferred.distribution, strict=True) if share}
        intensity = inferred.intensity if intensity is None else intensity
    intensity = 1.0 if intensity is None else intensity
    entry = LexiconEntry(key, shares, intensity, None if va is None else tuple(va), source)
    _ = entry.state  # checks the ranges before anything is kept
    LEXICON[key] = entry
    return entry
