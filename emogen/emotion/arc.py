"""`EmotionArc`: an emotion that changes over a clip."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from emogen.emotion.lexicon import UnknownEmotionError
from emogen.emotion.parse import TIME, begins_with_time, check_length, parse_emotion, plain_number, shortened
from emogen.emotion.state import EmotionState

EASINGS = ("linear", "hold", "ease")
_KEYFRAME = re.compile(rf"(?:^|(?<=[\s,]))({TIME})\s{{0,20}}:")


def latent_frame_times(latent_frames: int, temporal_factor: int = 4) -> list[float]:
    """The moment in [0, 1] of the clip that each latent frame of a causal video VAE stands for.

    Latent frame 0 is video frame 0; latent frame k covers the `temporal_factor` video frames up to
    `temporal_factor * k` and stands for their middle.
    """
    last = (latent_frames - 1) * temporal_factor
    if last <= 0:
        return [0.0] * latent_frames
    return [max(0.0, k * temporal_factor - (temporal_factor - 1) / 2) / last for k in range(latent_frames)]


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
        object.__setattr__(self, "time", float(self.time))
        if not 0 <= self.time <= 1:
            raise ValueError(f"keyframe time {self.time:g} is outside 0..1 (0 is the first frame, 1 the last)")
        if not isinstance(self.state, EmotionState):
            raise ValueError(
                f"a keyframe holds an EmotionState, not {self.state!r}; EmotionArc.from_keyframes reads text"
            )
        if self.easing not in EASINGS:
            raise ValueError(f"easing {self.easing!r} is not one of {', '.join(EASINGS)}")


@dataclass(frozen=True)
class EmotionArc:
    """Emotion over time, by keyframes in the order of their times; constant before the first and after the last.

    Between two keyframes the *strengths* are blended: shares and plane position weigh by intensity, so that going to
    neutral only lowers the intensity and leaves the emotion's kind alone. With p, (v, a) and i of each end, at the
    fraction t of the way: `i = (1-t) i0 + t i1` and `i p = (1-t) i0 p0 + t i1 p1`, and the same for (v, a).

    Raises:
        ValueError: no keyframe, times that do not rise, or a change from or to a negative intensity (which has no
            blend; such an emotion can only be held).
    """

    keyframes: tuple[Keyframe, ...]

    def __post_init__(self) -> None:
        if not self.keyframes:
            raise ValueError('an arc needs at least one keyframe, such as "0:neutral 1:joy"')
        object.__setattr__(self, "keyframes", tuple(self.keyframes))
        if any(b.time <= a.time for a, b in pairwise(self.keyframes)):
            raise ValueError(f"keyframe times must rise: {', '.join(f'{k.time:g}' for k in self.keyframes)}")
        for a, b in pairwise(self.keyframes):
            if a.easing != "hold" and a.state != b.state and min(a.state.intensity, b.state.intensity) < 0:
                raise ValueError(
                    f"between {a.time:g} and {b.time:g} the arc would blend an emotion of negative "
                    "intensity; hold it (@hold) or give the emotion as the negative emotion instead"
                )

    @classmethod
    def constant(cls, emotion: str | EmotionState) -> EmotionArc:
        """The arc that stays at one emotion."""
        return cls((Keyframe(0.0, parse_emotion(emotion)),))

    @classmethod
    def from_keyframes(cls, keyframes: Iterable[tuple]) -> EmotionArc:
        """From `(time, emotion)` or `(time, emotion, easing)` tuples; emotions as `parse_emotion` takes them.

        Raises:
            ValueError: names the keyframe at fault, counted from 1.
        """
        frames = []
        for number, item in enumerate(keyframes, 1):
            try:
                time, emotion, easing = (*item, "linear")[:3] if len(item) in (2, 3) else ()
                frames.append(Keyframe(float(time), parse_emotion(emotion), easing))
            except UnknownEmotionError as error:
                raise UnknownEmotionError(f"keyframe {number}: {error}") from error
            except (TypeError, ValueError) as error:
                what = (
                    error
                    if isinstance(item, (tuple, list)) and len(item) in (2, 3)
                    else (f"{item!r} is not (time, emotion) or (time, emotion, easing)")
                )
                raise ValueError(f"keyframe {number}: {what}") from error
        return cls(tuple(frames))

    @classmethod
    def parse(cls, text: str | EmotionArc) -> EmotionArc:
        """Read `"0:fear 0.6:fear 1:amusement"`; `@hold` or `@ease` after an emotion changes the way on from it.

        Raises:
            ValueError: no keyframe, times that do not rise, or an unknown easing.
            UnknownEmotionError: an unknown word.
        """
        if isinstance(text, EmotionArc):
            return text
        if not isinstance(text, str):
            raise ValueError(f"an arc is text such as '0:neutral 1:joy', not {type(text).__name__}")
        check_length(text, "an arc")
        marks = list(_KEYFRAME.finditer(text))
        if not marks or text[: marks[0].start()].strip():
            raise ValueError(
                f'{shortened(text)} is not an arc; write times and emotions, such as "0:neutral 0.3:sadness"'
            )
        frames = []
        for mark, after in zip(marks, [*marks[1:], None], strict=True):
            body = text[mark.end() : after.start() if after else len(text)].strip().rstrip(",")
            emotion, at, easing = body.rpartition("@")
            if not at or easing.strip() not in EASINGS:
                emotion, easing = (body, "linear") if not at or _is_number(easing) else (emotion, easing)
            frames.append((mark.group(1), emotion, easing.strip()))
        return cls.from_keyframes(frames)

    @staticmethod
    def looks_like_arc(text: str) -> bool:
        """Whether a string is meant as an arc: it begins with a time and a colon."""
        return begins_with_time(text)

    def at(self, time: float) -> EmotionState:
        """The emotion at `time` in [0, 1]; times outside get the nearest end."""
        frames = self.keyframes
        if math.isnan(time):
            raise ValueError("an arc has no emotion at a time that is not a number")
        if time <= frames[0].time:
            return frames[0].state
        for before, after in pairwise(frames):
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

    def sampled(self, num: int, temporal_factor: int = 4) -> list[EmotionState]:
        """The states of `num` latent frames (`latent_frame_times`); with `temporal_factor` 1, of `num` video frames."""
        if num < 1:
            raise ValueError(f"cannot sample an arc {num} times")
        return [self.at(time) for time in latent_frame_times(num, temporal_factor)]

    @property
    def is_constant(self) -> bool:
        """Whether all keyframes hold the same emotion."""
        return all(k.state == self.keyframes[0].state for k in self.keyframes)

    def to_dict(self) -> dict:
        """Plain data for YAML or JSON; `from_dict` reads it back."""
        return {"keyframes": [{"time": k.time, "emotion": str(k.state), "easing": k.easing} for k in self.keyframes]}

    @classmethod
    def from_dict(cls, data: Mapping) -> EmotionArc:
        """Read `to_dict`'s form; `easing` may be left out.

        Raises:
            ValueError: names the keyframe at fault, counted from 1, and the key.
        """
        form = "'keyframes' is a list of {time, emotion, easing}"
        if set(data) != {"keyframes"} or not isinstance(data["keyframes"], (list, tuple)):
            raise ValueError(
                f"an arc as a mapping has the one key 'keyframes', not {', '.join(map(str, data))}; {form}"
                if set(data) != {"keyframes"}
                else f"{form}, not {data['keyframes']!r}"
            )
        for number, item in enumerate(data["keyframes"], 1):
            keys = set(item) if isinstance(item, Mapping) else set()
            if missing := {"time", "emotion"} - keys:
                raise ValueError(f"keyframe {number} has no {sorted(missing)[0]!r}; {form}")
            if unknown := keys - {"time", "emotion", "easing"}:
                first = sorted(map(str, unknown))[0]
                raise ValueError(f"keyframe {number} has the unknown key {first!r}; {form}")
        return cls.from_keyframes((k["time"], k["emotion"], k.get("easing", "linear")) for k in data["keyframes"])

    def __str__(self) -> str:
        return " ".join(
            f"{plain_number(k.time)}:{k.state}" + ("" if k.easing == "linear" else f"@{k.easing}")
            for k in self.keyframes
        )


def parse_emotion_or_arc(text: str) -> EmotionState | EmotionArc:
    """What people type where both are taken: an arc if it begins with a time, else an emotion.

    Raises:
        UnknownEmotionError: a word is not in the lexicon.
        ValueError: the text has another form.
    """
    if isinstance(text, str) and begins_with_time(text):
        return EmotionArc.parse(text)
    return parse_emotion(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
