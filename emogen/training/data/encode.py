"""The passes that fill the cache, run once before training: captions, then clips.

The encoders are loaded only when something is missing and freed afterwards; training itself never holds them. What
they make is what diffusers' own pipelines make: text through `WanPipeline.encode_prompt`, the first frame's CLIP
embedding, latents and mask through `WanImageToVideoPipeline.encode_image` and `prepare_latents`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline, WanPipeline
from PIL import Image
from tqdm import tqdm
from transformers import AutoTokenizer, UMT5EncoderModel

from emogen.data.records import ClipRecord
from emogen.training.data.cache import LatentCache
from emogen.training.data.clips import PlannedClip, load_clip
from emogen.training.families.wan import WanSpecification


@dataclass(frozen=True)
class BadClip:
    """A clip that could not be used, and why."""

    record: ClipRecord
    reason: str


@torch.no_grad()
def encode_captions(cache: LatentCache, captions: Iterable[str], device: torch.device, batch: int, quiet: bool) -> None:
    """Encode the captions that are missing, exactly as `WanPipeline.encode_prompt` does (cleaning, length,
    padding), and store their real tokens."""
    todo = [caption for caption in dict.fromkeys(captions) if not cache.has_text(caption)]
    if not todo:
        return
    model = cache.specification.folder
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
    cache: LatentCache, clips: Sequence[PlannedClip], device: torch.device, batch: int, quiet: bool
) -> list[BadClip]:
    """Encode the clips that are missing, several of one size a call. Clips that cannot be read are returned, not
    raised."""
    todo = sorted((clip for clip in clips if not cache.has_clip(clip)), key=lambda clip: clip.bucket)
    bad: list[BadClip] = []
    if not todo:
        return bad
    encoder = ClipEncoder(cache.specification, device)
    with tqdm(total=len(todo), desc="clips", unit="clip", disable=quiet) as bar:
        for part in _same_size(todo, batch):
            good, pixels = [], []
            for clip in part:
                try:
                    pixels.append(load_clip(clip, cache.fps, cache.short_clips, cache.limits))
                    good.append(clip)
                except Exception as error:  # a decoder may raise anything on a broken file
                    bad.append(BadClip(clip.record, str(error) or type(error).__name__))
            if good:
                tensors = encoder(torch.stack(pixels).to(device))
                for row, clip in enumerate(good):
                    cache.write_clip(clip, {name: value[row] for name, value in tensors.items()})
            bar.update(len(part))
    del encoder
    free_memory()
    return bad


class ClipEncoder:
    """Pixels to what training reads of a clip."""

    def __init__(self, specification: WanSpecification, device: torch.device):
        folder = specification.folder
        self._specification = specification
        self.vae = AutoencoderKLWan.from_pretrained(folder / "vae", torch_dtype=torch.float32).to(device).eval()
        self._pipeline = None
        if specification.kind == "i2v":
            encoder = processor = None
            if specification.image_branch:
                from transformers import CLIPImageProcessor, CLIPVisionModel

                encoder = CLIPVisionModel.from_pretrained(folder / "image_encoder", dtype=torch.float32)
                encoder = encoder.to(device).eval()
                processor = CLIPImageProcessor.from_pretrained(folder / "image_processor")
            self._pipeline = WanImageToVideoPipeline(
                tokenizer=None, text_encoder=None, vae=self.vae, scheduler=FlowMatchEulerDiscreteScheduler(),
                image_encoder=encoder, image_processor=processor,
            )  # fmt: skip

    @torch.no_grad()
    def __call__(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """[B, 3, F, H, W] in [-1, 1] to `latents` [B, C, f, h, w] (the mode of the posterior, normalised) and, for
        image-to-video, `condition` [B, temporal + C, f, h, w] and `image` [B, tokens, dim]."""
        found = {"latents": encode_pixels(self.vae, pixels)}
        if self._pipeline is None:
            return found
        frames, height, width = pixels.shape[2:]
        channels = self._specification.channels
        rows = [
            self._pipeline.prepare_latents(
                first[None], 1, channels, height, width, frames, torch.float32, pixels.device
            )[1]
            for first in pixels[:, :, 0]
        ]
        found["condition"] = torch.cat(rows)
        if self._specification.image_branch:
            shown = ((pixels[:, :, 0] + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
            images = [Image.fromarray(picture) for picture in shown]
            found["image"] = self._pipeline.encode_image(images, pixels.device)
        return found


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


def _same_size(clips: Sequence[PlannedClip], size: int) -> Iterable[Sequence[PlannedClip]]:
    """Chunks of at most `size` clips, each of one bucket; `clips` are sorted by bucket."""
    start = 0
    for end in range(1, len(clips) + 1):
        if end == len(clips) or end - start == size or clips[end].bucket != clips[start].bucket:
            yield clips[start:end]
            start = end
