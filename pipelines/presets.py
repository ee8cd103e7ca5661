"""Ways of sampling with a name: `--preset fast`, for models and LoRAs distilled to a few steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusers import DPMSolverMultistepScheduler

    from emogen.pipelines.composition import LoraOptions


@dataclass(frozen=True)
class Preset:
    """What a preset sets; what a call gives itself goes before.

    Args:
        steps, guidance: of a call.
        shift: of the noise levels s u / (1 + (s - 1) u), u in equal steps from 1.
    """

    steps: int
    guidance: float
    shift: float

    @property
    def call(self) -> dict[str, Any]:
        """As arguments of a pipeline's call."""
        return {"num_inference_steps": self.steps, "guidance_scale": self.guidance}

    def scheduler(self) -> DPMSolverMultistepScheduler:
        """Euler's steps over its noise levels."""
        from diffusers import DPMSolverMultistepScheduler

        return DPMSolverMultistepScheduler(
            algorithm_type="dpmsolver++",  # of order 1 in flow matching: Euler's step
            solver_order=1,
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=self.shift,
            num_train_timesteps=1000,
        )


PRESETS = {"fast": Preset(steps=4, guidance=1.0, shift=5.0)}
"""The published step-distilled LoRAs (LightX2V's, Wan2.2's) are made for 4 steps at levels 1, 0.75, 0.5, 0.25, shifted
by 5, and without guidance; CausVid's and AccVideo's take up to 8 of the same."""


def check_preset(name: str | None) -> None:
    """Raises ValueError: there is no such preset (None is none)."""
    if name is not None and name not in PRESETS:
        raise ValueError(f"no preset {name!r}; there are {', '.join(PRESETS)}")


def apply_preset(pipe: Any, name: str) -> None:
    """Let a pipeline sample by a preset.

    Its scheduler takes Euler's steps: a student of so few steps was taught to jump from each level, and what multistep
    solvers extrapolate from the jump before is wrong there. Without guidance a step is one pass, and the emotion has
    the strength that the adapter gives it; `emotion_guidance_scale` raises it at a second pass.

    Raises:
        ValueError: there is no such preset.
    """
    check_preset(name)
    preset = PRESETS[name]
    pipe.scheduler = preset.scheduler()
    pipe.generation_defaults = replace(pipe.generation_defaults, **preset.call)


def own_lora(name: str | None, model: Any, kind: str) -> str | None:
    """The folder of the LoRA with which a model that the package ships takes a preset's few steps; None for others."""
    from emogen.embedded import embedded_fast

    return embedded_fast() if name == "fast" and str(model) == "embedded" and kind == "text" else None


def loras_for(name: str | None, model: Any, kind: str, loras: LoraOptions | None) -> LoraOptions | None:
    """The LoRAs of a call and the one that the model needs for a preset."""
    from emogen.pipelines.composition import LoraOptions, LoraSpec

    own = own_lora(name, model, kind)
    if own is None:
        return loras
    loras = loras or LoraOptions()
    return replace(loras, specs=(LoraSpec(own), *loras.specs))
