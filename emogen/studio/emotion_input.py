"""What is set on the page as an emotion: a point of the plane, eight sliders, keyframes, or words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from emogen.emotion import (
    MIKELS,
    NEUTRAL,
    EmotionArc,
    EmotionState,
    Keyframe,
    UnknownEmotionError,
    parse_emotion,
    parse_emotion_or_arc,
)
from emogen.finite import LONGEST, finite

Emotion = EmotionState | EmotionArc

PLANE, MIXTURE, ARC, WORDS = "plane", "mixture", "arc", "words"
SOURCES = (PLANE, MIXTURE, ARC, WORDS)


def plane_text(point: str | Sequence[float]) -> str:
    """A point as `va:valence,arousal`, to two decimals, moved onto the plane where it lies beside it.

    Args:
        point: valence and arousal, as two numbers or as text "0.62,-0.3" (what the plane on the page sends).

    Raises:
        ValueError: not two finite numbers.
    """
    parts = point.split(",") if isinstance(point, str) else list(point)
    try:
        valence, arousal = (float(x) for x in parts)
    except (TypeError, ValueError):
        raise ValueError(f"the plane's point is {point!r}; it must be valence and arousal, such as 0.6,-0.3") from None
    if not (math.isfinite(valence) and math.isfinite(arousal)):
        raise ValueError(f"the plane's point is {point!r}; both numbers must be finite")
    rounded = (round(max(-1.0, min(1.0, x)), 2) + 0.0 for x in (valence, arousal))  # + 0.0 makes -0.0 plain
    return "va:" + ",".join(f"{x:g}" for x in rounded)


def mixture_text(amounts: Sequence[float]) -> str:
    """Eight sliders, in the order of `MIKELS`, as `amusement:0.6+awe:0.4`; "neutral" with all at 0.

    The amounts are strengths and not shares: they add up to the intensity.

    Raises:
        ValueError: another number of them, or one that is negative or not a number.
    """
    if len(amounts) != len(MIKELS):
        raise ValueError(f"a mixture has {len(MIKELS)} sliders, not {len(amounts)}")
    terms = []
    for name, amount in zip(MIKELS, amounts, strict=True):
        value = 0.0 if amount is None else float(amount)
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"the slider of {name} is {amount!r}; it must be 0 or more")
        if value:
            terms.append(f"{name}:{value:g}")
    return "+".join(terms) or NEUTRAL


def arc_text(rows: Iterable[Sequence[Any]]) -> str:
    """A table of keyframes as an arc's text, such as `0:fear@hold 0.6:fear 1:amusement`; empty rows are left out.

    Rows may stand in any order of time; they are sorted.

    Args:
        rows: (time in 0-1, emotion, easing), where the easing may be empty for "linear".

    Raises:
        ValueError: no row that says anything, or one that is wrong; names the row, counted from 1.
    """
    found = []
    for number, row in enumerate(rows, 1):
        cells = [_cell(cell) for cell in row]
        if not any(cells):
            continue
        time, emotion, easing = (*cells, "", "", "")[:3]
        if not time or not emotion:
            raise ValueError(f"row {number} of the arc has no {'emotion' if time else 'time'}")
        try:
            keyframe = Keyframe(float(time), parse_emotion(emotion), easing or "linear")
        except UnknownEmotionError as error:
            raise UnknownEmotionError(f"row {number} of the arc: {error}") from error
        except ValueError as error:
            what = error if _is_number(time) else f"{time!r} is not a time between 0 and 1"
            raise ValueError(f"row {number} of the arc: {what}") from error
        found.append((keyframe.time, number, f"{keyframe.time:.12g}:{emotion}" + (f"@{easing}" if easing else "")))
    if not found:
        raise ValueError("the arc has no keyframe; give a time and an emotion in the table")
    found.sort()
    for (time, number, _), (after, later, _) in pairwise(found):
        if after <= time:
            raise ValueError(f"rows {number} and {later} of the arc have the same time, {time:g}")
    return " ".join(text for _, _, text in found)


def arc_rows(text: str) -> list[list[Any]]:
    """The table of an arc's text: the inverse of `arc_text`."""
    return [[k.time, str(k.state), k.easing] for k in EmotionArc.parse(text).keyframes]


