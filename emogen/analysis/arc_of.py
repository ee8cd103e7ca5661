"""A curve as an arc: the few keyframes that say what the judge read, as text that `--emotion` takes.

An arc blends strengths (intensity times shares) by straight lines, so a curve's strengths are followed by straight
lines too: the keyframe is added where the line is furthest off, until it is near enough or there are enough of them
(Ramer's and Douglas and Peucker's way of thinning a line, over eight numbers at once).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emogen.analysis.sliding import Curve
from emogen.emotion import MIKELS, EmotionArc, EmotionState

NEAR = 0.05
"""An arc that is nowhere further off than this needs no more keyframes."""
_DIGITS = 2
_LEAST = 0.015  # a strength that is not worth a word


@dataclass(frozen=True)
class CurveArc:
    """An arc and how far it is from the curve it was made of.

    Attributes:
        text: as `--emotion` takes it.
        keyframes: how many.
        off: the largest difference of a strength, at any reading, between what the text says and the curve.
    """

    text: str
    keyframes: int
    off: float


def arc_of(curve: Curve, most: int = 8, near: float = NEAR) -> CurveArc:
    """The arc of a curve.

    Args:
        most: keyframes.
        near: see `NEAR`.

    Raises:
        ValueError: fewer than one keyframe.
    """
    if most < 1:
        raise ValueError(f"an arc has at least one keyframe, not {most}")
    time = np.clip(curve.time / curve.seconds, 0, 1) if curve.seconds > 0 else np.zeros(len(curve))
    strengths = _written(curve.strengths)
    kept = _places(time, strengths, most, near)
    if len(kept) == 1:
        text = f"0:{_state(strengths[kept[0]])}"
    else:
        text = " ".join(f"{time[place]:.4f}".rstrip("0").rstrip(".") + f":{_state(strengths[place])}" for place in kept)
    arc = EmotionArc.parse(text)
    return CurveArc(text, len(arc.keyframes), float(np.abs(strengths_at(arc, time) - curve.strengths).max()))


def strengths_at(arc: EmotionArc, time: np.ndarray) -> np.ndarray:
    """Strengths of the eight, `[times, 8]`, at times in [0, 1]."""
    states = [arc.at(float(moment)) for moment in time]
    return np.array([np.array(state.distribution) * state.intensity for state in states]).reshape(len(time), 8)


def _written(strengths: np.ndarray) -> np.ndarray:
    """As they will stand in the text."""
    return np.where(strengths < _LEAST, 0, np.round(strengths, _DIGITS))


def _state(strengths: np.ndarray) -> str:
    there = [(name, value) for name, value in zip(MIKELS, strengths, strict=True) if value > 0]
    if not there:
        return "neutral"
    text = "+".join(f"{name}:{value:.{_DIGITS}f}".rstrip("0").rstrip(".") for name, value in sorted(
        there, key=lambda pair: -pair[1]))  # fmt: skip
    return text if len(there) > 1 else str(EmotionState.of(there[0][0], float(there[0][1])))


def _places(time: np.ndarray, strengths: np.ndarray, most: int, near: float) -> list[int]:
    """Which readings become keyframes, in the order of time."""
    if most == 1 or len(time) == 1:
        # the reading that is nearest to all others
        distance = np.abs(strengths[:, None] - strengths[None]).sum((1, 2))
        return [int(distance.argmin())]
    kept = [0, len(time) - 1]
    while len(kept) < most:
        line = np.stack([np.interp(time, time[kept], strengths[kept, k]) for k in range(strengths.shape[1])], 1)
        off = np.abs(line - strengths).max(1)
        if off.max() <= near:
            break
        kept = sorted({*kept, int(off.argmax())})
    # a curve that never leaves a line's ends needs one keyframe
    return kept if np.abs(strengths[kept] - strengths[kept[0]]).max() > 0 else kept[:1]
