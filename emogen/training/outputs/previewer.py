"""The run's own preview: a pipeline around the model in training, and where its pictures go."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKLWan
from PIL import Image
from torch.distributed.fsdp import FSDPModule
from transformers import AutoTokenizer, UMT5EncoderModel

from emogen.eval.judges.embedded import EmbeddedJudge
from emogen.pipelines import EmotionWanPipeline
from emogen.pipelines.defaults import GenerationDefaults
from emogen.training.config import ConfigError
from emogen.training.data.cache import LatentCache
from emogen.training.data.encode import free_memory
from emogen.training.data.plan import Plan
from emogen.training.model import WanEmotionModel
from emogen.training.outputs.preview import EMOTIONS, log_to_trackers, sample_preview, save_preview
from emogen.training.parallel.sharing import Sharing

FOLDER = "samples"


class Previewer:
    """Samples `validation_prompts` x `validation_emotions` x seeds from the model in training.

    The texts come from the cache, so the text encoder stays out of memory; the autoencoder is loaded when samples are
    due and freed after them. Grids go to `<output_dir>/samples` and to the trackers.
    """

    def __init__(
        self, plan: Plan, model: WanEmotionModel, cache: LatentCache, accelerator: Accelerator, sharing: Sharing
    ):
        self._plan, self._model, self._cache, self._accelerator = plan, model, cache, accelerator
        self._sharing = sharing
        self._settings = plan.config.validation
        judge = self._settings.judge
        self._judge = None if judge is None else EmbeddedJudge(None if judge == "embedded" else judge)
        self.agreement: dict[str, Any] | None = None
        """The judge's on the newest samples."""
        self._images = [_picture(path) for path in self._settings.validation_images or []]
        if plan.specification.kind == "i2v" and not self._images:
            raise ConfigError("validation.preview_steps needs validation.validation_images for an image-to-video model")

    def __call__(self, step: int) -> dict[str, float]:
        """Sample, save, log the pictures; returns the numbers to log (nothing on other processes)."""
        settings, geometry = self._settings, self._plan.geometry
        prompts = settings.validation_prompts
        texts: dict[str, Any] = {}
        if self._model.adapter is not None:
            embeds = torch.stack([self._padded(prompt) for prompt in (*prompts, "")])
            texts = {"prompt_embeds": embeds[:-1], "negative_prompt_embeds": embeds[-1:]}
        with self._pipeline() as pipe, self._gathered():
            preview = sample_preview(
                pipe,
                prompts,
                settings.validation_emotions or EMOTIONS,
                range(settings.validation_seeds),
                accelerator=self._accelerator,
                ulysses=self._sharing.ulysses,
                judge=self._judge,
                images=self._images or None,
                height=geometry.height,
                width=geometry.width,
                num_frames=geometry.num_frames,
                num_inference_steps=settings.num_inference_steps,
                guidance_scale=settings.guidance_scale,
                max_sequence_length=geometry.max_sequence_length,
                **texts,
            )
        if preview is None:
            return {}
        self.agreement = preview.agreement
        save_preview(preview, Path(self._plan.config.run.output_dir) / FOLDER, f"step-{step:06d}")
        log_to_trackers(self._accelerator, preview, step)
        return preview.values

    def _padded(self, prompt: str) -> torch.Tensor:
        """[L, D], as `encode_prompt` pads it."""
        tokens = self._cache.read_text(prompt)
        text = torch.zeros(self._cache.text_length, tokens.shape[1], dtype=tokens.dtype)
        text[: len(tokens)] = tokens
        return text.to(self._accelerator.device, self._model.transformer.dtype)

    @contextlib.contextmanager
    def _pipeline(self) -> Iterator[Any]:
        folder = self._plan.specification.folder
        device = self._accelerator.device
        parts: dict[str, Any] = {
            "vae": AutoencoderKLWan.from_pretrained(folder / "vae").to(device).eval(),
            "scheduler": _scheduler(folder),
            "transformer": self._model.transformer,
            "tokenizer": None,
            "text_encoder": None,
        }
        if self._model.adapter is None:  # the emotion is a sentence of the prompt, which the cache does not hold
            parts["tokenizer"] = AutoTokenizer.from_pretrained(folder / "tokenizer")
            parts["text_encoder"] = UMT5EncoderModel.from_pretrained(folder / "text_encoder").to(device).eval()
        pipe = EmotionWanPipeline(**parts)
        pipe.generation_defaults = GenerationDefaults.from_pretrained(folder)
        try:
            yield pipe
        finally:
            del pipe, parts
            free_memory()

    @contextlib.contextmanager
    def _gathered(self) -> Iterator[None]:
        """Under FSDP2, the parameters that belong to no block: the pipeline calls the transformer, not the root that
        would gather them."""
        if not isinstance(self._model, FSDPModule):
            yield
            return
        self._model.unshard()
        try:
            yield
        finally:
            self._model.reshard()


def _scheduler(folder: Path) -> Any:
    """The one the folder names; Wan2.1's is UniPC."""
    name = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))["scheduler"][1]
    return getattr(diffusers, name).from_pretrained(folder, subfolder="scheduler")


def _picture(path: str) -> Image.Image:
    try:
        return Image.open(path).convert("RGB")
    except OSError as error:
        raise ConfigError(f"validation.validation_images: {path}: {error}") from error
