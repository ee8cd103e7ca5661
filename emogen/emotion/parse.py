"""What people type, as an `EmotionState`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from emogen.emotion.lexicon import BUILTIN, lookup
from emogen.emotion.state import EmotionState
from emogen.emotion.taxonomy import MIKELS, NEUTRAL

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
    text = value.strip()
    if not text:
        raise ValueError(f"the emotion is empty; give {FORMS}, or 'neutral'")
    if text.lower().startswith("va:"):
        return _point(text)
    if text.lower().startswith("state:"):
        return _exact(text)
    if re.match(r"\d*\.?\d+\s*:", text):
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


def _term(term: str, whole: str) -> tuple[EmotionState, float | None]:
    word, colon, number = term.partition(":")
    state = lookup(word)
    return state, _number(number, whole) if colon else None


def _number(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text.strip()!r} in {whole!r} is not a number; give {FORMS}") from None
    if not math.isfinite(value):
        raise ValueError(f"{text.strip()!r} in {whole!r} is not a finite number")
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
        e.word if e.intensity == state.intensity else f"{e.word}:{state.intensity / e.intensity!r}" for e in same
    ]
    candidates.append(f"va:{state.valence!r},{state.arousal!r}")
    candidates.append(f"va:{state.valence!r},{state.arousal!r}@{state.intensity!r}")
    for text in candidates:
        if parse_emotion(text) == state:
            return text
    shares = ";".join(f"{n}={p!r}" for n, p in zip(MIKELS, state.distribution, strict=True) if p)
    return f"state:{shares};valence={state.valence!r};arousal={state.arousal!r};intensity={state.intensity!r}"
