"""Clips in and out of files: MP4, WebM, GIF, WebP, APNG and still images, with what made them written inside.

Animated images go through Pillow, which keeps alpha and per-frame durations; MP4 and WebM go through imageio's ffmpeg,
whose binary comes with the package. Writing is atomic: a file appears under its name only when it is whole. What is
read back has the frames and the rate that were written, still clips included, as long as nobody re-timed the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.media.ffmpeg import check_ffmpeg_can, read_ffmpeg, text_in, undecodable, write_ffmpeg
from emogen.media.images import read_images, text_of, write_images
from emogen.media.video_file import (
    ANIMATED,
    METADATA_KEY,
    VIDEO,
    WRITABLE,
    Timing,
    VideoError,
    appearing,
    check_writable,
    pack,
    unpack,
)

__all__ = [
    "ANIMATED",
    "METADATA_KEY",
    "VIDEO",
    "WRITABLE",
    "VideoError",
    "VideoInfo",
    "check_writable",
    "enlarge",
    "lay_on",
    "probe_video",
    "read_metadata",
    "read_video",
    "resample_frames",
    "to_uint8",
    "write_video",
]


def read_video(path: str | Path, alpha: bool = False) -> tuple[np.ndarray, float]:
    """Frames uint8 `(F, H, W, 3)`, or `(F, H, W, 4)` with `alpha`, and frames a second.

    A file from `write_video` gives the frames and the rate that were written, equal neighbours included. In other
    animated images, frames of unequal durations are repeated onto a regular grid of the shortest one, and a still
    image is one frame at 1 frame a second. Without `alpha`, transparent parts lie on white.

    Raises:
        FileNotFoundError: no such file.
        VideoError: an unknown ending, or a file that cannot be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no video file {path}")
    ending = path.suffix.lower()
    try:
        if ending in VIDEO:
            frames, header = read_ffmpeg(path)
            fps = header["fps"]
        elif ending in (*ANIMATED, ".jpg", ".jpeg", ".bmp"):
            frames, fps = read_images(path)
        else:
            what = ending or "a file without ending"
            raise VideoError(f"{path}: cannot read {what!r}; use {', '.join((*VIDEO, *ANIMATED))}")
    except VideoError:
        raise
    except Exception as error:  # decoders raise all sorts; what counts is which file
        raise undecodable(path, error) from None
    if not alpha:
        return lay_on(frames), fps
    if frames.shape[-1] == 3:
        frames = np.concatenate([frames, np.full_like(frames[..., :1], 255)], axis=-1)
    return frames, fps


@dataclass(frozen=True)
class VideoInfo:
    """What a clip is like: frames, frames a second, height and width in pixels."""

    num_frames: int
    fps: float
    height: int
    width: int

    def frames_at(self, fps: float) -> int:
        """Frames after `resample_frames` to another rate; a still image stays one."""
        return 1 if self.num_frames == 1 else max(1, round(self.num_frames * fps / self.fps))


