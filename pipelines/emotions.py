"""From what a caller writes for `emotion=` to tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emogen.emotion import EmotionArc, EmotionState, parse_emotion, parse_emotion_or_arc
from emogen.models import EmotionTensors, latent_frame_times

EmotionLike = str | EmotionState | EmotionArc | Mapping


def read_emotion(value: EmotionLike | None) -> EmotionState | EmotionArc:
    """One emotion: a state (also for an arc that does not move), or an arc that does.

    Args:
        value: what `parse_emotion` takes, an arc, an arc's text ("0:neutral 0.3:sadness"), or None for
            neutral.

    Raises:
        UnknownEmotionError: a word is no known emotion.
        TypeError: something else altogether.
    """
    if value is None:
        return EmotionState.neutral()
    if isinstance(value, str):
        value = parse_emotion_or_arc(value)
    if isinstance(value, Mapping) and "keyframes" in value:
        value = EmotionArc.from_dict(value)
    if isinstance(value, EmotionArc):
        return value.at(0.0) if value.is_constant else value
    if isinstance(value, (EmotionState, Mapping)):
        return parse_emotion(value)
    raise TypeError(
        "an emotion is text such as 'awe' or '0:neutral 1:fear', an EmotionState, an EmotionArc, or a list "
        f"with one for each prompt, not {type(value).__name__}"
    )


def read_emotions(
    value: EmotionLike | Sequence[EmotionLike | None] | None, prompts: int, name: str = "emotion"
) -> list[EmotionState | EmotionArc]:
    """One emotion for each of `prompts` prompts; a single one serves all. `name` is the argument's, for
    errors.

    Raises:
        ValueError: a list of another length.
    """
    if isinstance(value, (list, tuple)):
        if len(value) != prompts:
            raise ValueError(
                f"{name} has {len(value)} entries for {prompts} prompt{'s' if prompts != 1 else ''}; give "
                "one for each prompt, or a single one for all"
            )
        return [read_emotion(entry) for entry in value]
    return [read_emotion(value)] * prompts


def all_neutral(emotions: Sequence[EmotionState | EmotionArc]) -> bool:
    return all(isinstance(emotion, EmotionState) and emotion.is_neutral for emotion in emotions)


def emotion_tensors(
    emotions: Sequence[EmotionState | EmotionArc], latent_frames: int, temporal_factor: int, moving: bool
) -> EmotionTensors:
    """A batch for the encoder: with an axis of `latent_frames` if `moving` (and more than one), else constant."""
    if moving and latent_frames > 1:
        arcs = [e if isinstance(e, EmotionArc) else EmotionArc.constant(e) for e in emotions]
        return EmotionTensors.from_arcs(arcs, latent_frame_times(latent_frames, temporal_factor))
    return EmotionTensors.from_states([e.at(0.0) if isinstance(e, EmotionArc) else e for e in emotions])
