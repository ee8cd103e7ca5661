"""`EmotionArc`: an emotion that changes over a clip."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .parse import parse_emotion
from .state import EmotionState

EASINGS = ("linear", "hold", "ease")
_KEYFRAME = re.compile(r"(?:^|\s)(\d*\.?\d+)\s*:")


@dataclass(frozen=True)
class Keyframe:
    """An emotion at a time, and how the arc goes on from there.

    Attributes:
        time: 0 (first frame) to 1 (last frame).
        state: the emotion then.
        easing: "linear", "hold" (stay until the next keyframe) or "ease" (smoothstep: slow, fast, slow).
    """

    time: float
    state: EmotionState
    easing: str = "linear"

    def __post_init__(self) -> None:
        if not 0 <= self.time <= 1:
            raise ValueError(f"keyframe time {self.time:g} is outside 0..1 (0 is the first frame, 1 the last)")
        if self.easing not in EASINGS:
            raise ValueError(f"easing {self.easing!r} is not one of {', '.join(EASINGS)}")


@dataclass(frozen=True)
class EmotionArc:
    """Emotion over time, by keyframes in the order of their times; constant before the first and after the last.

    Between two keyframes the *strengths* are blended: shares and plane position weigh by intensity, so that going to
    neutral only lowers the intensity and leaves the emotion's kind alone.
    """

    keyframes: tuple[Keyframe, ...]

    def __post_init__(self) -> None:
        if not self.keyframes:
            raise ValueError('an arc needs at least one keyframe, such as "0:neutral 1:joy"')
        times = [k.time for k in self.keyframes]
        if any(b <= a for a, b in zip(times, times[1:], strict=False)):
            raise ValueError(f"keyframe times must rise: {', '.join(f'{t:g}' for t in times)}")

    @classmethod
    def constant(cls, emotion: str | EmotionState) -> EmotionArc:
        """The arc that stays at one emotion."""
        return cls((Keyframe(0.0, parse_emotion(emotion)),))

    @classmethod
    def from_keyframes(cls, keyframes: Iterable[tuple]) -> EmotionArc:
        """From `(time, emotion)` or `(time, emotion, easing)` tuples; emotions as `parse_emotion` takes them."""
        return cls(tuple(Keyframe(float(k[0]), parse_emotion(k[1]), *k[2:]) for k in keyframes))

    @classmethod
    def parse(cls, text: str | EmotionArc) -> EmotionArc:
        """Read `"0:fear 0.6:fear 1:amusement"`; `@hold` or `@ease` after an emotion changes the way on from it.

        Raises:
            ValueError: no keyframe, times that do not rise, or an unknown easing.
            UnknownEmotionError: an unknown word.
        """
        if isinstance(text, EmotionArc):
            return text
        marks = list(_KEYFRAME.finditer(text))
        if not marks or text[: marks[0].start()].strip():
            raise ValueError(f'{text!r} is not an arc; write times and emotions, such as "0:neutral 0.3:sadness"')
        frames = []
        for mark, after in zip(marks, [*marks[1:], None], strict=True):
            body = text[mark.end() : after.start() if after else len(text)].strip().rstrip(",")
            emotion, at, easing = body.rpartition("@")
            if not at or easing.strip() not in EASINGS:
                emotion, easing = (body, "linear") if not at or _is_number(easing) else (emotion, easing)
            frames.append(Keyframe(float(mark.group(1)), parse_emotion(emotion), easing.strip()))
        return cls(tuple(frames))

    @staticmethod
    def looks_like_arc(text: str) -> bool:
        """Whether a string is meant as an arc: it begins with a time and a colon."""
        return bool(re.match(r"\s*\d*\.?\d+\s*:", text))

    def at(self, time: float) -> EmotionState:
        """The emotion at `time` in [0, 1]; times outside get the nearest end."""
        frames = self.keyframes
        if time <= frames[0].time:
            return frames[0].state
        for before, after in zip(frames, frames[1:], strict=False):
            if time < after.time:
                t = (time - before.time) / (after.time - before.time)
                if before.easing == "hold":
                    return before.state
                if before.easing == "ease":
                    t = t * t * (3 - 2 * t)
                if t == 0 or before.state == after.state:
                    return before.state
                return EmotionState.mix([(before.state, 1 - t), (after.state, t)])
        return frames[-1].state

    def sampled(self, num: int) -> list[EmotionState]:
        """`num` states at evenly spaced times from 0 to 1 (the middle for one)."""
        if num < 1:
            raise ValueError(f"cannot sample an arc {num} times")
        return [self.at(0.5 if num == 1 else i / (num - 1)) for i in range(num)]

    @property
    def is_constant(self) -> bool:
        """Whether all keyframes hold the same emotion."""
        return all(k.state == self.keyframes[0].state for k in self.keyframes)

    def to_dict(self) -> dict:
        """Plain data for YAML or JSON; `from_dict` reads it back."""
        return {"keyframes": [{"time": k.time, "emotion": str(k.state), "easing": k.easing} for k in self.keyframes]}

    @classmethod
    def from_dict(cls, data: Mapping) -> EmotionArc:
        """Read `to_dict`'s form; `easing` may be left out."""
        if "keyframes" not in data:
            raise ValueError("an arc as a mapping needs 'keyframes': a list of {time, emotion, easing}")
        return cls.from_keyframes((k["time"], k["emotion"], k.get("easing", "linear")) for k in data["keyframes"])

    def __str__(self) -> str:
        return " ".join(f"{k.time:g}:{k.state}" + ("" if k.easing == "linear" else f"@{k.easing}")
                        for k in self.keyframes)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
