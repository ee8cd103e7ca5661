"""The passes that fill the cache, run once before training: captions, then clips.

The encoders are loaded only when something is missing and freed afterwards; training itself never holds them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from emogen.data.records import ClipRecord
from emogen.media.limits import DEFAULT_LIMITS, Limits
from emogen.training.data.cache import LatentCache, encoder_fingerprint
from emogen.training.data.clips import PlannedClip, load_clip
from emogen.training.families import Family


@dataclass(frozen=True)
class BadClip:
    """A clip that could not be used, and why."""

    record: ClipRecord
    reason: str


def cache_of(
    family: Family, folder: Path, fps: float, short_clips: str, text_length: int, limits: Limits = DEFAULT_LIMITS
) -> LatentCache:
    """The cache in a folder, of what a model's encoders make (see `LatentCache`)."""
    text = encoder_fingerprint(family.encoder_folders["text"])
    return LatentCache(folder, text, clip_key(family), fps, short_clips, text_length, limits)


def clip_key(family: Family) -> str:
    """What latents depend on beside the clip."""
    first, *others = family.encoder_folders["clips"]
    return encoder_fingerprint([first]) + family.kind + encoder_fingerprint(others)


@dataclass(frozen=True)
class Encoding:
    """How the cache is filled.

    Attributes:
        device: where the encoders run.
        captions, clips: how many a call of the encoders.
        thorough: compare what is cached with its checksum, not its size alone.
        quiet: show no progress.
        say: prints.
    """

    device: torch.device
    captions: int = 32
    clips: int = 8
    thorough: bool = True
    quiet: bool = False
    say: Callable[[str], None] = print


@torch.no_grad()
def encode_captions(family: Family, cache: LatentCache, captions: Iterable[str], how: Encoding) -> None:
    """Encode the captions that are missing or damaged, exactly as the model's pipeline does (cleaning, length,
    padding), and store their real tokens."""
    todo = _to_make(list(dict.fromkeys(captions)), lambda caption: cache.text_state(caption, how.thorough), how)
    if not todo:
        return
    encode = family.text_encoder(how.device, cache.text_length)
    with tqdm(total=len(todo), desc="captions", unit="caption", disable=how.quiet) as bar:
        for start in range(0, len(todo), how.captions):
            part = todo[start : start + how.captions]
            for caption, tokens in zip(part, encode(part), strict=True):
                cache.write_text(caption, tokens)
            bar.update(len(part))
    del encode
    free_memory()


@torch.no_grad()
def encode_clips(family: Family, cache: LatentCache, clips: Sequence[PlannedClip], how: Encoding) -> list[BadClip]:
    """Encode the clips that are missing or damaged, several of one size a call. Clips that cannot be read are returned,
    not raised."""
    todo = _to_make(clips, lambda clip: cache.clip_state(clip, how.thorough), how)
    todo.sort(key=lambda clip: clip.bucket)
    bad: list[BadClip] = []
    if not todo:
        return bad
    encoder = family.clip_encoder(how.device)
    with tqdm(total=len(todo), desc="clips", unit="clip", disable=how.quiet) as bar:
        for part in _same_size(todo, how.clips):
            good, pixels = [], []
            for clip in part:
                try:
                    pixels.append(load_clip(clip, cache.fps, cache.short_clips, cache.limits))
                    good.append(clip)
                except Exception as error:  # a decoder may raise anything on a broken file
                    bad.append(BadClip(clip.record, str(error) or type(error).__name__))
            if good:
                tensors = encoder(torch.stack(pixels).to(how.device))
                for row, clip in enumerate(good):
                    cache.write_clip(clip, {name: value[row] for name, value in tensors.items()})
            bar.update(len(part))
    del encoder
    free_memory()
    return bad


def _to_make(items: Sequence[Any], state: Callable[[Any], str], how: Encoding) -> list[Any]:
    """The items whose files are missing or damaged; says which are damaged."""
    states = [state(item) for item in items]
    for found in states:
        if found not in ("whole", "missing"):
            how.say(f"damaged, made again: {found}")
    return [item for item, found in zip(items, states, strict=True) if found != "whole"]


def free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _same_size(clips: Sequence[PlannedClip], size: int) -> Iterable[Sequence[PlannedClip]]:
    """Chunks of at most `size` clips, each of one bucket; `clips` are sorted by bucket."""
    start = 0
    for end in range(1, len(clips) + 1):
        if end == len(clips) or end - start == size or clips[end].bucket != clips[start].bucket:
            yield clips[start:end]
            start = end
