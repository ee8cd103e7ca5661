"""What to make: a clip, and how the model is opened for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emogen.emotion import EmotionArc, EmotionState
from emogen.finite import finite

MOST = 10_000
"""Steps or frames; more is a slip of the hand."""
MOST_SEEDS = 32
"""Of which the best is chosen."""
_LARGEST_SIDE = 16_384


@dataclass(frozen=True)
class Opening:
    """What a pipeline is opened with beside model and adapter; another opening loads it anew.

    Attributes:
        loras: each "FILE_OR_ID" or "FILE_OR_ID:WEIGHT".
        cache, offload, fp8, compile, vae_tiling: of `SpeedOptions`, under the names of `sample.py`.
    """

    loras: tuple[str, ...] = ()
    cache: str = "none"
    offload: str = "none"
    fp8: bool = False
    compile: bool = False
    vae_tiling: bool = False

    def options(self) -> tuple[Any, Any]:
        """The `LoraOptions` and `SpeedOptions`, checked before a model is loaded.

        Raises:
            ValueError: an option that is unknown, refused or ruled out by another; a LoRA that is not there.
        """
        from emogen.pipelines.composition import LoraError, LoraOptions, LoraSpec, on_hub
        from emogen.pipelines.speed_options import SpeedOptions

        specs = tuple(LoraSpec.parse(text) for text in self.loras)
        for spec in specs:
            if not Path(spec.source).exists() and not on_hub(spec.source):
                raise LoraError(f"LoRA {spec.source}: no such file or folder")
        speed = SpeedOptions(cache=self.cache, offload=self.offload, layerwise_casting=self.fp8, compile=self.compile,
                             vae_tiling=self.vae_tiling)  # fmt: skip
        return LoraOptions(specs), speed

    def described(self) -> dict[str, Any]:
        """Under the names of `sample.py`'s options, what is not as usual."""
        values = {"lora": list(self.loras), "cache": self.cache, "offload": self.offload, "fp8": self.fp8,
                  "compile": self.compile, "vae_tiling": self.vae_tiling}  # fmt: skip
        return {name: value for name, value in values.items() if value not in ("none", False, [])}


@dataclass(frozen=True)
class Job:
    """One clip.

    Attributes:
        prompt: what the clip shows.
        emotion: with its intensity.
        image: file of the picture that the clip begins with; None makes text to video.
        avoid: an emotion to steer away from.
        negative_prompt: what the clip should not show.
        emotion_guidance_scale: None is `guidance_scale`.
        guidance_interval: shares of the steps between which `emotion_guidance_scale` holds.
        seed: None draws one.
        steps, guidance_scale, num_frames, height, width: None is the model's own.
    """

    prompt: str
    emotion: EmotionState | EmotionArc
    image: str | Path | None = None
    avoid: EmotionState | None = None
    emotion_scale: float = 1.0
    guidance_scale: float | None = None
    emotion_guidance_scale: float | None = None
    steps: int | None = None
    num_frames: int | None = None
    seed: int | None = None
    negative_prompt: str | None = None
    guidance_interval: tuple[float, float] | None = None
    height: int | None = None
    width: int | None = None
    opening: Opening = field(default_factory=Opening)

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ValueError: naming the field.
        """
        if not self.prompt or not self.prompt.strip():
            raise ValueError("the prompt is empty; say what the clip shows")
        for name in ("prompt", "negative_prompt"):
            try:
                (getattr(self, name) or "").encode("utf-8")
            except UnicodeEncodeError as error:
                said = name.replace("_", " ")
                raise ValueError(f"the {said}'s character {error.start + 1} is half of one; write it again") from None
        most = {"steps": MOST, "num_frames": MOST, "height": _LARGEST_SIDE, "width": _LARGEST_SIDE}
        for name, high in most.items():
            value = getattr(self, name)
            if value is not None and (finite(value, name, high) != int(value) or value < 1):
                raise ValueError(f"{name} is {value}; it must be a whole number from 1")
        for name in ("emotion_scale", "guidance_scale", "emotion_guidance_scale"):
            if getattr(self, name) is not None:
                finite(getattr(self, name), name)
        if self.num_frames is not None and self.num_frames % 4 != 1:
            low = max(1, int(self.num_frames) - (int(self.num_frames) - 1) % 4)
            raise ValueError(f"num_frames is {self.num_frames}; Wan makes 4k+1 frames: {low} or {low + 4}")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}; it must be between 0 and 2^63")
        if self.guidance_interval is not None:
            self._check_interval(*self.guidance_interval)
        if self.image is not None and not Path(self.image).is_file():
            raise ValueError(f"image: no file {self.image}")

    def _check_interval(self, start: float, end: float) -> None:
        if not 0 <= start < end <= 1:
            raise ValueError(
                f"guidance interval is {start:g} to {end:g}; give two shares of the steps, such as 0 to 0.6"
            )
        if self.emotion_guidance_scale is None:
            raise ValueError("guidance interval says when the emotion guidance scale holds; give that too")
