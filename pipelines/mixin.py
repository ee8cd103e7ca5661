"""What an emotion pipeline adds to a stock Wan pipeline: one adapter to load, save and scale, and
`emotion=`."""

from __future__ import annotations

import contextlib
import inspect
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from emogen.emotion import EmotionArc, EmotionState, emotion_prompt
from emogen.models import (
    EmotionAdapter,
    EmotionAdapterConfig,
    EmotionEncoder,
    EmotionTensors,
    get_emotion_adapter,
    latent_frame_count,
)
from emogen.models.text_limit import fit_prompts
from emogen.pipelines.defaults import GenerationDefaults
from emogen.pipelines.emotions import EmotionLike, all_neutral, emotion_tensors, read_emotions
from emogen.pipelines.folders import AdapterFolderMixin
from emogen.pipelines.guidance import EmotionGuidance, EmotionGuidanceLike, read_emotion_guidance
from emogen.pipelines.kinds import HUB_ARGUMENTS, ModelKindMixin
from emogen.pipelines.speed_cache import reset_caches


@dataclass(frozen=True)
class EmotionRequest:
    """What `encode_prompt` has to append during one call; without `cond`, nothing."""

    cond: EmotionTensors | None = None
    uncond: EmotionTensors | None = None
    guidance: EmotionGuidance | None = None


def merged_signature(call: Callable, extended: Callable) -> inspect.Signature:
    """The parameters of a stock `__call__` followed by the keyword-only ones of the override."""
    base = inspect.signature(call)
    own = inspect.signature(extended).parameters.values()
    added = [p for p in own if p.kind is p.KEYWORD_ONLY]
    return base.replace(parameters=[*base.parameters.values(), *added])


