"""What is set on the page as an emotion: a point of the plane, eight sliders, keyframes, or words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emogen.emotion import (
    MIKELS,
    NEUTRAL,
    EmotionArc,
    EmotionState,
    Keyframe,
    parse_emotion,
    parse_emotion_or_arc,
)
from emogen.finite import LONGEST, finite

Emotion = EmotionState | EmotionArc

PLANE, MIXTURE, ARC, WORDS = "plane", "mixture", "arc", "words"
SOURCES = (PLANE, MIXTURE, ARC, WORDS)


def plane_text(point: str | Sequence[float]) -> str:
    """A point as `va:valence,arousal`, to two decimals, moved onto the plane where it lies beside it. A named dot is
    that emotion and nothing else, and not the mixture that its place would come to.

    Args:
        point: an emotion's name, or valence and arousal, as two numbers or as text "0.62,-0.3" (what the plane on the
            page sends).

    Raises:
        ValueError: neither a name nor two finite numbers.
    """
    if point in (*MIKELS, NEUTRAL):
        return str(point)
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


def arc_points(text: str) -> list[dict[str, Any]]:
    """An arc's keyframes as points to drag: time, emotion, strength, easing. The strength of a point can be changed
    where its emotion is a single one; of others it is given for looking, and `text` is what they are.

    Raises:
        ValueError: the text is no arc.
    """
    return [
        {"time": k.time, "emotion": named(k.state) or plain_text(k.state), "strength": k.state.intensity,
         "easing": k.easing, "text": None if named(k.state) else str(k.state)}
        for k in EmotionArc.parse(text).keyframes
    ]  # fmt: skip


def points_text(points: Iterable[Mapping[str, Any]]) -> str:
    """The arc of points in any order: the inverse of `arc_points`.

    Raises:
        ValueError: no point, or one that is wrong; names the point, counted from 1.
    """
    found: dict[float, str] = {}
    for number, point in enumerate(points, 1):
        try:
            time, strength = round(float(point["time"]), 3), round(float(point["strength"]), 2)
            easing = str(point.get("easing") or "linear")
            state = (
                parse_emotion(str(point["text"])) if point.get("text") else EmotionState.of(point["emotion"], strength)
            )
            keyframe = Keyframe(time, state, easing)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"point {number} of the arc: {error}") from error
        found[time] = f"{keyframe.time:.12g}:{state}" + ("" if easing == "linear" else f"@{easing}")
    if not found:
        raise ValueError("the arc has no point; click into the picture to put one there")
    return " ".join(found[time] for time in sorted(found))


def named(emotion: EmotionState) -> str | None:
    """The one of the eight that a state is, at whatever strength, or neutral; None for mixtures and points."""
    if emotion.is_neutral:
        return NEUTRAL
    name = emotion.dominant
    return name if emotion == EmotionState.of(name, emotion.intensity) else None


def read(source: str, *, point: str | Sequence[float] = "0,0", amounts: Sequence[float] = (0.0,) * len(MIKELS),
         arc: str = "", words: str = "", strength: float = 1.0) -> Emotion:  # fmt: skip
    """The emotion that one of the page's four inputs says, times `strength`; the other inputs do not count.

    Args:
        source: "plane", "mixture", "arc" or "words".
        arc: an arc's text.
        words: what `parse_emotion` takes, or an arc's text; empty is neutral.
        strength: factor on the intensity; 0 gives neutral, and less than 0 points away from the emotion.

    Raises:
        UnknownEmotionError: a word is no known emotion.
        ValueError: what the input holds is none; an arc of a negative strength that moves.
    """
    if source not in SOURCES:
        raise ValueError(f"there is no input {source!r}; there are {', '.join(SOURCES)}")
    text = {
        PLANE: lambda: plane_text(point), MIXTURE: lambda: mixture_text(amounts), ARC: lambda: (arc or "").strip(),
        WORDS: lambda: (words or "").strip() or NEUTRAL,
    }[source]()  # fmt: skip
    if not text:
        raise ValueError("the arc is empty; click into the picture, or write one such as 0:fear 1:amusement")
    return with_strength(parse_emotion_or_arc(text), strength)


def with_strength(emotion: Emotion, factor: float) -> Emotion:
    """The emotion, or every keyframe of it, with its intensity times `factor`.

    Raises:
        ValueError: the factor is not finite, or negative for an arc that moves.
    """
    factor = finite(factor, "the strength", 100)
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