def read(source: str, *, point: str | Sequence[float] = "0,0", amounts: Sequence[float] = (0.0,) * len(MIKELS),
         rows: Iterable[Sequence[Any]] = (), words: str = "", intensity: float = 1.0) -> Emotion:  # fmt: skip
    """The emotion that one of the page's four inputs says, times `intensity`; the other inputs do not count.

    Args:
        source: "plane", "mixture", "arc" or "words".
        words: what `parse_emotion` takes, or an arc's text; empty is neutral.
        intensity: factor; 0 gives neutral, and less than 0 points away from the emotion.

    Raises:
        UnknownEmotionError: a word is no known emotion.
        ValueError: what the input holds is none; an arc of a negative intensity that moves.
    """
    if source not in SOURCES:
        raise ValueError(f"there is no input {source!r}; there are {', '.join(SOURCES)}")
    text = {
        PLANE: lambda: plane_text(point), MIXTURE: lambda: mixture_text(amounts), ARC: lambda: arc_text(rows),
        WORDS: lambda: (words or "").strip() or NEUTRAL,
    }[source]()  # fmt: skip
    return with_intensity(parse_emotion_or_arc(text), intensity)


def with_intensity(emotion: Emotion, factor: float) -> Emotion:
    """The emotion, or every keyframe of it, with its intensity times `factor`.

    Raises:
        ValueError: the factor is not finite, or negative for an arc that moves.
    """
    factor = finite(factor, "the intensity", 100)
    if factor == 1:
        return emotion
    if isinstance(emotion, EmotionState):
        return emotion.scaled(factor)
    return EmotionArc(tuple(replace(k, state=k.state.scaled(factor)) for k in emotion.keyframes))


def read_avoid(text: str | None) -> EmotionState | None:
    """The emotion to steer away from; None where there is none.

    Raises:
        ValueError: no emotion that `parse_emotion` knows.
    """
    if not text or not text.strip() or text.strip().lower() in ("none", NEUTRAL):
        return None
    try:
        return parse_emotion(text)
    except ValueError as error:
        raise type(error)(f"avoid: {error}") from error


def plain_text(emotion: Emotion) -> str:
    """The shortest text for people: as `str(emotion)`, but a mixture as terms, rounded to hundredths."""
    if isinstance(emotion, EmotionArc):
        ways = ("" if k.easing == "linear" else f"@{k.easing}" for k in emotion.keyframes)
        return " ".join(f"{k.time:.3g}:{plain_text(k.state)}{way}"
                        for k, way in zip(emotion.keyframes, ways, strict=True))  # fmt: skip
    text = str(emotion)
    if not text.startswith("state:"):
        return re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}", text)
    strengths = [share * emotion.intensity for share in emotion.distribution]
    terms = [f"{name}:{x:.2g}" for name, x in zip(MIKELS, strengths, strict=True) if abs(x) >= 0.005]
    return "+".join(terms)


def in_words(emotion: Emotion) -> str:
    """What an emotion is, for reading: "61 % amusement, 39 % awe, intensity 0.80"."""
    if isinstance(emotion, EmotionArc):
        return " → ".join(f"{k.state.dominant} at {k.time:.0%}" for k in emotion.keyframes)
    if emotion.is_neutral:
        return "neutral: the emotion adapter adds nothing"
    shares = sorted(zip(emotion.distribution, MIKELS, strict=True), reverse=True)
    named = [f"{share:.0%} {name}" for share, name in shares if share >= 0.05][:3]
    return f"{', '.join(named)}, intensity {emotion.intensity:.2f}"


def number_or_none(text: str | float | None, name: str, whole: bool = False) -> float | int | None:
    """A number from a field that may stay empty.

    Args:
        name: of the field, for the error.
        whole: whether it must be a whole number.

    Raises:
        ValueError: something else, or less than 0.
    """
    cell = _cell(text)
    if not cell:
        return None
    if len(cell) > LONGEST:
        raise ValueError(f"{name} has {len(cell)} characters; it must be a number")
    try:
        value = int(cell) if whole else float(cell)
        if not (math.isfinite(value) and value >= 0):
            raise ValueError
    except ValueError:
        raise ValueError(f"{name} is {cell!r}; it must be a {'whole ' * whole}number from 0, or empty") from None
    return value


def _cell(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return str(cell).strip()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
