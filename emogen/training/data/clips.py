"""From a video file to the tensor the autoencoder encodes: frame rate, number of frames, size, range."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from emogen.data.buckets import Bucket
from emogen.data.records import ClipRecord
from emogen.media.pixels import resample_frames
from emogen.media.reader import read_video
from emogen.pipelines.defaults import GenerationDefaults
from emogen.training.config import DataConfig

# Wan2.1 at 480p, for a model whose folder does not say what it was made for
_WAN_DEFAULTS = {"height": 480, "width": 832, "num_frames": 81, "fps": 16.0, "max_sequence_length": 512}


class ClipError(ValueError):
    """A clip cannot be used; the message says why."""


@dataclass(frozen=True)
class ClipGeometry:
    """How clips are laid out in time and space."""

    height: int
    width: int
    num_frames: int
    """4k + 1."""
    fps: float
    max_sequence_length: int
    """Text tokens after padding."""


@dataclass(frozen=True)
class PlannedClip:
    """A record and the size it is brought to."""

    record: ClipRecord
    bucket: Bucket


def resolve_geometry(model: Path, config: DataConfig) -> ClipGeometry:
    """The configured geometry, with the gaps filled from the model's `generation_config.json`, else from the
    published Wan2.1 settings."""
    made_for = GenerationDefaults.from_pretrained(model)
    values = {}
    for name, published in _WAN_DEFAULTS.items():
        given = [getattr(config, name), getattr(made_for, name), published]
        values[name] = next(value for value in given if value is not None)
    return ClipGeometry(**values)


def load_clip(clip: PlannedClip, fps: float, short_clips: str) -> torch.Tensor:
    """[3, num_frames, height, width], float32 in [-1, 1]: the first frames at the model's rate, centre-cropped to the
    bucket's aspect ratio and resized.

    Args:
        fps: the model's frames a second.
        short_clips: what to do with a clip that is too short: "skip", "loop" (start over) or "hold" (the last
            frame).

    Raises:
        ClipError: the clip is too short (and short clips are to be skipped).
        OSError, ValueError: it cannot be decoded.
    """
    frames, own_fps = read_video(clip.record.path)
    if clip.bucket.num_frames == 1:
        frames = frames[:1]
    else:
        frames = resample_frames(np.asarray(frames), own_fps, fps)
        frames = _fit_length(frames, clip.bucket.num_frames, fps, short_clips)
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    pixels = _fit_size(pixels, clip.bucket.height, clip.bucket.width)
    return (pixels / 127.5 - 1).clamp(-1, 1).permute(1, 0, 2, 3).contiguous()


def _fit_length(frames: np.ndarray, need: int, fps: float, short_clips: str) -> np.ndarray:
    have = len(frames)
    if have >= need:
        return frames[:need]
    if short_clips == "skip" or have == 0:
        raise ClipError(
            f"has {have} frames at {fps:g} fps, {need} are needed (data.short_clips: loop or hold would extend it)"
        )
    rows = np.arange(need)
    return frames[rows % have if short_clips == "loop" else rows.clip(max=have - 1)]


def _fit_size(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Centre-crop [F, 3, H, W] to the target's aspect ratio, then resize."""
    have_h, have_w = pixels.shape[-2:]
    crop_h = min(have_h, round(have_w * height / width))
    crop_w = min(have_w, round(have_h * width / height))
    top, left = (have_h - crop_h) // 2, (have_w - crop_w) // 2
    pixels = pixels[..., top : top + crop_h, left : left + crop_w]
    if (crop_h, crop_w) == (height, width):
        return pixels
    return functional.interpolate(pixels, (height, width), mode="bicubic", antialias=True).clamp(0, 255)
