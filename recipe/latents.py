"""Between the autoencoder and the base: encode a store's clips, or one frame of each alone, into latents."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from tqdm import tqdm

from recipe.vae import encode, full_sequence


def _final(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}_{kind}.npy")


@torch.no_grad()
def _encode_part(vae: AutoencoderKLWan, store: Path, part: range, temporary: Path, kind: str, show: bool) -> None:
    torch.set_num_threads(1)
    vae = vae.to(torch.bfloat16)
    clips, out = np.load(store, mmap_mode="r"), np.load(temporary, mmap_mode="r+")
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    rng = np.random.default_rng(part.start)
    batch = 48 if kind == "images" else 8
    for start in tqdm(range(part.start, part.stop, batch), desc=temporary.stem, mininterval=10, disable=not show):
        stop = min(start + batch, part.stop)
        if kind == "images":
            piece = np.stack([clips[i, rng.integers(clips.shape[1])][None] for i in range(start, stop)])
        else:
            piece = np.ascontiguousarray(clips[start:stop])
        pixels = torch.from_numpy(piece).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        if kind == "conditions":
            pixels[:, :, 1:] = 0
        with full_sequence():
            latents = encode(vae, pixels.to(torch.bfloat16)).chunk(2, dim=1)[0].float()
        out[start:stop] = ((latents - mean) / std).half().numpy()
    out.flush()


def encode_store(vae: AutoencoderKLWan, store: Path, count: int, path: Path, kind: str, workers: int) -> None:
    """Write `PATH_clips.npy` (float16 `[N, z, T, h, w]`, normalised), `PATH_images.npy` (`[N, z, 1, h, w]`) or
    `PATH_conditions.npy` (as clips).

    The image of a clip is a random frame of it, encoded alone as a first frame would be. Its condition is what
    image-to-video sees of it: the first frame, and mid-grey after it. The file appears under its name only when whole.
    """
    final = _final(path, kind)
    if final.exists():
        return
    frames, height, width = np.load(store, mmap_mode="r").shape[1:4]
    z, s, t = vae.config.z_dim, vae.config.scale_factor_spatial, vae.config.scale_factor_temporal
    length = 1 if kind == "images" else (frames - 1) // t + 1
    temporary = final.with_suffix(".tmp")
    np.lib.format.open_memmap(temporary, "w+", np.float16, (count, z, length, height // s, width // s))
    bounds = np.linspace(0, count, workers + 1).astype(int)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(_encode_part, vae, store, range(a, b), temporary, kind, i == 0)
            for i, (a, b) in enumerate(pairwise(bounds))
        ]
        for job in jobs:
            job.result()
    temporary.replace(final)


def load_latents(path: Path, kind: str) -> np.ndarray | None:
    """An array of `encode_store`, in memory; None when it was not made yet."""
    final = _final(path, kind)
    return np.load(final) if final.exists() else None
