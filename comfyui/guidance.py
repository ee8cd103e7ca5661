"""Guidance of the emotion apart from that of the text; `emogen.pipelines.guidance` says what is computed."""

from __future__ import annotations

import uuid
from typing import Any

import torch

from .adapter import CATEGORY
from .patch import TEXT_ONLY, carries_emotion, within


def guide(model: Any, scale: float, start: float, end: float) -> Any:
    """A clone of a model with an emotion whose emotion is guided at `scale` and not at the sampler's CFG.

    It costs one more pass of the model a step, where the scale is not the CFG.

    Raises:
        ValueError: the model carries no emotion.
    """
    if not carries_emotion(model):
        raise ValueError("Emotion guidance needs a model with an emotion; put Apply emotion before it")

    # A function, because ComfyUI makes deep copies of everything else it is given here.
    def guided(arguments: dict[str, Any]) -> list[torch.Tensor]:
        import comfy.samplers

        base, found, sigma = arguments["model"], arguments["conds_out"], arguments["sigma"]
        text_scale = arguments["cond_scale"]
        if not within(sigma, base.model_sampling, start, end) or scale == text_scale:
            return found
        if text_scale == 0:
            raise ValueError(
                "with a CFG of 0 the emotion's guidance cannot be added; set the sampler's CFG to 1 or more"
            )
        options = dict(arguments["model_options"])
        options["transformer_options"] = {**options.get("transformer_options", {}), TEXT_ONLY: True}
        # Another name for another kind of pass: nodes that keep results of earlier steps tell passes apart by it.
        prompt = [{**entry, "uuid": uuid.uuid5(entry["uuid"], TEXT_ONLY)} for entry in arguments["conds"][0]]
        text = comfy.samplers.calc_cond_batch(base, [prompt], arguments["input"], sigma, options)[0]
        return [torch.lerp(text, found[0], scale / text_scale), *found[1:]]

    patched = model.clone()
    patched.set_model_sampler_pre_cfg_function(guided)
    return patched


class GuideEmotion:
    """How strongly a step is drawn towards the emotion, while the sampler's CFG goes on to guide the text."""

    DESCRIPTION = "Guides the emotion at a scale of its own; one more pass of the model a step."
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "apply"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        share = {"min": 0.0, "max": 1.0, "step": 0.01}
        return {
            "required": {
                "model": ("MODEL",),
                "scale": ("FLOAT", {"default": 8.0, "min": 0.0, "max": 50.0, "step": 0.1}),
                "start_percent": ("FLOAT", share | {"default": 0.0}),
                "end_percent": ("FLOAT", share | {"default": 1.0}),
            }
        }

    def apply(self, model: Any, scale: float, start_percent: float, end_percent: float) -> tuple[Any]:
        if start_percent >= end_percent:
            raise ValueError(f"start_percent is {start_percent:g} and end_percent {end_percent:g}; end after the start")
        return (guide(model, scale, start_percent, end_percent),)
