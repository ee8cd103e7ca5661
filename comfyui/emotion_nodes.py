"""Nodes that make an emotion: of words, of shares of the eight, of a point of the plane, and one that changes."""

from __future__ import annotations

from typing import Any

from emogen.emotion import MIKELS, EmotionArc, EmotionState, Keyframe
from emogen.emotion.arc import EASINGS
from emogen.emotion.given import Emotion, read_emotion

EMOTION = "EMOGEN_EMOTION"
CATEGORY = "emogen/emotion"
INTENSITY = ("FLOAT", {"default": 1.0, "min": -3.0, "max": 3.0, "step": 0.05, "tooltip": "1 is as it was learned"})


def scaled(emotion: Emotion, intensity: float) -> Emotion:
    """An emotion with its intensity, at every moment, times `intensity`."""
    if isinstance(emotion, EmotionState):
        return emotion.scaled(intensity)
    return EmotionArc(tuple(Keyframe(k.time, k.state.scaled(intensity), k.easing) for k in emotion.keyframes))


class _EmotionNode:
    """What the nodes share: an emotion, and its text, which the node of words reads back."""

    RETURN_TYPES = (EMOTION, "STRING")
    RETURN_NAMES = ("emotion", "text")
    FUNCTION = "make"
    CATEGORY = CATEGORY

    @staticmethod
    def given(emotion: Emotion) -> tuple[Emotion, str]:
        return emotion, str(emotion)


class EmotionWords(_EmotionNode):
    """Words as everywhere in emogen: "awe", "joy:0.7+awe:0.3", "va:0.8,0.3", or an arc, "0:neutral 0.5:fear 1:joy"."""

    DESCRIPTION = 'An emotion in words: "awe", "joy:0.7+awe:0.3", or over time "0:neutral 0.5:fear 1:joy".'

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        text = {"default": "awe", "multiline": True, "tooltip": cls.DESCRIPTION}
        return {"required": {"text": ("STRING", text), "intensity": INTENSITY}}

    @classmethod
    def VALIDATE_INPUTS(cls, text: str | None = None) -> bool | str:
        try:
            if text is not None:  # a text that comes through a link is not known yet
                read_emotion(text)
        except ValueError as error:
            return str(error)
        return True

    def make(self, text: str, intensity: float) -> tuple[Emotion, str]:
        return self.given(scaled(read_emotion(text), intensity))


class EmotionMixture(_EmotionNode):
    """Shares of Mikels' eight, of any sum."""

    DESCRIPTION = "An emotion as shares of the eight; only their proportions matter, the intensity is given apart."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        share = {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.05}
        shares = {name: ("FLOAT", share | {"default": float(name == MIKELS[0])}) for name in MIKELS}
        return {"required": shares | {"intensity": INTENSITY}}

    def make(self, intensity: float, **shares: float) -> tuple[Emotion, str]:
        if not any(shares.values()):
            return self.given(EmotionState.neutral())
        return self.given(EmotionState.from_dict({"distribution": shares}).scaled(intensity))


class EmotionPoint(_EmotionNode):
    """A point of the valence-arousal plane; its distance from the middle is the intensity, times `intensity`."""

    DESCRIPTION = "An emotion by how pleasant (valence) and how stirred (arousal) it is; the middle is neutral."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        axis = {"default": 0.6, "min": -1.0, "max": 1.0, "step": 0.05}
        return {"required": {"valence": ("FLOAT", axis), "arousal": ("FLOAT", axis), "intensity": INTENSITY}}

    def make(self, valence: float, arousal: float, intensity: float) -> tuple[Emotion, str]:
        return self.given(EmotionState.from_va(valence, arousal).scaled(intensity))


class EmotionArcNode(_EmotionNode):
    """From one emotion to another between two moments of the clip; the first may be an arc, which then goes on."""

    DESCRIPTION = "Goes from one emotion to the next between two moments; put several behind one another for more."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        moment = {"min": 0.0, "max": 1.0, "step": 0.01, "tooltip": "0 is the first frame, 1 the last"}
        return {
            "required": {
                "first": (EMOTION,),
                "next": (EMOTION,),
                "leave_at": ("FLOAT", moment | {"default": 0.0}),
                "arrive_at": ("FLOAT", moment | {"default": 1.0}),
                "easing": (list(EASINGS),),
            }
        }

    def make(
        self, first: Emotion, next: Emotion, leave_at: float, arrive_at: float, easing: str
    ) -> tuple[Emotion, str]:
        if isinstance(next, EmotionArc):
            raise ValueError("'next' changes over the clip itself; give one emotion, and put arcs behind one another")
        if not leave_at < arrive_at:
            raise ValueError(f"the arc leaves at {leave_at:g} and arrives at {arrive_at:g}; let it arrive later")
        before = first if isinstance(first, EmotionArc) else EmotionArc.constant(first)
        kept = [frame for frame in before.keyframes if frame.time < leave_at]
        turn = [Keyframe(leave_at, before.at(leave_at), easing), Keyframe(arrive_at, next)]
        return self.given(EmotionArc((*kept, *turn)))
