"""What people type, as an `EmotionState`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from emogen.emotion.lexicon import BUILTIN, LEXICON, UnknownEmotionError, lookup, normal_word
from emogen.emotion.state import EmotionState
from emogen.emotion.taxonomy import MIKELS, NEUTRAL

TIME = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e-?\d+)?"
"""A keyframe's time, as a regular expression that reads every digit once."""
_BEGINS_WITH_TIME = re.compile(rf"\s*{TIME}\s*:")
_JOINED = re.compile(r"\s+(?:and|with|plus)\s+|\s*[&,/]\s*", re.IGNORECASE)
"""How people join emotions where a mixture has "+"."""
MAX_LENGTH = 20_000
"""Characters of an emotion's text; the longest arc that says anything has a few thousand."""

FORMS = 'a word ("joy"), a strength ("sadness:0.6"), a mixture ("joy:0.7+awe:0.3") or a point ("va:0.8,0.3")'


def parse_emotion(value: str | EmotionState | Mapping) -> EmotionState:
    """Read an emotion.

    Args:
        value: one of

            - a word of the lexicon, in any case, with spaces, hyphens or underscores;
            - `word:strength`: the strength multiplies the word's own intensity (1 for most) and may be negative;
            - terms joined by `+`, such as `joy:0.7+awe:0.3`: the blend is by strength and the intensity is the sum. A
              term without a number counts as 1; if none has one, they share a strength of 1 equally;
            - `va:valence,arousal`, each in [-1, 1] (`EmotionState.from_va`), with `@intensity` to set the intensity;
            - `state:awe=0.6;fear=0.4;valence=0.1;arousal=0.6;intensity=1`: everything by name, as `str(state)` writes
              what no shorter form says;
            - a mapping as of `EmotionState.to_dict`;
            - a state, which is returned as it is.

    Raises:
        UnknownEmotionError: a word is not in the lexicon; the message names the nearest that are.
        ValueError: the text has another form, or a number out of range.
    """
    if isinstance(value, EmotionState):
        return value
    if isinstance(value, Mapping):
        return EmotionState.from_dict(value)
    if not isinstance(value, str):
        raise ValueError(f"an emotion is {FORMS}, an EmotionState or a mapping, not {type(value).__name__}")
    check_length(value, "an emotion")
    text = value.strip()
    if not text:
        raise ValueError(f"the emotion is empty; give {FORMS}, or 'neutral'")
    if text.lower().startswith("va:"):
        return _point(text)
    if text.lower().startswith("state:"):
        return _exact(text)
    if begins_with_time(text):
        raise ValueError(
            f"{value!r} begins with a time, as an arc does; EmotionArc.parse reads those. An emotion is {FORMS}"
        )
    terms = [t.strip() for t in text.split("+")]
    if any(not t for t in terms):
        raise ValueError(f"{value!r} has an empty term beside a '+'; write mixtures as joy:0.7+awe:0.3")
    parsed = [_term(t, value) for t in terms]
    if len(parsed) == 1:
        state, strength = parsed[0]
        return state if strength is None else state.scaled(strength)
    if all(strength is None for _, strength in parsed):
        return EmotionState.mix([(state, 1 / len(parsed)) for state, _ in parsed])
    return EmotionState.mix([(state, 1.0 if strength is None else strength) for state, strength in parsed])


def begins_with_time(text: str) -> bool:
    """Whether a text is meant as an arc: it begins with a time and a colon."""
    return bool(_BEGINS_WITH_TIME.match(text))


def check_length(text: str, what: str) -> None:
    """Refuse a text that no person writes before it is searched.

    Raises:
        ValueError: it has more than `MAX_LENGTH` characters.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"{what} of {len(text)} characters is too long; the limit is {MAX_LENGTH}")


def shortened(text: str, length: int = 60) -> str:
    """A text in quotation marks for a message, its end left out if it is long."""
    text = text.strip()
    return repr(text if len(text) <= length else f"{text[:length]}...")


def plain_number(value: float) -> str:
    """The shortest text of a number that reads back as the same, without a plus sign, which would join two terms."""
    short = f"{value:g}"
    return (short if float(short) == value else repr(value)).replace("e+", "e")


def _term(term: str, whole: str) -> tuple[EmotionState, float | None]:
    word, colon, number = term.partition(":")
    joined = [normal_word(part) for part in _JOINED.split(word)]
    if len(joined) > 1 and normal_word(word) not in LEXICON and all(part in LEXICON for part in joined):
        raise UnknownEmotionError(f"unknown emotion {shortened(word)}: did you mean the mixture {'+'.join(joined)}?")
    state = lookup(word)
    return state, _number(number, whole) if colon else None


def _number(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{shortened(text)} in {shortened(whole)} is not a number; give {FORMS}") from None
    if not math.isfinite(value):
        raise ValueError(f"{shortened(text)} in {shortened(whole)} is not a finite number")
    return value


def _point(text: str) -> EmotionState:
    body, at, strength = text[3:].partition("@")
    numbers = body.split(",")
    if len(numbers) != 2:
        raise ValueError(f"{text!r} needs two numbers, valence and arousal between -1 and 1, such as va:0.8,0.3")
    state = EmotionState.from_va(*(_number(n, text) for n in numbers))
    if not at:
        return state
    factor = _number(strength, text)
    return state if state.is_neutral else replace(state, intensity=factor)


def _exact(text: str) -> EmotionState:
    fields = {}
    for part in text[6:].split(";"):
        name, equals, number = part.partition("=")
        name = name.strip()
        if not equals or name in fields:
            what = "comes twice" if equals else "is no name=number"
            raise ValueError(f"{name!r} in {text!r} {what}; write state:awe=0.6;fear=0.4;intensity=1")
        fields[name] = _number(number, text)
    shares = {name: fields.pop(name) for name in MIKELS if name in fields}
    return EmotionState.from_dict({"distribution": shares, **fields})


def format_emotion(state: EmotionState) -> str:
    """The plainest text of which `parse_emotion` makes an equal state.

    Only words that come with emogen are used, never registered ones: the text must mean the same elsewhere.
    """
    if state.is_neutral:
        return NEUTRAL
    candidates = []
    same = [
        e
        for e in BUILTIN.values()
        if e.state.distribution == state.distribution
        and (e.state.valence, e.state.arousal) == (state.valence, state.arousal)
    ]
    same.sort(key=lambda e: (e.word not in MIKELS, e.intensity != state.intensity))
    candidates += [
        e.word if e.intensity == state.intensity else f"{e.word}:{_exact_text(state.intensity / e.intensity)}"
        for e in same
    ]
    valence, arousal, intensity = (_exact_text(x) for x in (state.valence, state.arousal, state.intensity))
    candidates += [f"va:{valence},{arousal}", f"va:{valence},{arousal}@{intensity}"]
    for text in candidates:
        try:
            if parse_emotion(text) == state:
                return text
        except ValueError:  # a strength beyond what a float holds
            continue
    shares = ";".join(f"{n}={_exact_text(p)}" for n, p in zip(MIKELS, state.distribution, strict=True) if p)
    return f"state:{shares};valence={valence};arousal={arousal};intensity={intensity}"


def _exact_text(value: float) -> str:
    return repr(value).replace("e+", "e")


EmotionState.texts_by(parse_emotion, format_emotion)
