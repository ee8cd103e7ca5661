"""A clip's settings as the page's inputs: what "use these settings" puts back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emogen.emotion import MIKELS, EmotionArc, EmotionState
from emogen.studio.emotion_input import ARC, MIXTURE, PLANE, WORDS, mixture_text, named, parse_emotion
from emogen.studio.result import Result


@dataclass(frozen=True)
class EmotionInputs:
    """What the four emotion inputs stand at.

    Attributes:
        source: the input that counts.
        strength: factor on it.
    """

    source: str = PLANE
    point: str = "amusement"
    amounts: tuple[float, ...] = (0.0,) * len(MIKELS)
    arc: str = ""
    words: str = ""
    strength: float = 1.0


@dataclass(frozen=True)
class Settings:
    """What the page's inputs stand at for one clip; numbers that the clip does not name are None, the model's own."""

    prompt: str
    seed: int
    emotion: EmotionInputs
    image: str | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)


_NUMBERS = ("emotion_scale", "guidance_scale", "emotion_guidance_scale", "guidance_interval", "num_inference_steps",
            "num_frames", "height", "width", "avoid", "negative_prompt", "lora", "cache", "offload", "fp8", "compile",
            "vae_tiling")  # fmt: skip


def settings_of(result: Result) -> Settings:
    """What made a clip. A picture that is not there any more is left out."""
    made = result.metadata
    image = made.get("image")
    return Settings(
        prompt=result.prompt, seed=result.seed, emotion=inputs_of(result.emotion),
        image=str(image) if image and Path(str(image)).is_file() else None,
        numbers={name: made[name] for name in _NUMBERS if name in made},
    )  # fmt: skip


def inputs_of(emotion: EmotionState | EmotionArc) -> EmotionInputs:
    """The inputs that say exactly this emotion, in the form in which a person would have set it."""
    if isinstance(emotion, EmotionArc):
        return EmotionInputs(ARC, arc=str(emotion))
    name = named(emotion)
    if name is not None:
        return EmotionInputs(PLANE, point=name, strength=emotion.intensity)
    text = str(emotion)
    if text.startswith("va:"):
        point = text.removeprefix("va:").partition("@")[0]
        whole = parse_emotion(f"va:{point}")
        return EmotionInputs(PLANE, point=point, strength=emotion.intensity / whole.intensity)
    amounts = tuple(round(share * emotion.intensity, 6) for share in emotion.distribution)
    if all(0 <= amount <= 1 for amount in amounts) and _same(mixture_text(amounts), emotion):
        return EmotionInputs(MIXTURE, amounts=amounts)
    return EmotionInputs(WORDS, words=text)


def _same(text: str, emotion: EmotionState) -> bool:
    return str(parse_emotion(text)) == str(emotion)
