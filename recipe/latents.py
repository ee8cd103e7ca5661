"""Latents of drawn and real clips, made once: drawing and encoding are a good part of a base's step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan

from recipe import store
from recipe.vae import normalised_latents, to_pixels
from recipe.world import Item

BATCH = 8


def write_latents(
    vae: AutoencoderKLWan, items: Sequence[Item], folder: Path, shard: int, conditions: bool = False
) -> None:
    """A store with `clips` (float16 `[z, T, h, w]`, normalised) and `images` (`[z, 1, h, w]`).

    The image of a clip is a random frame of it, encoded alone as a first frame would be. With `conditions` also what
    image-to-video sees of it: `conditions`, the first frame and mid-grey after it, and `first`, uint8 `[H, W, 3]`.
    """

    def make(part: range) -> tuple[dict[str, np.ndarray], list[dict]]:
        rng = np.random.default_rng(part.start)
        made: dict[str, list[np.ndarray]] = {}
        records = []
        for start in range(part.start, part.stop, BATCH):
            drawn = [items[index] for index in range(start, min(start + BATCH, part.stop))]
            pixels = to_pixels(np.stack([item.clip for item in drawn]))
            chosen = rng.integers(pixels.shape[2], size=len(drawn))
            views = {
                "clips": pixels,
                "images": torch.stack([p[:, t : t + 1] for p, t in zip(pixels, chosen, strict=True)]),
            }
            if conditions:
                views["conditions"] = torch.cat([pixels[:, :, :1], torch.zeros_like(pixels[:, :, 1:])], dim=2)
                made.setdefault("first", []).append(np.stack([item.clip[0] for item in drawn]))
            for name, view in views.items():
                made.setdefault(name, []).append(normalised_latents(vae, view).half().numpy())
            records += [item.record for item in drawn]
        return {name: np.concatenate(parts) for name, parts in made.items()}, records

    store.write(folder, len(items), shard, make)


def write_pixels(items: Sequence[Item], folder: Path, shard: int, size: int | None = None) -> None:
    """A store with `clips`, uint8 `[F, H, W, 3]`, made smaller to `size` pixels a side if it is given."""

    def make(part: range) -> tuple[dict[str, np.ndarray], list[dict]]:
        drawn = [items[index] for index in part]
        clips = [item.clip if size is None else smaller(item.clip, size) for item in drawn]
        return {"clips": np.stack(clips)}, [item.record for item in drawn]

    store.write(folder, len(items), shard, make)


def smaller(clip: np.ndarray, size: int) -> np.ndarray:
    """A uint8 clip `[F, H, W, 3]` at `size` pixels a side."""
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2).float()
    out = torch.nn.functional.interpolate(frames, (size, size), mode="bilinear", antialias=True)
    return out.permute(0, 2, 3, 1).round().clamp(0, 255).to(torch.uint8).numpy()
