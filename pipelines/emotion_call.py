"""`emotion=` in the call of a Wan pipeline: from what a caller writes to tokens after the text, for one call."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from emogen.emotion import EmotionArc, emotion_prompt
from emogen.emotion.given import Emotion, EmotionLike, all_neutral, read_emotions
from emogen.finite import finite
from emogen.models import EmotionAdapter, EmotionTensors, get_emotion_adapter, latent_frame_count
from emogen.models.compat import EXECUTION_DEVICE, reset_step_cache
from emogen.models.encoder import emotion_tensors
from emogen.models.text_limit import fit_prompts
from emogen.pipelines.defaults import GenerationDefaults
from emogen.pipelines.guidance import EmotionGuidance, EmotionGuidanceLike, read_emotion_guidance

_SCALES = ("guidance_scale", "guidance_scale_2")
_TEXTS = ("prompt_embeds", "negative_prompt_embeds")


class NotFiniteError(RuntimeError):
    """A clip that was sampled holds nan or infinity; the message names the first step that made it."""


@dataclass(frozen=True)
class EmotionArguments:
    """What a call says of its emotion, as `EmotionWanPipeline.__call__` takes it."""

    emotion: EmotionLike | Sequence[EmotionLike | None] | None = None
    negative: EmotionLike | Sequence[EmotionLike | None] | None = None
    scale: float = 1.0
    guidance_scale: EmotionGuidanceLike | None = None
    interval: Sequence[float] | None = None


@dataclass
class EmotionRequest:
    """What `encode_prompt` has to append during one call; without `cond`, nothing."""

    cond: EmotionTensors | None = None
    uncond: EmotionTensors | None = None
    guidance: EmotionGuidance | None = None
    text_length: int = 0
    tails: dict[str, torch.Tensor] = field(default_factory=dict)
    """What was appended to each of the call's embeddings."""


