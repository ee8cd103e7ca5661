"""Emotion in the prompt: the paper's sentence."""

from __future__ import annotations

from emogen.emotion.state import EmotionState
from emogen.emotion.taxonomy import NEUTRAL


def emotion_prompt(state: EmotionState) -> str:
    """The sentence EmoVid (AAAI 2026) appends to a caption, with the dominant category.

    "" for neutral, and for a negative intensity: naming an emotion asks for it.
    """
    if state.dominant == NEUTRAL or state.intensity < 0:
        return ""
    return f'The video is in the "{state.dominant}" emotion.'
