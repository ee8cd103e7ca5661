"""Seeing a run learn: the same prompts, emotions and seeds sampled again and again from the model in training.

What comes out is looked at in `preview_report`, drawn and sent to trackers in `preview_media`.
"""

from __future__ import annotations

import contextlib
import copy
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from PIL import Image
from torch import nn

from emogen.data.attributes import clip_attributes
from emogen.emotion import MIKELS, NEUTRAL
from emogen.eval.judges.embedded import Judge
from emogen.media.pixels import to_uint8
from emogen.training.families.fold import FoldedTextProcessor
from emogen.training.outputs.preview_media import log_to_trackers, save_preview
from emogen.training.outputs.preview_report import Preview, PreviewClip, asked_categories, read_clips, report

__all__ = ["EMOTIONS", "Preview", "PreviewClip", "log_to_trackers", "sample_preview", "save_preview", "undisturbed"]

EMOTIONS = (NEUTRAL, *MIKELS)


def sample_preview(
    pipe: Any,
    prompts: Sequence[str],
    emotions: Sequence[str] = EMOTIONS,
    seeds: Sequence[int] = (0,),
    *,
    accelerator: Accelerator | None = None,
    ulysses: int = 1,
    judge: Judge | None = None,
    batch_size: int = 4,
    images: Sequence[Image.Image] | None = None,
    prompt_embeds: torch.Tensor | None = None,
    negative_prompt_embeds: torch.Tensor | None = None,
    **call: Any,
) -> Preview | None:
    """Sample every prompt with every emotion and seed, and look at what comes out.

    The run is left as it was (`undisturbed`), and the clips depend only on the weights and the arguments: neither on
    the run's random state nor on the number of processes. With several processes all must call this; each samples a
    share of the batches, and an equal number of them, so that sharded weights (FSDP) can be gathered.

    Args:
        pipe: an `EmotionWanPipeline` around the transformer in training, its parts on the accelerator's device.
        emotions: as the pipeline takes them, in text; "neutral" among them is what the others are compared with.
        accelerator: the run's, for its processes and its autocast; None is one process and no autocast.
        ulysses: how many processes share a clip (see `emogen.training.parallel.sharing`).
        judge: reads the clips (`emogen.eval.judges.embedded.Judge`). It must know the prompts' domain: the embedded
            judge has seen nothing but stickers.
        batch_size: clips sampled at once.
        images: for image-to-video, the first frame for each prompt.
        prompt_embeds, negative_prompt_embeds: `[prompts, L, D]` and `[1, L, D]`, for a pipeline without a text encoder.
        call: further arguments of the pipeline's call (num_inference_steps, height ...); None is the model's own.

    Returns:
        The preview on the main process, None on the others.

    Raises:
        UnknownEmotionError: a word is no known emotion.
        ValueError: nothing to sample, something twice, or lengths that do not go together.
    """
    _check(prompts, emotions, seeds, batch_size, images, prompt_embeds)
    asked = asked_categories(emotions)
    items = list(product(range(len(prompts)), seeds, emotions))
    if images is None:
        batches = _chunks(items, batch_size)
    else:  # an image-to-video call takes one image
        batches = [part for p in range(len(prompts)) for part in _chunks([i for i in items if i[0] == p], batch_size)]

    def sample(batch: Sequence[tuple[int, int, str]]) -> np.ndarray:
        rows = [p for p, _, _ in batch]
        text: dict[str, Any] = {"prompt": [prompts[p] for p in rows]}
        if prompt_embeds is not None:
            text = {"prompt_embeds": prompt_embeds[rows]}
        if negative_prompt_embeds is not None:
            text["negative_prompt_embeds"] = negative_prompt_embeds.expand(len(rows), -1, -1)
        if images is not None:
            text["image"] = images[rows[0]]
        generators = [torch.Generator().manual_seed(seed) for _, seed, _ in batch]
        with accelerator.autocast() if accelerator is not None else contextlib.nullcontext():
            made = pipe(**text, emotion=[e for _, _, e in batch], generator=generators, output_type="np", **call).frames
        names = [f"{prompts[p]!r} as {emotion}" for p, _, emotion in batch]
        return _to_uint8(np.asarray(made, dtype=np.float32), names)

    with undisturbed(pipe):
        frames = _share(batches, sample, accelerator, ulysses)
        if accelerator is not None and not accelerator.is_main_process:
            return None
        clips = [PreviewClip(prompts[p], emotion, seed, clip, clip_attributes(clip))
                 for (p, seed, emotion), clip in zip(items, frames, strict=True)]  # fmt: skip
        shares = read_clips(judge, clips) if judge is not None else None
    return report(clips, asked, shares, float(pipe.fps))


@contextlib.contextmanager
def undisturbed(pipe: Any) -> Iterator[None]:
    """Let a pipeline around a model in training sample in between.

    Inside, its modules are in evaluation mode, no graph is recorded, its scheduler is a copy, folded text padding is
    undone (prompts here have their full length) and Python's, NumPy's and torch's generators have fixed states. After
    it, also after an error, everything is as before: each module's mode, the scheduler object, the generators. The
    weights are not written to.
    """
    modules = [module for part in pipe.components.values() if isinstance(part, nn.Module) for module in part.modules()]
    modes = [module.training for module in modules]
    folded = [(one, one.count, one.text_length) for one in map(_folded, modules) if one is not None]
    scheduler, bar = pipe.scheduler, getattr(pipe, "_progress_bar_config", None)
    python, numpy = random.getstate(), np.random.get_state()
    device = torch.device(pipe._execution_device)
    devices = [device.index or 0] if device.type == "cuda" else []
    try:
        # Not inference_mode: what a module caches there could not be used in a graph afterwards.
        with torch.random.fork_rng(devices), torch.no_grad():
            for seed in (random.seed, np.random.seed, torch.default_generator.manual_seed):
                seed(0)
            for module in modules:
                module.training = False
            for processor, count, length in folded:
                processor.count, processor.text_length = 1, length + count - 1
            pipe.scheduler = copy.deepcopy(scheduler)
            pipe._progress_bar_config = {**(bar or {}), "disable": True}
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        for processor, count, length in folded:
            processor.count, processor.text_length = count, length
        pipe.scheduler = scheduler
        if bar is None:
            pipe.__dict__.pop("_progress_bar_config", None)
        else:
            pipe._progress_bar_config = bar


def _folded(module: nn.Module) -> FoldedTextProcessor | None:
    """The folding text processor of an attention, also inside an emotion processor."""
    processor = getattr(module, "processor", None)
    inner = getattr(processor, "inner", None) or processor
    return inner if isinstance(inner, FoldedTextProcessor) else None


def _check(
    prompts: Sequence[str],
    emotions: Sequence[str],
    seeds: Sequence[int],
    batch_size: int,
    images: Sequence | None,
    prompt_embeds: torch.Tensor | None,
) -> None:
    for name, values in (("prompts", prompts), ("emotions", emotions), ("seeds", seeds)):
        if isinstance(values, str) or not len(values):
            raise ValueError(f"{name} is {values!r}; give a list of at least one")
        twice = [value for value in values if list(values).count(value) > 1]
        if twice:
            raise ValueError(f"{name} has {twice[0]!r} twice")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    for name, given in (("images", images), ("prompt_embeds", prompt_embeds)):
        if given is not None and len(given) != len(prompts):
            raise ValueError(f"{name} has {len(given)} entries for {len(prompts)} prompts; give one for each")


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
