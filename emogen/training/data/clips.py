"""From a video file to the tensor the autoencoder encodes: frame rate, number of frames, size, range."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from emogen.data.buckets import Bucket
from emogen.data.records import ClipRecord
from emogen.media.limits import DEFAULT_LIMITS, Limits
from emogen.media.reader import iterate_frames
from emogen.training.config import DataConfig


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
    frames: int | None = None
    """Of the whole clip at the model's rate."""
    last: float | None = None
    """Seconds after the first frame at which the clip's last one appears; None takes the clip to be learned whole."""


def resolve_geometry(made_for: Mapping[str, Any], config: DataConfig) -> ClipGeometry:
    """The configured geometry, with the gaps filled from what the model was made for (`Family.clip_defaults`)."""
    given = {field.name: getattr(config, field.name) for field in dataclasses.fields(ClipGeometry)}
    return ClipGeometry(**{name: made_for[name] if value is None else value for name, value in given.items()})


def load_clip(clip: PlannedClip, fps: float, short_clips: str, limits: Limits = DEFAULT_LIMITS) -> torch.Tensor:
    """[3, num_frames, height, width], float32 in [-1, 1]: the first frames at the model's rate, centre-cropped to the
    bucket's aspect ratio and resized.

    Frames are brought to their size one by one as they are decoded, so that memory does not depend on the file.

    Args:
        fps: the model's frames a second.
        short_clips: what to do with a clip that is too short: "skip", "loop" (start over) or "hold" (the last
            frame).

    Raises:
        ClipError: the clip is too short (and short clips are to be skipped).
        OSError, ValueError: it cannot be decoded, is damaged, or is too large.
    """
    height, width, need = clip.bucket.height, clip.bucket.width, clip.bucket.num_frames
    rate = None if need == 1 else fps
    pixels, have = torch.empty(3, need, height, width), 0
    for frame, _ in iterate_frames(clip.record.path, rate, need, damage="raise", limits=limits):
        shown = _fit_size(torch.from_numpy(frame).permute(2, 0, 1)[None].float(), height, width)[0]
        pixels[:, have] = (shown / 127.5 - 1).clamp(-1, 1)
        have += 1
    if have < need and (short_clips == "skip" or not have):
        raise ClipError(
            f"has {have} frames at {fps:g} fps, {need} are needed (data.short_clips: loop or hold would extend it)"
        )
    for row, source in enumerate(rows_of(have, need, short_clips)):
        if row >= have:
            pixels[:, row] = pixels[:, source]
    return pixels


def rows_of(have: int, need: int, short_clips: str) -> list[int]:
    """Which of a clip's `have` frames at the model's rate stands at each of the `need` places of its bucket."""
    return [row % have if short_clips == "loop" else min(row, have - 1) for row in range(need)]


def moments_in_clip(clip: PlannedClip, times: Sequence[float], fps: float, short_clips: str) -> list[float]:
    """The moments of the whole clip, 0 its first frame and 1 its last, that stand at `times` of what is learned of it.

    An arc is written for the whole clip. Of a long one a part is learned; a short one starts over or is held.

    Args:
        times: 0 (first learned frame) to 1 (last).
    """
    last, need = clip.last, clip.bucket.num_frames
    if not last or need == 1 or abs(last * fps - (need - 1)) < 1e-3:  # learned whole
        return list(times)
    have = clip.frames or need
    moments = []
    for time in times:
        place = time * (need - 1)
        if place > have - 1:
            place = place % have if short_clips == "loop" else have - 1
        moments.append(min(place / fps / last, 1.0))
    return moments


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
