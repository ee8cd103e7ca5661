"""The emotion in a Wan model of ComfyUI, by its public patching interface alone.

A clone of the model carries an object patch on the `forward` of every cross-attention, which adds the adapter's
attention, and a wrapper around every call of the model, which embeds the emotion's tokens for that call. The adapter's
own weights are an additional model of the clone, so ComfyUI loads, shares out and moves them with the others; the
modules of the base model stay as they are, for LoRAs, low memory and other nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from emogen.emotion import EmotionArc, EmotionState
from emogen.emotion.given import Emotion, all_neutral
from emogen.models.emotion_attention import EmotionAttention, embed_tail
from emogen.models.encoder import EmotionEncoder, EmotionTensors, emotion_tensors

from .adapter import ADAPTER, CATEGORY, LOW_NOISE, LoadedAdapter, module_name
from .emotion_nodes import EMOTION

KEY = "emogen"
TEXT_ONLY = "emogen_text_only"
"""In `transformer_options` of the pass of emotion guidance whose prompt has the negative emotion."""
CLIP_FRAMES = "emogen_latent_frames"
_FRAME_AFTER_FRAME = ("WanModel", "VaceWanModel", "CameraWanModel")
"""ComfyUI's networks whose positions are the clip's latent frames and nothing else, but for reference frames."""


@dataclass(frozen=True)
class Wish:
    """What one node asks of a model."""

    emotion: Emotion
    negative: Emotion
    strength: float
    start: float
    end: float


@dataclass
class Asked:
    """What a call of the model asks of its cross-attentions.

    Args:
        delta: [B, frames*N, inner_dim], embedded tokens less the reference.
        frames: 1, or frames of the sequence. answered: cross-attentions that have added it.
    """

    delta: torch.Tensor
    frames: int
    strength: float
    answered: set[str] = field(default_factory=set)


class EmotionForward:
    """Stands for the `forward` of a cross-attention. Not a module, so that it does not enter the model's tree."""

    def __init__(self, stock: Any, key: str, layer: str, attention: EmotionAttention):
        self.stock, self.key, self.layer, self.attention = stock, key, layer, attention

    def __call__(self, x: torch.Tensor, context: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        output = self.stock(x, context, *args, **kwargs)
        asked = kwargs.get("transformer_options", {}).get(self.key)
        if asked is None:
            return output
        asked.answered.add(self.layer)
        return output + (asked.strength * self.attention.branch(x, asked.delta, asked.frames)).to(output.dtype)


class EmotionCall:
    """Wrapper of `apply_model`: tells the cross-attentions what this call's rows ask, and when to add nothing."""

    def __init__(self, key: str, wish: Wish, encoder: EmotionEncoder, layers: set[str]):
        self.key, self.wish, self.encoder, self.layers = key, wish, encoder, layers

    def __call__(
        self, executor: Any, x: Any, t: Any, concat: Any = None, context: Any = None, control: Any = None,
        transformer_options: dict[str, Any] | None = None, **kwargs: Any,
    ) -> torch.Tensor:  # fmt: skip
        options = transformer_options or {}
        base = executor.class_obj
        emotions = self._of_rows(options, x.shape[0])
        silent = self.wish.strength == 0 or all_neutral(emotions)
        if silent or not within(options.get("sigmas", t), base.model_sampling, self.wish.start, self.wish.end):
            return executor(x, t, concat, context, control, options, **kwargs)
        asked = self._asked(base, emotions, x, options, kwargs)
        output = executor(x, t, concat, context, control, {**options, self.key: asked}, **kwargs)
        if missing := sorted(self.layers - asked.answered):
            raise RuntimeError(
                f"{len(missing)} cross-attentions, {missing[0]} first, were not asked for the emotion: this ComfyUI is "
                "older than 0.3.60 and does not tell them what a call asks, or a node that comes later replaced them; "
                "update ComfyUI, or put Apply emotion after that node"
            )
        return output

    def _of_rows(self, options: dict[str, Any], rows: int) -> list[Emotion]:
        """An emotion a row: ComfyUI says which chunk of the batch is of the prompt (0) and of the negative one (1)."""
        chunks = options.get("cond_or_uncond", [0])
        prompt = self.wish.negative if options.get(TEXT_ONLY) else self.wish.emotion
        return [prompt if chunk == 0 else self.wish.negative for chunk in chunks for _ in range(rows // len(chunks))]

    def _asked(self, base: Any, emotions: list[Emotion], x: torch.Tensor, options: Any, conditions: Any) -> Asked:
        network = base.diffusion_model
        moving = any(isinstance(emotion, EmotionArc) for emotion in emotions)
        window = options.get("context_window")  # of a clip that is longer than what the model is given at once
        clip = options.get(CLIP_FRAMES, x.shape[2]) if window is not None else x.shape[2]
        wanted = emotion_tensors(emotions, clip, getattr(base.latent_format, "temporal_downscale_ratio", 4), moving)
        frames = 1
        if wanted.intensity.ndim == 2:
            moments = list(range(clip)) if window is None else list(window.index_list)
            moments = _with_references(network, moments, conditions)
            wanted, frames = EmotionTensors(*(value[:, moments] for value in wanted)), len(moments)
        dtype = base.get_dtype() if base.manual_cast_dtype is None else base.manual_cast_dtype
        tail = self.encoder.tail(*wanted).to(x.device, dtype)
        embedded = embed_tail(network.text_embedding, tail)
        return Asked(embedded[:, :-1] - embedded[:, -1:], frames, self.wish.strength)


def _with_references(network: Any, moments: list[int], conditions: dict[str, Any]) -> list[int]:
    """The clip's moments for every frame of the sequence, where reference frames stand before or after the clip's."""
    kind = type(network).__name__
    if kind not in _FRAME_AFTER_FRAME:
        raise NotImplementedError(
            f"an emotion that changes over the clip cannot run on ComfyUI's {kind}, whose sequence is not the clip's "
            "frames alone; give one emotion for the whole clip"
        )
    if getattr(network, "ref_conv", None) is not None and conditions.get("reference_latent") is not None:
        moments = [moments[0], *moments]
    if (appended := conditions.get("time_dim_concat")) is not None:
        moments = [*moments, *[moments[-1]] * appended.shape[2]]
    return moments


def within(sigma: torch.Tensor, sampling: Any, start: float, end: float) -> bool:
    """Whether a noise level lies in a part of the sampling, by shares as ComfyUI's other nodes count them."""
    if start <= 0 and end >= 1:
        return True
    return float(sampling.percent_to_sigma(end)) < float(sigma.max()) <= float(sampling.percent_to_sigma(start))


def outer_sample(executor: Any, noise: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    """Wrapper of a whole sampling: refuses guiders of other prompts, and notes how long the clip is."""
    guider = executor.class_obj
    if unknown := sorted(set(guider.conds) - {"positive", "negative"}):
        raise ValueError(
            f"{type(guider).__name__} samples with the prompts {', '.join(sorted(guider.conds))}, and for "
            f"{unknown[0]!r} it is not known which emotion it has; use CFGGuider, BasicGuider or KSampler"
        )
    guider.model_options.setdefault("transformer_options", {})[CLIP_FRAMES] = noise.shape[2]
    return executor(noise, *args, **kwargs)


def carries_emotion(model: Any) -> bool:
    """Whether `apply_emotion` made this model."""
    return model.get_attachment(KEY) is not None


def apply_emotion(model: Any, adapter: LoadedAdapter, wish: Wish, part: str = "transformer") -> Any:
    """A clone of a `ModelPatcher` that carries an emotion; several may be applied one after another.

    Raises:
        ValueError: not a Wan model, or of other sizes than the adapter's (`AdapterMismatchError`).
    """
    from comfy.patcher_extension import WrappersMP

    network = model.get_model_object("diffusion_model")
    if not hasattr(network, "text_embedding") or not hasattr(network.blocks[0], "cross_attn"):
        raise ValueError(f"an emotion adapter fits Wan models, not {type(network).__name__}")
    homes = {f"blocks.{i}": None for i in range(len(network.blocks))}
    homes |= {f"vace_blocks.{i}": None for i in range(len(getattr(network, "vace_blocks", ())))}
    layers = {f"{home}.attn2": f"diffusion_model.{home}.cross_attn.forward" for home in homes}
    sizes = {"inner_dim": network.dim, "num_layers": len(layers), "text_dim": network.text_dim}
    dtype = model.model.manual_cast_dtype or model.model_dtype()
    attentions = adapter.for_model(part, sizes, layers, dtype if dtype.itemsize > 1 else torch.bfloat16)
    patched = model.clone()
    # Numbered, not random: ComfyUI compares the names of two clones to see whether their weights are the same.
    applied = model.get_attachment(KEY) or 0
    patched.set_attachments(KEY, applied + 1)
    key = f"{KEY}_{applied}"
    for layer, name in layers.items():
        attention = attentions.model[module_name(layer)]
        patched.add_object_patch(name, EmotionForward(model.get_model_object(name), key, layer, attention))
    patched.set_additional_models(key, [attentions])
    call = EmotionCall(key, wish, adapter.encoder, set(layers))
    patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, key, call)
    if not applied:
        patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, outer_sample)
    return patched


class ApplyEmotion:
    """Gives a Wan model an emotion for all that is sampled with it."""

    DESCRIPTION = "Gives a Wan model an emotion. Several may follow one another, each for its part of the steps."
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "apply"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        strength = {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.05, "tooltip": "1 is as it was trained"}
        share = {"min": 0.0, "max": 1.0, "step": 0.01, "tooltip": "share of the sampling, 0 is the noise"}
        return {
            "required": {
                "model": ("MODEL",),
                "adapter": (ADAPTER,),
                "emotion": (EMOTION,),
                "strength": ("FLOAT", strength),
                "start_percent": ("FLOAT", share | {"default": 0.0}),
                "end_percent": ("FLOAT", share | {"default": 1.0}),
            },
            "optional": {
                "negative_emotion": (EMOTION, {"tooltip": "of the negative prompt; neutral unless given"}),
                "low_noise_model": LOW_NOISE,
            },
        }

    def apply(
        self, model: Any, adapter: LoadedAdapter, emotion: Emotion, strength: float, start_percent: float,
        end_percent: float, negative_emotion: Emotion | None = None, low_noise_model: bool = False,
    ) -> tuple[Any]:  # fmt: skip
        if start_percent >= end_percent:
            raise ValueError(f"start_percent is {start_percent:g} and end_percent {end_percent:g}; end after the start")
        wish = Wish(emotion, negative_emotion or EmotionState.neutral(), strength, start_percent, end_percent)
        return (apply_emotion(model, adapter, wish, "transformer_2" if low_noise_model else "transformer"),)