class EmotionAdapterMixin(ModelKindMixin, AdapterFolderMixin):
    """For a subclass of a Wan pipeline, before it in the bases.

    The subclass sets `_stock_class_name` and overrides `__call__` to go through `_call_with_emotion`.
    """

    _stock_class_name: str
    _emotion_request: EmotionRequest | None = None
    _emotion_scale: float = 1.0
    _warned_about_prompt = False
    generation_defaults: GenerationDefaults = GenerationDefaults()
    """What a call takes for arguments it is not given."""
    batch_emotion_guidance: bool = False
    """Makes the extra pass of `emotion_guidance_scale` in one forward of twice the batch (see `EmotionGuidance`)."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any):
        """As the stock pipeline's, also from a folder or hub id of the stock pipeline, and reads the model's
        `generation_config.json` if it has one."""
        pipe = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        hub = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
        pipe.generation_defaults = GenerationDefaults.from_pretrained(pretrained_model_name_or_path, **hub)
        return pipe

    def save_config(self, save_directory: str | Path, push_to_hub: bool = False, **kwargs: Any) -> None:
        """As the stock pipeline's, and writes `generation_config.json` if anything in it is set."""
        if self.generation_defaults != GenerationDefaults():
            self.generation_defaults.save(save_directory)
        super().save_config(save_directory, push_to_hub=push_to_hub, **kwargs)

    def to_json_string(self) -> str:
        # The folder is a stock pipeline's (the adapter has its own), so that stock diffusers can open it.
        values = json.loads(super().to_json_string())
        values["_class_name"] = self._stock_class_name
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Save the base model, without the emotion adapter (`save_emotion_adapter` saves that).

        Raises:
            ValueError: a LoRA is loaded, which would be written under names that nothing reads.
        """
        for name, transformer in self._wan_transformers().items():
            if getattr(transformer, "peft_config", None):
                raise ValueError(
                    f"{name} carries the LoRA {', '.join(transformer.peft_config)}: save_pretrained would "
                    "write weights that cannot be loaded. Call unload_emotion_adapter() or "
                    "unload_lora_weights() first (after fuse_lora(), to keep the LoRA in the weights)"
                )
        super().save_pretrained(save_directory, **kwargs)

    @property
    def fps(self) -> float:
        """Frames per second of the model's videos."""
        return self.generation_defaults.fps

    @property
    def emotion_adapter(self) -> EmotionAdapter | None:
        """The adapter on this pipeline's transformer, if any."""
        for transformer in self._wan_transformers().values():
            adapter = get_emotion_adapter(transformer)
            if adapter is not None:
                return adapter
        return None

    @property
    def emotion_encoder(self) -> EmotionEncoder | None:
        adapter = self.emotion_adapter
        return adapter.encoder if adapter is not None else None

    def add_emotion_adapter(
        self, config: EmotionAdapterConfig | None = None, *, dtype: torch.dtype = torch.float32
    ) -> EmotionAdapter:
        """Attach a new, untrained adapter to this pipeline's transformers (see `attach_emotion_adapter`)."""
        return self._attach(config or EmotionAdapterConfig(), dtype)

    def set_emotion_scale(self, scale: float) -> None:
        """A factor on every later call's `emotion_scale`.

        Raises:
            RuntimeError: no adapter is loaded.
        """
        adapter = self.emotion_adapter
        if adapter is None:
            raise RuntimeError("no emotion adapter is loaded; call load_emotion_adapter first")
        self._emotion_scale = float(scale)

    def _wan_transformers(self) -> dict[str, torch.nn.Module]:
        found = {name: getattr(self, name, None) for name in ("transformer", "transformer_2")}
        return {name: transformer for name, transformer in found.items() if transformer is not None}

    def _call_with_emotion(
        self,
        call: Callable,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        emotion: EmotionLike | Sequence[EmotionLike | None] | None,
        negative_emotion: EmotionLike | Sequence[EmotionLike | None] | None,
        emotion_scale: float,
        emotion_guidance_scale: EmotionGuidanceLike | None = None,
        guidance_interval: Sequence[float] | None = None,
    ) -> Any:
        """Run a stock `__call__` with an emotion. Nothing of a call outlives it."""
        arguments = inspect.signature(call).bind_partial(*args, **kwargs).arguments
        arguments = self._with_defaults(arguments)
        prompts = count_prompts(arguments)
        emotions = read_emotions(emotion, prompts)
        negatives = read_emotions(negative_emotion, prompts, "negative_emotion")
        scale = self._emotion_scale * emotion_scale
        neutral = scale == 0 or (all_neutral(emotions) and all_neutral(negatives))
        steps = arguments.get("num_inference_steps", _default_of(call, "num_inference_steps"))
        adapter = self.emotion_adapter
        limit = arguments.get("max_sequence_length", _default_of(call, "max_sequence_length"))
        guidance_scales = read_emotion_guidance(emotion_guidance_scale, guidance_interval, steps, adapter is not None)
        if adapter is None:
            if not neutral:
                arguments["prompt"] = self._prompts_with_emotion(arguments.get("prompt"), emotions, negatives, limit)
            return call(**arguments)
        if isinstance(arguments.get("prompt"), (str, list, tuple)):
            fit_prompts(self.tokenizer, limit, as_list(arguments["prompt"]))  # warns of what is not read
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
                return call(**arguments)
        finally:
            self._emotion_request = None
            adapter.scale, adapter.text_length = before
            reset_caches(self)  # an interrupted call would leave its steps to the next one

    def _with_defaults(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """A call's arguments with the model's defaults for those that are not given, or None."""
        arguments = dict(arguments)
        defaults = self.generation_defaults.call_arguments()
        if arguments.get("negative_prompt_embeds") is not None:
            defaults.pop("negative_prompt", None)
        for name in (
            "height",
            "width",
            "num_frames",
            "num_inference_steps",
            "guidance_scale",
            "max_sequence_length",
        ):
            if arguments.get(name, 0) is None:
                del arguments[name]
        for name, value in defaults.items():
            if arguments.get(name) is None:
                arguments[name] = value
        return arguments

    def _latent_frames(self, arguments: dict[str, Any], call: Callable) -> int:
        latents = arguments.get("latents")
        if latents is not None:
            return latents.shape[2]
        frames = arguments.get("num_frames", _default_of(call, "num_frames"))
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
        prompt_embeds, negative_prompt_embeds = super().encode_prompt(
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
        prompt_embeds, negative_prompt_embeds = self._append_emotion(prompt_embeds, negative_prompt_embeds)
        return prompt_embeds, negative_prompt_embeds

    def _append_emotion(
        self, prompt_embeds: torch.Tensor, negative_prompt_embeds: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """During a call with an emotion, [M, L, D] -> [M, L + tail, D] for the prompt and the negative
        prompt."""
        request = self._emotion_request
        if request is None:
            return prompt_embeds, negative_prompt_embeds
        lengths = {e.shape[1] for e in (prompt_embeds, negative_prompt_embeds) if e is not None}
        if len(lengths) > 1:
            raise ValueError(
                f"prompt_embeds have {prompt_embeds.shape[1]} tokens and negative_prompt_embeds "
                f"{negative_prompt_embeds.shape[1]}; with an emotion adapter both need the same number: pad "
                "them"
            )
        self.emotion_adapter.text_length = prompt_embeds.shape[1]
        if request.cond is not None:
            if request.guidance is not None:
                length = prompt_embeds.shape[1]
                request.guidance.begin(self._with_tail(prompt_embeds, request.uncond)[:, length:], length)
            prompt_embeds = self._with_tail(prompt_embeds, request.cond)
            if negative_prompt_embeds is not None:
                negative_prompt_embeds = self._with_tail(negative_prompt_embeds, request.uncond)
        return prompt_embeds, negative_prompt_embeds

    def _with_tail(self, embeds: torch.Tensor, emotions: EmotionTensors) -> torch.Tensor:
        tail = self.emotion_adapter.tail(emotions, self._execution_device).to(embeds)
        # several videos of one prompt stand next to each other
        tail = tail.repeat_interleave(embeds.shape[0] // tail.shape[0], dim=0)
        return torch.cat([embeds, tail], dim=1)

    def _prompts_with_emotion(
        self,
        prompt: str | list[str] | None,
        emotions: Sequence[EmotionState | EmotionArc],
        negatives: Sequence[EmotionState | EmotionArc],
        limit: int,
    ) -> str | list[str]:
        """Without an adapter: the emotion as a sentence of the prompt, as EmoVid's authors prompt their
        model."""
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
        texts = fit_prompts(self.tokenizer, limit, as_list(prompt), [emotion_prompt(e) for e in emotions])
        return texts[0] if isinstance(prompt, str) else texts


def as_list(prompt: str | Sequence[str]) -> list[str]:
    """One prompt or several, as a list."""
    return [prompt] if isinstance(prompt, str) else list(prompt)


def _default_of(call: Callable, name: str) -> Any:
    return inspect.signature(call).parameters[name].default


def count_prompts(arguments: dict[str, Any]) -> int:
    """How many prompts, in text or embedded, a call's arguments hold."""
    prompt, embeds = arguments.get("prompt"), arguments.get("prompt_embeds")
    if isinstance(prompt, (list, tuple)):
        return len(prompt)
    return embeds.shape[0] if prompt is None and embeds is not None else 1
