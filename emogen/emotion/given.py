"""Emotions as a caller gives them, to a call of a pipeline or a node of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emogen.emotion.arc import EmotionArc, parse_emotion_or_arc
from emogen.emotion.state import EmotionState

EmotionLike = str | EmotionState | EmotionArc | Mapping
Emotion = EmotionState | EmotionArc

MAX_INTENSITY = 100.0
"""Far beyond what an adapter was trained on (about 0 to 1.5), and far below what overflows."""


def read_emotion(value: EmotionLike | None, name: str = "emotion") -> Emotion:
    """One emotion: a state (also for an arc that does not move), or an arc that does.

    Args:
        value: what `parse_emotion` takes, an arc, an arc's text ("0:neutral 0.3:sadness"), or None for neutral.
        name: of the argument, for errors.

    Raises:
        UnknownEmotionError: a word is no known emotion.
        ValueError: an intensity beyond `MAX_INTENSITY`.
        TypeError: something else altogether.
    """
    if value is None:
        return EmotionState.neutral()
    if isinstance(value, Mapping):
        value = EmotionArc.from_dict(value) if "keyframes" in value else EmotionState.from_dict(value)
    elif isinstance(value, str):
        value = parse_emotion_or_arc(value)
    if not isinstance(value, (EmotionState, EmotionArc)):
        raise TypeError(
            f"{name} is text such as 'awe' or '0:neutral 1:fear', an EmotionState, an EmotionArc, or a list with one "
            f"for each prompt, not {type(value).__name__}"
        )
    states = [value] if isinstance(value, EmotionState) else [keyframe.state for keyframe in value.keyframes]
    for state in states:
        if abs(state.intensity) > MAX_INTENSITY:
            raise ValueError(
                f"{name} has an intensity of {state.intensity:g}; give at most {MAX_INTENSITY:g} (1 is the emotion as "
                "it was learned)"
            )
    return value.at(0.0) if isinstance(value, EmotionArc) and value.is_constant else value


def read_emotions(
    value: EmotionLike | Sequence[EmotionLike | None] | None, prompts: int, name: str = "emotion"
) -> list[Emotion]:
    """One emotion for each of `prompts` prompts; a single one serves all. `name` is the argument's, for errors.

    Raises:
        ValueError: a list of another length, and as of `read_emotion`.
    """
    if isinstance(value, (list, tuple)):
        if len(value) != prompts:
            raise ValueError(
                f"{name} has {len(value)} entries for {prompts} prompt{'s' if prompts != 1 else ''}; give "
                "one for each prompt, or a single one for all"
            )
        return [read_emotion(entry, name) for entry in value]
    return [read_emotion(value, name)] * prompts


def all_neutral(emotions: Sequence[Emotion]) -> bool:
    return all(isinstance(emotion, EmotionState) and emotion.is_neutral for emotion in emotions)
