"""Seeing a run learn: the same prompts, emotions and seeds sampled again and again from the model in training.

What comes out is looked at in `preview_report`.
"""

from __future__ import annotations

import contextlib
import copy
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from PIL import Image
from torch import nn
from torch.distributed.fsdp import FSDPModule

from emogen.data.attributes import clip_attributes
from emogen.emotion import MIKELS, NEUTRAL
from emogen.emotion.look import read_look
from emogen.media.pictures import read_picture
from emogen.media.pixels import to_uint8
from emogen.models.compat import EXECUTION_DEVICE, PROGRESS_BAR
from emogen.training.config import ConfigError, ValidationConfig
from emogen.training.data.cache import LatentCache
from emogen.training.data.encode import free_memory
from emogen.training.data.plan import Plan
from emogen.training.families import EmotionModel, Family
from emogen.training.outputs.look_prior import against_prior
from emogen.training.outputs.preview_report import (
    Preview,
    PreviewClip,
    PreviewJudge,
    asked_categories,
    log_to_trackers,
    report,
    save_preview,
)
from emogen.training.parallel.sharing import Sharing

EMOTIONS = (NEUTRAL, *MIKELS)
FOLDER = "samples"


def check_previews(settings: ValidationConfig, family: Family, judge: PreviewJudge | None) -> list[Image.Image] | None:
    """See, before hours of training, that the samples that were asked for can be made: emotions, prompts, pictures.

    Returns:
        The first frames, for an image-to-video model.

    Raises:
        ConfigError: they cannot.
    """
    if not settings.preview_steps:
        return None
    emotions, prompts = settings.validation_emotions or EMOTIONS, settings.validation_prompts or []
    for name, values in (("validation_prompts", prompts), ("validation_emotions", emotions)):
        try:
            _check_list(name, values)
            if name == "validation_emotions":
                asked_categories(values)
        except ValueError as error:
            raise ConfigError(f"validation.{name}: {error}") from error
    if not family.samples:
        raise ConfigError(
            "validation.preview_steps: samples need both transformers; set model.experts: both, or preview_steps: 0"
        )
    if settings.judge is not None and judge is None:
        raise ConfigError(f"validation.judge: {settings.judge!r} was not loaded; use the command that trains")
    if settings.look_prior is not None:
        try:
            read_look(settings.look_prior)
        except ValueError as error:
            raise ConfigError(f"validation.look_prior: {error}") from error
    images = [_picture(path) for path in settings.validation_images or []]
    if family.kind == "i2v" and not images:
        raise ConfigError("validation.preview_steps needs validation.validation_images for an image-to-video model")
    if family.kind == "t2v" and images:
        raise ConfigError("validation.validation_images: a text-to-video model takes no images; leave them out")
    return images or None