def join(embeds: torch.Tensor, tail: torch.Tensor) -> torch.Tensor:
    """[M, L, D] and [K, T, D] -> [max(M, K), L + T, D]: several videos of a prompt share its emotion, and one embedding
    may serve several prompts.

    Raises:
        ValueError: neither number divides the other.
    """
    rows = max(embeds.shape[0], tail.shape[0])
    if rows % embeds.shape[0] or rows % tail.shape[0]:
        raise ValueError(f"{embeds.shape[0]} embeddings do not go with {tail.shape[0]} emotions; give one for each")
    embeds, tail = (value.repeat_interleave(rows // value.shape[0], dim=0) for value in (embeds, tail))
    return torch.cat([embeds, tail], dim=1)


class StepWatch:
    """Stands between a pipeline's loop and its caller's `callback_on_step_end`.

    It notes down after each step whether the latents are finite, as a tensor that nothing waits for. The caller's
    callback sees embeddings of the text alone, and what it gives back gets the emotion's tokens again.
    """

    def __init__(self, arguments: dict[str, Any], request: EmotionRequest | None):
        self._callback = arguments.get("callback_on_step_end")
        own = getattr(self._callback, "tensor_inputs", None)  # of a PipelineCallback
        self._inputs = list(own or arguments.get("callback_on_step_end_tensor_inputs") or ["latents"])
        self._request = request or EmotionRequest()
        self._finite: list[torch.Tensor] = []

    @property
    def arguments(self) -> dict[str, Any]:
        """For the call."""
        return {
            "callback_on_step_end": self,
            "callback_on_step_end_tensor_inputs": list(dict.fromkeys([*self._inputs, "latents"])),
        }

    def __call__(self, pipe: Any, step: int, timestep: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        if self._callback is None:
            self._finite.append(torch.isfinite(inputs["latents"]).all())
            return {}
        shown = {name: self._text_of(name, inputs[name]) for name in self._inputs}
        given = self._callback(pipe, step, timestep, shown)
        given = {name: self._whole(name, value) for name, value in given.items()}
        self._finite.append(torch.isfinite(given.get("latents", inputs["latents"])).all())
        return given

    def check(self, frames: Any) -> None:
        """See that the steps and the clip are finite.

        Args:
            frames: what the call returned; pictures that are 8 bits already cannot be checked.

        Raises:
            NotFiniteError: they are not.
        """
        flags = torch.stack(self._finite).tolist() if self._finite else []
        if not all(flags):
            raise NotFiniteError(
                f"step {flags.index(False) + 1} of {len(flags)} gave values that are not finite (nan or infinity), so "
                "there is no clip; lower the scales and intensities, or compute in bfloat16 or float32"
            )
        whole = True
        if isinstance(frames, np.ndarray) and frames.dtype.kind == "f":
            whole = bool(np.isfinite(frames).all())
        elif isinstance(frames, torch.Tensor):
            whole = bool(torch.isfinite(frames).all())
        if not whole:
            raise NotFiniteError(
                f"all {len(flags)} steps are finite and the decoded clip is not; load the VAE in float32"
            )

    def _text_of(self, name: str, value: torch.Tensor | None) -> torch.Tensor | None:
        return value[:, : self._request.text_length] if value is not None and name in self._request.tails else value

    def _whole(self, name: str, value: torch.Tensor | None) -> torch.Tensor | None:
        tail = self._request.tails.get(name)
        if tail is None or value is None or value.shape[1] == self._request.text_length + tail.shape[1]:
            return value
        if value.shape[1] != self._request.text_length:
            raise ValueError(
                f"callback_on_step_end gave {name} of {value.shape[1]} tokens, and this call has "
                f"{self._request.text_length}; pad them"
            )
        return join(value, tail.to(value))


class EmotionCallMixin:
    """`_call_with_emotion`, through which the `__call__` of an emotion pipeline goes, and `encode_prompt`."""

    _emotion_request: EmotionRequest | None = None
    _emotion_scale: float = 1.0
    _warned_about_prompt = False
    generation_defaults: GenerationDefaults = GenerationDefaults()
    """What a call takes for arguments it is not given."""
    batch_emotion_guidance: bool = False
    """Makes the extra pass of `emotion_guidance_scale` in one forward of twice the batch (see `EmotionGuidance`)."""

    @property
    def emotion_adapter(self) -> EmotionAdapter | None:
        """The adapter on this pipeline's transformer, if any."""
        found = (get_emotion_adapter(transformer) for transformer in self._wan_transformers().values())
        return next((adapter for adapter in found if adapter is not None), None)

    def _wan_transformers(self) -> dict[str, torch.nn.Module]:
        found = {name: getattr(self, name, None) for name in ("transformer", "transformer_2")}
        return {name: transformer for name, transformer in found.items() if transformer is not None}

    def _call_with_emotion(self, call: Callable, arguments: Mapping[str, Any], asked: EmotionArguments) -> Any:
        """Run a stock `__call__` with an emotion. Nothing of a call outlives it."""
        arguments = self._with_defaults(arguments)
        prompts = count_prompts(arguments)
        emotions = read_emotions(asked.emotion, prompts)
        negatives = read_emotions(asked.negative, prompts, "negative_emotion")
        scale = self._emotion_scale * finite(asked.scale, "emotion_scale")
        for name in _SCALES:
            if arguments.get(name) is not None:
                finite(arguments[name], name)
        neutral = scale == 0 or (all_neutral(emotions) and all_neutral(negatives))
        adapter, guidance_scales = self.emotion_adapter, None
        limit = arguments.get("max_sequence_length", default_of(call, "max_sequence_length"))
        if asked.guidance_scale is not None or asked.interval is not None:
            steps = arguments.get("num_inference_steps", default_of(call, "num_inference_steps"))
            guidance_scales = read_emotion_guidance(asked.guidance_scale, asked.interval, steps, adapter is not None)
        if adapter is None:
            if not neutral:
                arguments["prompt"] = self._prompts_with_emotion(arguments.get("prompt"), emotions, negatives, limit)
            return self._watched(call, arguments)
        if any(len(text.encode("utf-8", "replace")) >= limit for text in texts_of(arguments)):
            fit_prompts(self.tokenizer, limit, texts_of(arguments))  # warns of what is not read
        before = adapter.scale, adapter.text_length
        guided = contextlib.nullcontext()
        try:
            self._emotion_request = EmotionRequest()
            if not neutral:
                self._check_dressed(adapter)
                frames = self._latent_frames(arguments, call)
                moving = any(isinstance(e, EmotionArc) for e in (*emotions, *negatives))
                factor = self.vae_scale_factor_temporal
                guidance = guidance_scales and EmotionGuidance(self, guidance_scales, self.batch_emotion_guidance)
                self._emotion_request = EmotionRequest(
                    emotion_tensors(emotions, frames, factor, moving),
                    emotion_tensors(negatives, frames, factor, moving),
                    guidance,
                )
                adapter.scale = scale
                guided = guidance.around(self._wan_transformers()) if guidance else guided
            with guided:
                return self._watched(call, arguments)
        finally:
            self._emotion_request = None
            adapter.scale, adapter.text_length = before
            for component in self.components.values():  # an interrupted call would leave its steps to the next one
                reset_step_cache(component)

    def _watched(self, call: Callable, arguments: Mapping[str, Any]) -> Any:
        watch = StepWatch(arguments, self._emotion_request)
        made = call(**{**arguments, **watch.arguments})
        watch.check(made[0] if isinstance(made, tuple) else made.frames)
        return made

    def _with_defaults(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A call's arguments with the model's defaults for those that are not given, or None."""
        arguments = dict(arguments)
        defaults = dict(self.generation_defaults.call_arguments)
        if arguments.get("negative_prompt_embeds") is not None:
            defaults.pop("negative_prompt", None)
        for name in ("height", "width", "num_frames", "num_inference_steps", "guidance_scale", "max_sequence_length"):
            if arguments.get(name, 0) is None:
                del arguments[name]
        for name, value in defaults.items():
            if arguments.get(name) is None:
                arguments[name] = value
        return arguments

    def _latent_frames(self, arguments: Mapping[str, Any], call: Callable) -> int:
        latents = arguments.get("latents")
        if latents is not None:
            return latents.shape[2]
        frames = arguments.get("num_frames", default_of(call, "num_frames"))
        return latent_frame_count(frames, self.vae_scale_factor_temporal)

    def _check_dressed(self, adapter: EmotionAdapter) -> None:
        for name, transformer in self._wan_transformers().items():
            if get_emotion_adapter(transformer) is not adapter:
                raise RuntimeError(
                    f"{name} does not carry the emotion adapter that the other transformer carries; call "
                    f'emotion_adapter.add(pipe.{name}, "{name}") or load_emotion_adapter'
                )

    def encode_prompt(
        self,
        prompt: str | list[str],
        negative_prompt: str | list[str] | None = None,
        do_classifier_free_guidance: bool = True,
        num_videos_per_prompt: int = 1,
        prompt_embeds: torch.Tensor | None = None,
        negative_prompt_embeds: torch.Tensor | None = None,
        max_sequence_length: int = 226,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The stock method; inside a call with an emotion its tokens come after the text's."""
        embeds = super().encode_prompt(
            prompt=prompt,
            negative_prompt=negative_prompt,
            do_classifier_free_guidance=do_classifier_free_guidance,
            num_videos_per_prompt=num_videos_per_prompt,
            prompt_embeds=prompt_embeds,
            negative_prompt_embeds=negative_prompt_embeds,
            max_sequence_length=max_sequence_length,
            device=device,
            dtype=dtype,
        )
        request = self._emotion_request
        prompts = count_prompts({"prompt": prompt, "prompt_embeds": prompt_embeds})
        if num_videos_per_prompt > 1 and (prompts > 1 or (request is not None and request.cond is not None)):
            # the stock method repeats texts for each video, and leaves embeddings that it is given as they are
            embeds = tuple(_repeated(value, prompts * num_videos_per_prompt) for value in embeds)
        return embeds if request is None else self._append_emotion(request, *embeds)

    def _append_emotion(
        self, request: EmotionRequest, prompt_embeds: torch.Tensor, negative_prompt_embeds: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """During a call with an emotion, [M, L, D] -> [M, L + tail, D] for the prompt and the negative prompt."""
        lengths = {e.shape[1] for e in (prompt_embeds, negative_prompt_embeds) if e is not None}
        if len(lengths) > 1:
            raise ValueError(
                f"prompt_embeds have {prompt_embeds.shape[1]} tokens and negative_prompt_embeds "
                f"{negative_prompt_embeds.shape[1]}; with an emotion adapter both need the same number: pad them"
            )
        request.text_length = self.emotion_adapter.text_length = prompt_embeds.shape[1]
        if request.cond is None:
            return prompt_embeds, negative_prompt_embeds
        cond, uncond = (self._tail(emotions, prompt_embeds) for emotions in (request.cond, request.uncond))
        if request.guidance is not None:
            whole = join(prompt_embeds, uncond)
            request.guidance.begin(whole[:, request.text_length :], request.text_length)
        embeds = {"prompt_embeds": join(prompt_embeds, cond)}
        if negative_prompt_embeds is not None:
            embeds["negative_prompt_embeds"] = join(negative_prompt_embeds, uncond.to(negative_prompt_embeds))
        request.tails = {name: value[:, request.text_length :] for name, value in embeds.items()}
        return embeds["prompt_embeds"], embeds.get("negative_prompt_embeds")

    def _tail(self, emotions: EmotionTensors, like: torch.Tensor) -> torch.Tensor:
        return self.emotion_adapter.tail(emotions, getattr(self, EXECUTION_DEVICE)).to(like)

    def _prompts_with_emotion(
        self, prompt: str | list[str] | None, emotions: Sequence[Emotion], negatives: Sequence[Emotion], limit: int
    ) -> str | list[str]:
        """Without an adapter: the emotion as a sentence of the prompt, as EmoVid's authors prompt their model."""
        if prompt is None:
            raise ValueError("emotion= with prompt_embeds needs an emotion adapter; call load_emotion_adapter")
        if any(isinstance(e, EmotionArc) for e in emotions) or not all_neutral(negatives):
            raise ValueError(
                "an emotion that changes over the clip, or a negative_emotion, cannot be said in the prompt; "
                "call load_emotion_adapter"
            )
        if not self._warned_about_prompt:
            self._warned_about_prompt = True
            warnings.warn(
                "no emotion adapter is loaded, so the emotion is added to the prompt as a sentence; call "
                "load_emotion_adapter for conditioning that the model was trained on",
                stacklevel=4,
            )
        sentences = [emotion_prompt(emotion) for emotion in emotions]
        texts = fit_prompts(self.tokenizer, limit, texts_of({"prompt": prompt}), sentences)
        return texts[0] if isinstance(prompt, str) else texts


def bound(call: Callable, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a stock `__call__` by name."""
    return dict(inspect.signature(call).bind_partial(*args, **kwargs).arguments)


def merged_signature(call: Callable, extended: Callable) -> inspect.Signature:
    """The parameters of a stock `__call__` followed by the keyword-only ones of the override."""
    base = inspect.signature(call)
    own = inspect.signature(extended).parameters.values()
    added = [p for p in own if p.kind is p.KEYWORD_ONLY]
    return base.replace(parameters=[*base.parameters.values(), *added])


def default_of(call: Callable, name: str) -> Any:
    return inspect.signature(call).parameters[name].default


def texts_of(arguments: Mapping[str, Any]) -> list[str]:
    """The prompts of a call, where they are texts."""
    prompt = arguments.get("prompt")
    return [prompt] if isinstance(prompt, str) else list(prompt or ())


def count_prompts(arguments: Mapping[str, Any]) -> int:
    """How many prompts, in text or embedded, a call's arguments hold."""
    prompt, embeds = arguments.get("prompt"), arguments.get("prompt_embeds")
    if isinstance(prompt, (list, tuple)):
        return len(prompt)
    return embeds.shape[0] if prompt is None and embeds is not None else 1


def _repeated(embeds: torch.Tensor | None, rows: int) -> torch.Tensor | None:
    if embeds is None or embeds.shape[0] == rows or rows % embeds.shape[0]:
        return embeds
    return embeds.repeat_interleave(rows // embeds.shape[0], dim=0)
