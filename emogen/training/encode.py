"""The passes that fill the cache, run once before training: captions, then clips.

The text encoder and the autoencoder are loaded only when something is missing and freed afterwards; training
itself never holds them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanPipeline
from tqdm import tqdm
from transformers import AutoTokenizer, UMT5EncoderModel

from emogen.data.records import ClipRecord
from emogen.emotion import scrub_emotion_words
from emogen.training.cache import LatentCache
from emogen.training.clips import load_clip


@dataclass(frozen=True)
class BadClip:
    """A clip that could not be used, and why."""

    record: ClipRecord
    reason: str


@dataclass(frozen=True)
class ScrubbedCaption:
    """A caption before and after its emotion words were taken out."""

    row: int
    before: str
    after: str
    words: list[str]


def scrub_records(records: Iterable[ClipRecord]) -> tuple[list[ClipRecord], list[ScrubbedCaption]]:
    """Take the emotion words out of every caption, so that the emotion reaches the model only through the
    adapter and not through the text. Captions without such words stay exactly as they are.

    Returns:
        All records, and what changed.
    """
    kept, changed = [], []
    for record in records:
        caption, words = scrub_emotion_words(record.caption)
        if words:
            changed.append(ScrubbedCaption(record.row, record.caption, caption, words))
            record = replace(record, caption=caption)
        kept.append(record)
    return kept, changed


@torch.no_grad()
def encode_captions(
    cache: LatentCache, model: Path, captions: Iterable[str], device: torch.device, batch: int, quiet: bool
) -> None:
    """Encode the captions that are missing, exactly as `WanPipeline.encode_prompt` does (cleaning, length,
    padding), and store their real tokens."""
    todo = [caption for caption in dict.fromkeys(captions) if not cache.has_text(caption)]
    if not todo:
        return
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    encoder = UMT5EncoderModel.from_pretrained(model / "text_encoder", dtype=dtype).to(device).eval()
    tokenizer = AutoTokenizer.from_pretrained(model / "tokenizer")
    pipeline = WanPipeline(tokenizer=tokenizer, text_encoder=encoder, vae=None, scheduler=None)
    with tqdm(total=len(todo), desc="captions", unit="caption", disable=quiet) as bar:
        for part in _chunks(todo, batch):
            embeds, _ = pipeline.encode_prompt(
                part, do_classifier_free_guidance=False, max_sequence_length=cache.text_length, device=device
            )
            for caption, row in zip(part, embeds, strict=True):
                real = int(row.ne(0).any(-1).sum())  # the pipeline pads with exact zeros
                cache.write_text(caption, row[:real])
            bar.update(len(part))
    del pipeline, encoder
    free_memory()


@torch.no_grad()
def encode_clips(
    cache: LatentCache,
    model: Path,
    records: Sequence[ClipRecord],
    device: torch.device,
    batch: int,
    quiet: bool,
) -> list[BadClip]:
    """Encode the clips that are missing, several a call: the mode of the posterior, normalised as
    `(z - latents_mean) / latents_std`. Clips that cannot be read are returned, not raised."""
    todo = [record for record in records if not cache.has_latents(record)]
    bad: list[BadClip] = []
    if not todo:
        return bad
    vae = AutoencoderKLWan.from_pretrained(model / "vae", torch_dtype=torch.float32).to(device).eval()
    with tqdm(total=len(todo), desc="clips", unit="clip", disable=quiet) as bar:
        for part in _chunks(todo, batch):
            good, pixels = [], []
            for record in part:
                try:
                    pixels.append(load_clip(record, cache.geometry))
                    good.append(record)
                except Exception as error:  # a decoder may raise anything on a broken file
                    bad.append(BadClip(record, str(error) or type(error).__name__))
            if good:
                latents = encode_pixels(vae, torch.stack(pixels).to(device))
                for record, row in zip(good, latents, strict=True):
                    cache.write_latents(record, row)
            bar.update(len(part))
    del vae
    free_memory()
    return bad


def encode_pixels(vae: AutoencoderKLWan, pixels: torch.Tensor) -> torch.Tensor:
    """[B, 3, F, H, W] in [-1, 1] to normalised latents [B, C, f, h, w]."""
    latents = vae.encode(pixels.to(vae.dtype)).latent_dist.mode()
    shape = (1, -1, 1, 1, 1)
    mean = torch.tensor(vae.config.latents_mean, device=latents.device, dtype=latents.dtype).view(shape)
    std = torch.tensor(vae.config.latents_std, device=latents.device, dtype=latents.dtype).view(shape)
    return (latents - mean) / std


def free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _chunks(items: Sequence, size: int) -> Iterable[Sequence]:
    return (items[start : start + size] for start in range(0, len(items), size))