class Previewer:
    """Samples `validation_prompts` x `validation_emotions` x seeds from the model in training.

    The texts come from the cache, so the text encoder stays out of memory; the autoencoder is loaded when samples are
    due and freed after them. Grids go to `<output_dir>/samples` and to the trackers.

    Args:
        images: of `check_previews`.
    """

    def __init__(
        self, plan: Plan, model: EmotionModel, cache: LatentCache, accelerator: Accelerator, sharing: Sharing,
        judge: PreviewJudge | None = None, images: Sequence[Image.Image] | None = None,
    ):  # fmt: skip
        self._plan, self._model, self._cache, self._accelerator = plan, model, cache, accelerator
        self._sharing, self._judge, self._images = sharing, judge, images
        self._settings = plan.config.validation
        self._prior = read_look(self._settings.look_prior) if self._settings.look_prior is not None else None
        self.agreement: dict[str, Any] | None = None
        """The judge's on the newest samples."""

    def __call__(self, step: int) -> dict[str, float]:
        """Sample, save, log the pictures; returns the numbers to log (nothing on other processes)."""
        settings, geometry = self._settings, self._plan.geometry
        prompts = settings.validation_prompts
        texts: dict[str, Any] = {}
        if self._model.adapter is not None:
            embeds = torch.stack([self._padded(prompt) for prompt in (*prompts, "")])
            texts = {"prompt_embeds": embeds[:-1], "negative_prompt_embeds": embeds[-1:]}
        wanted = Samples(
            prompts=prompts,
            emotions=settings.validation_emotions or EMOTIONS,
            seeds=range(settings.validation_seeds),
            images=self._images,
            **texts,
        )
        call = {
            "height": geometry.height,
            "width": geometry.width,
            "num_frames": geometry.num_frames,
            "num_inference_steps": settings.num_inference_steps,
            "guidance_scale": settings.guidance_scale,
            "max_sequence_length": geometry.max_sequence_length,
        }
        with self._pipeline() as pipe, self._gathered(), self._unfolded():
            preview = sample_preview(pipe, wanted, call, self._judge, self._accelerator, self._sharing.ulysses)
        if preview is None:
            return {}
        self.agreement = preview.agreement
        save_preview(preview, Path(self._plan.config.run.output_dir) / FOLDER, f"step-{step:06d}")
        log_to_trackers(self._accelerator, preview, step)
        if self._prior is None:
            return preview.values
        asked = asked_categories(preview.emotions)
        return preview.values | against_prior([(asked[c.emotion], c.frames) for c in preview.clips], self._prior)

    def _padded(self, prompt: str) -> torch.Tensor:
        """[L, D], as `encode_prompt` pads it."""
        tokens = self._cache.read_text(prompt)
        text = torch.zeros(self._cache.text_length, tokens.shape[1], dtype=tokens.dtype)
        text[: len(tokens)] = tokens
        return text.to(self._accelerator.device, self._model.transformer.dtype)

    @contextlib.contextmanager
    def _pipeline(self) -> Iterator[Any]:
        # without an adapter the emotion is a sentence of the prompt, which the cache does not hold
        with_text = self._model.adapter is None
        pipe = self._model.pipeline(self._accelerator.device, with_text)
        try:
            yield pipe
        finally:
            del pipe
            free_memory()

    def _unfolded(self) -> contextlib.AbstractContextManager[None]:
        """Prompts have their full length here."""
        stack = contextlib.ExitStack()
        for transformer in self._model.transformers.values():
            stack.enter_context(self._model.family.unfolded(transformer, self._model.adapter))
        return stack

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


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What to sample: every prompt with every emotion and seed.

    Attributes:
        emotions: as the pipeline takes them, in text; "neutral" among them is what the others are compared with.
        batch_size: clips sampled at once.
        images: for image-to-video, the first frame for each prompt.
        prompt_embeds, negative_prompt_embeds: `[prompts, L, D]` and `[1, L, D]`, for a pipeline without a text encoder.

    Raises:
        ValueError: nothing to sample, something twice, or lengths that do not go together.
    """

    prompts: Sequence[str]
    emotions: Sequence[str] = EMOTIONS
    seeds: Sequence[int] = (0,)
    batch_size: int = 4
    images: Sequence[Image.Image] | None = None
    prompt_embeds: torch.Tensor | None = None
    negative_prompt_embeds: torch.Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("prompts", "emotions", "seeds"):
            _check_list(name, getattr(self, name))
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be at least 1")
        for name in ("images", "prompt_embeds"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.prompts):
                raise ValueError(f"{name} has {len(given)} entries for {len(self.prompts)} prompts; give one for each")

    def items(self) -> list[tuple[int, int, str]]:
        """(number of the prompt, seed, emotion) of every clip, in the order of the preview."""
        return list(product(range(len(self.prompts)), self.seeds, self.emotions))

    def batches(self) -> list[Sequence[tuple[int, int, str]]]:
        """The items in calls of the pipeline; an image-to-video call takes one image."""
        items = self.items()
        if self.images is None:
            return _chunks(items, self.batch_size)
        own = ([item for item in items if item[0] == number] for number in range(len(self.prompts)))
        return [part for items in own for part in _chunks(items, self.batch_size)]


def sample_preview(
    pipe: Any,
    wanted: Samples,
    call: dict[str, Any] | None = None,
    judge: PreviewJudge | None = None,
    accelerator: Accelerator | None = None,
    ulysses: int = 1,
) -> Preview | None:
    """Sample every prompt with every emotion and seed, and look at what comes out.

    The run is left as it was (`undisturbed`), and the clips depend only on the weights and the arguments: neither on
    the run's random state nor on the number of processes. With several processes all must call this; each samples a
    share of the batches, and an equal number of them, so that sharded weights (FSDP) can be gathered.

    Args:
        pipe: an emotion pipeline around the transformer in training, its parts on the accelerator's device.
        call: further arguments of the pipeline's call (num_inference_steps, height ...); None is the model's own.
        judge: reads the clips. It must know the prompts' domain: the embedded judge has seen nothing but stickers.
        accelerator: the run's, for its processes and its autocast; None is one process and no autocast.
        ulysses: how many processes share a clip (see `emogen.training.parallel.sharing`).

    Returns:
        The preview on the main process, None on the others.

    Raises:
        UnknownEmotionError: a word is no known emotion.
    """
    asked = asked_categories(wanted.emotions)

    def sample(batch: Sequence[tuple[int, int, str]]) -> np.ndarray:
        rows = [p for p, _, _ in batch]
        text: dict[str, Any] = {"prompt": [wanted.prompts[p] for p in rows]}
        if wanted.prompt_embeds is not None:
            text = {"prompt_embeds": wanted.prompt_embeds[rows]}
        if wanted.negative_prompt_embeds is not None:
            text["negative_prompt_embeds"] = wanted.negative_prompt_embeds.expand(len(rows), -1, -1)
        if wanted.images is not None:
            text["image"] = wanted.images[rows[0]]
        emotions = [emotion for _, _, emotion in batch]
        generators = [torch.Generator().manual_seed(seed) for _, seed, _ in batch]
        with accelerator.autocast() if accelerator is not None else contextlib.nullcontext():
            made = pipe(**text, emotion=emotions, generator=generators, output_type="np", **(call or {})).frames
        names = [f"{wanted.prompts[p]!r} as {emotion}" for p, _, emotion in batch]
        return _to_uint8(np.asarray(made, dtype=np.float32), names)

    with undisturbed(pipe):
        frames = _share(wanted.batches(), sample, accelerator, ulysses)
        if accelerator is not None and not accelerator.is_main_process:
            return None
        clips = [PreviewClip(wanted.prompts[p], emotion, seed, clip, clip_attributes(clip))
                 for (p, seed, emotion), clip in zip(wanted.items(), frames, strict=True)]  # fmt: skip
        return report(clips, asked, judge, float(pipe.fps))


@contextlib.contextmanager
def undisturbed(pipe: Any) -> Iterator[None]:
    """Let a pipeline around a model in training sample in between.

    Inside, its modules are in evaluation mode, no graph is recorded, its scheduler is a copy and Python's, NumPy's and
    torch's generators have fixed states. After it, also after an error, everything is as before: each module's mode,
    the scheduler object, the generators. The weights are not written to.
    """
    modules = [module for part in pipe.components.values() if isinstance(part, nn.Module) for module in part.modules()]
    modes = [module.training for module in modules]
    scheduler, bar = pipe.scheduler, getattr(pipe, PROGRESS_BAR, None)
    python, numpy = random.getstate(), np.random.get_state()
    device = torch.device(getattr(pipe, EXECUTION_DEVICE))
    devices = [device.index or 0] if device.type == "cuda" else []
    try:
        # Not inference_mode: what a module caches there could not be used in a graph afterwards.
        with torch.random.fork_rng(devices), torch.no_grad():
            for seed in (random.seed, np.random.seed, torch.default_generator.manual_seed):
                seed(0)
            for module in modules:
                module.training = False
            pipe.scheduler = copy.deepcopy(scheduler)
            setattr(pipe, PROGRESS_BAR, {**(bar or {}), "disable": True})
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        pipe.scheduler = scheduler
        if bar is None:
            pipe.__dict__.pop(PROGRESS_BAR, None)
        else:
            setattr(pipe, PROGRESS_BAR, bar)


def _picture(path: str) -> Image.Image:
    try:
        return read_picture(path).convert("RGB")
    except (OSError, ValueError) as error:
        raise ConfigError(f"validation.validation_images: {path}: {error}") from error


def _check_list(name: str, values: Sequence[Any]) -> None:
    if isinstance(values, str) or not len(values):
        raise ValueError(f"{name} is {values!r}; give a list of at least one")
    twice = [value for value in values if list(values).count(value) > 1]
    if twice:
        raise ValueError(f"{name} has {twice[0]!r} twice")


def _chunks(items: Sequence, size: int) -> list[Sequence]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _share(
    batches: Sequence[Sequence], sample: Callable[[Sequence], np.ndarray], accelerator: Accelerator | None, ulysses: int
) -> list[np.ndarray]:
    """All clips in order, on the main process; the others hand theirs over, a batch at a time to spare memory."""
    world, rank = (accelerator.num_processes, accelerator.process_index) if accelerator is not None else (1, 0)
    groups, group = world // ulysses, rank // ulysses
    clips: list[np.ndarray] = []
    for start in range(0, len(batches), groups):
        # past the end a process repeats the last batch: all processes must run the model equally often
        made = sample(batches[min(start + group, len(batches) - 1)])
        for owner in range(min(groups, len(batches) - start)):
            part = made
            if owner:
                shape = (len(batches[start + owner]), *made.shape[1:])
                tensor = torch.from_numpy(made) if group == owner else torch.empty(shape, dtype=torch.uint8)
                part = broadcast(tensor.to(accelerator.device), from_process=owner * ulysses).cpu().numpy()
            if rank == 0:
                clips.extend(part)
    return clips


def _to_uint8(frames: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Float `[B, F, H, W, 3]` in 0..1 -> uint8; what is not finite becomes black, and is named."""
    broken = [name for name, clip in zip(names, frames, strict=True) if not np.isfinite(clip).all()]
    if broken:
        warnings.warn(f"preview: not finite, shown black: {', '.join(broken)}", stacklevel=2)
    return to_uint8(np.nan_to_num(frames, nan=0.0, posinf=0.0, neginf=0.0))