def probe_video(path: str | Path) -> VideoInfo:
    """What a clip is like, without decoding more than its header where that says it.

    Raises:
        FileNotFoundError: no such file.
        VideoError: it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() not in VIDEO:
        frames, fps = read_video(path)  # durations of a WebP are known only after decoding
        return VideoInfo(len(frames), fps, *frames.shape[1:3])
    if not path.is_file():
        raise FileNotFoundError(f"no video file {path}")
    try:
        _, about = read_ffmpeg(path, header_only=True)
        width, height = about["size"]
        count, fps = round(about["duration"] * about["fps"]), about["fps"]
    except Exception as error:  # decoders raise all sorts; what counts is which file
        raise undecodable(path, error) from None
    if about.get("rotate") in (90, 270, -90):
        width, height = height, width
    return VideoInfo(max(1, count), fps, height, width)


def to_uint8(frames: np.ndarray) -> np.ndarray:
    """Frames in [0, 1], as pipelines give them, as uint8 of the same shape; what lies outside is cut."""
    return (np.asarray(frames, dtype=np.float32).clip(0, 1) * 255).round().astype(np.uint8)


def lay_on(frames: np.ndarray, colour: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """Frames uint8 `(F, H, W, 4)` on a plain sRGB colour, as `(F, H, W, 3)`; opaque frames come back as they are."""
    if frames.shape[-1] == 3:
        return frames
    out = np.empty((*frames.shape[:-1], 3), np.uint8)
    for frame, flat in zip(frames, out, strict=True):  # frame by frame: a long clip as floats is large
        share = frame[..., 3:].astype(np.float32) / 255
        flat[:] = (frame[..., :3] * share + np.float32(colour) * (1 - share)).round()
    return out


def resample_frames(frames: np.ndarray, src_fps: float, dst_fps: float, num_frames: int | None = None) -> np.ndarray:
    """Bring frames to another rate by taking the nearest in time.

    Args:
        frames: `(F, ...)`.
        num_frames: stop after so many; None gives the whole length.

    Returns:
        `(F', ...)`, the first frame first.

    Raises:
        ValueError: a rate that is not positive.
    """
    if src_fps <= 0 or dst_fps <= 0:
        raise ValueError(f"frame rates must be positive, not {src_fps:g} and {dst_fps:g}")
    count = max(1, round(len(frames) * dst_fps / src_fps))
    rows = np.floor(np.arange(count) * src_fps / dst_fps + 0.5 - 1e-6).astype(int).clip(0, len(frames) - 1)
    return frames[rows[:num_frames]]


def enlarge(frames: np.ndarray, min_side: int) -> np.ndarray:
    """Enlarge frames `(F, H, W, C)` by a whole factor until the shorter side is at least `min_side`; never shrinks.

    Lanczos, for stickers are smooth; a whole factor keeps sizes even.
    """
    factor = -(-min_side // min(frames.shape[1:3]))
    if factor <= 1:
        return frames
    size = (frames.shape[2] * factor, frames.shape[1] * factor)
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.LANCZOS)) for f in frames])


def write_video(
    path: str | Path,
    frames: np.ndarray,
    fps: float,
    metadata: Mapping[str, Any] | None = None,
    *,
    quality: int = 90,
    colours: int | None = None,
    background: tuple[int, int, int] = (255, 255, 255),
) -> Path:
    """Write a clip by the ending of its name, atomically; animated images loop for ever.

    Alpha is kept by WebM and WebP, by APNG and PNG, and as all or nothing (from 128) by GIF. MP4 has none: there the
    clip is laid on `background`. MP4 also needs even sizes: an odd one grows by a repeated row or column. A GIF shows
    at most 50 frames a second; a faster clip is thinned to that.

    Args:
        path: ending in .mp4, .webm (VP9), .gif, .webp, .apng or .png (which is animated too); folders are made.
        frames: uint8 `(F, H, W, 3 or 4)`.
        metadata: what made the clip; kept inside the file as JSON and read back by `read_metadata`.
        quality: 0-100, for WebP, WebM and MP4.
        colours: 4-256, for GIF (256 when None), APNG and PNG (all colours when None).
        background: sRGB 0-255, for MP4.

    Raises:
        VideoError: an unknown ending, frames of another form, a rate that is not positive, metadata with the
            key `_clip` or too long for a video file, or WebM without a VP9 encoder.
        ValueError: a number of colours outside 4-256.
    """
    path = check_writable(path)
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] not in (3, 4) or not len(frames):
        raise VideoError(f"{path}: frames must be uint8 (F, H, W, 3 or 4), not {frames.dtype} {frames.shape}")
    if not (math.isfinite(fps) and fps > 0):
        raise VideoError(f"{path}: fps is {fps}; it must be positive")
    if path.suffix.lower() in VIDEO:
        text = pack(metadata, None, path)
        check_ffmpeg_can(path, text)
        shown = lay_on(frames, background) if path.suffix.lower() == ".mp4" else frames
        with appearing(path) as temporary:
            write_ffmpeg(temporary, shown, fps, text, quality)
    else:
        timing = Timing(len(frames), float(fps))
        text = pack(metadata, timing, path)
        with appearing(path) as temporary:
            write_images(temporary, frames, timing, text, quality, colours)
    return path


def read_metadata(path: str | Path) -> dict[str, Any] | None:
    """What `write_video` kept inside a clip; None when there is nothing of emogen's.

    It comes back as JSON keeps it: tuples are lists, keys are text.

    Raises:
        FileNotFoundError: no such file.
        VideoError: a file that cannot be opened.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no video file {path}")
    if path.suffix.lower() in VIDEO:
        return unpack(text_in(path))[0]
    try:
        image = Image.open(path)
    except OSError as error:
        raise undecodable(path, error) from None
    with image:
        return unpack(text_of(image))[0]
