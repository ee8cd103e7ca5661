"""Clips that start over without a jump, and a measure of the jump."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

METHODS = ("auto", "crossfade", "pingpong")
_SMOOTH = 1.5  # a seam up to this many ordinary steps goes unnoticed
_ALIKE = 4.0  # ends up to this many steps apart blend without showing double


@dataclass(frozen=True)
class Loop:
    """A clip made to loop.

    Attributes:
        frames: uint8 `(F', H, W, C)`.
        method: what was done: "none", "crossfade" or "pingpong".
        seam_before, seam_after: `seam_error` of the clip as it was and as it is.
    """

    frames: np.ndarray
    method: str
    seam_before: float
    seam_after: float


def seam_error(frames: np.ndarray) -> float:
    """The jump from the last frame to the first, in ordinary steps: 1 goes on as the clip goes, 0 is a repeated frame.

    The distance from last to first over the mean distance of neighbouring frames, both as mean absolute difference,
    colours weighted by alpha. A clip that stands still has 0; one that stands still but for its seam, infinity.

    Args:
        frames: uint8 `(F, H, W, 3 or 4)`.

    Raises:
        ValueError: frames of another form.
    """
    frames = _checked(frames)
    if len(frames) == 1:
        return 0.0
    jump = _distance(frames[-1], frames[0])
    step = float(np.mean([_distance(a, b) for a, b in pairwise(frames)]))
    if step == 0:
        return 0.0 if jump == 0 else float("inf")
    return jump / step


def make_seamless(
    frames: np.ndarray, method: str = "auto", *, overlap: int | None = None, max_frames: int | None = None
) -> Loop:
    """Make a clip start over without a jump.

    - "crossfade" blends the last `overlap` frames into the first ones; the clip gets that much shorter. Motion shows
      double where the ends differ much.
    - "pingpong" plays forwards, then backwards: `2 F - 2` frames, no blending, but falling things rise again.
    - "auto" leaves a clip alone whose seam is at most 1.5 steps, blends ends at most 4 steps apart, and otherwise
      plays back and forth, unless that has more than `max_frames`.

    Args:
        frames: uint8 `(F, H, W, 3 or 4)`.
        method: one of `METHODS`.
        overlap: frames to blend, 1 to F // 2; None takes a quarter of the clip.
        max_frames: the most frames that the result may have.

    Raises:
        ValueError: frames, a method or an overlap of another form, fewer than 3 frames to loop, or a result of more
            than `max_frames`.
    """
    frames = _checked(frames)
    if method not in METHODS:
        raise ValueError(f"loop method {method!r} is not one of {', '.join(METHODS)}")
    before = seam_error(frames)
    count = len(frames)
    if method == "auto":
        fits = max_frames is None or 2 * count - 2 <= max_frames
        if before <= _SMOOTH:
            method = "none"
        else:
            method = "crossfade" if before <= _ALIKE or not fits else "pingpong"
    if method != "none" and count < 3:
        raise ValueError(f"a loop needs at least 3 frames, not {count}")
    if method == "crossfade":
        out = _crossfade(frames, max(1, count // 4) if overlap is None else overlap)
    else:
        out = np.concatenate([frames, frames[-2:0:-1]]) if method == "pingpong" else frames
    if max_frames is not None and len(out) > max_frames:
        raise ValueError(
            f"the loop ({method}) has {len(out)} frames, at most {max_frames} are allowed; "
            "begin with fewer frames" + (" or use crossfade" if method == "pingpong" else "")
        )
    return Loop(out, method, before, seam_error(out))


def _checked(frames: np.ndarray) -> np.ndarray:
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] not in (3, 4) or not len(frames):
        raise ValueError(f"frames must be uint8 (F, H, W, 3 or 4), not {frames.dtype} {frames.shape}")
    return frames


def _weighted(frames: np.ndarray) -> np.ndarray:
    """Colours times alpha, and alpha, as float."""
    values = frames.astype(np.float32)
    if frames.shape[-1] == 4:
        values[..., :3] *= values[..., 3:] / 255
    return values


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(_weighted(one) - _weighted(other)).mean())


def _crossfade(frames: np.ndarray, overlap: int) -> np.ndarray:
    """The clip without its last `overlap` frames, which fade out over the first ones instead."""
    if not 1 <= overlap <= len(frames) // 2:
        raise ValueError(f"overlap must be 1 to {len(frames) // 2} for {len(frames)} frames, not {overlap}")
    out = frames[:-overlap].copy()
    for index in range(overlap):
        new = (index + 1) / (overlap + 1)
        mixed = new * _weighted(frames[index]) + (1 - new) * _weighted(frames[len(frames) - overlap + index])
        if frames.shape[-1] == 4:
            mixed[..., :3] *= 255 / np.maximum(mixed[..., 3:], 1e-3)
        out[index] = mixed.clip(0, 255).round()
    return out
