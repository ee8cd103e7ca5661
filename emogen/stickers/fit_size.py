"""A clip under a limit of kilobytes: what to give up, in which order, and never more than allowed.

In this order, each down to its floor before the next is touched:

1. quality (WebP, WebM, MP4) or the number of colours (GIF; APNG and PNG, which begin with all colours);
2. size, for a sharp small sticker reads better than a smeared large one;
3. frame rate, last, for the emotion is in the motion.

Within the first combination of size and rate that fits at the floor of quality, the best quality that fits is kept.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from emogen.files import atomic
from emogen.media.limits import VideoError
from emogen.media.pixels import resample_frames, resize_frames
from emogen.media.reader import probe
from emogen.media.writer import check_writable, write_video

_QUALITIES = (95, 90, 85, 80, 75, 70, 65, 60, 55, 50, 45, 40, 35, 30, 25, 20, 15, 10, 5)
_COLOURS = (256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8)
_SHRINK = 0.85  # a step in size: a quarter less area
_SLOWER = 0.8  # a step in rate


class SizeError(ValueError):
    """A clip does not fit under the limit; the message gives the smallest size reached and at what."""


@dataclass(frozen=True)
class Fitted:
    """A clip as it was written.

    Attributes:
        path: the file.
        num_bytes: its length.
        quality, colours: what it was encoded with; None where the format has no such thing or all colours are kept.
        height, width, num_frames, fps: what it has.
        changes: what was given up, in words; empty when nothing was.
    """

    path: Path
    num_bytes: int
    quality: int | None
    colours: int | None
    height: int
    width: int
    num_frames: int
    fps: float
    changes: tuple[str, ...]


def write_within(
    path: str | Path,
    frames: np.ndarray,
    fps: float,
    max_kb: float,
    metadata: Mapping[str, Any] | None = None,
    *,
    quality: int = 90,
    min_quality: int = 40,
    min_colours: int = 32,
    min_side: int = 96,
    min_fps: float = 6.0,
) -> Fitted:
    """Write a clip as `write_video` does, in a file of at most `max_kb`, giving up as little as it takes.

    A floor above what the clip has means that this is not touched: `min_side=frames.shape[1]` keeps the size.

    Args:
        path: .gif, .webp, .apng, .png, .mp4 or .webm.
        frames: uint8 `(F, H, W, 3 or 4)`.
        max_kb: the limit in units of 1024 bytes, the metadata included.
        metadata: kept in the file as by `write_video`.
        quality: the best to try, for WebP, WebM and MP4.
        min_quality, min_colours, min_side, min_fps: the floors; `min_side` is the shorter side in pixels.

    Returns:
        What was written and what was given up.

    Raises:
        SizeError: it does not fit even at the floors; no file is written, an old one stays.
        ValueError: a limit, quality or floor out of range.
        VideoError: from `write_video`.
    """
    path = check_writable(path)
    frames = np.asarray(frames)
    _check_limits(max_kb, quality, min_quality, min_colours, min_side, min_fps)
    ladder = _ladder(path.suffix.lower(), quality, min_quality, min_colours)
    path.parent.mkdir(parents=True, exist_ok=True)
    smallest: tuple[int, str] | None = None
    with TemporaryDirectory(prefix=".fit.", dir=path.parent) as folder:
        for height, width, rate in _rungs(frames, fps, min_side, min_fps):
            clip = resample_frames(resize_frames(frames, height, width), fps, rate)
            rate = len(clip) * fps / len(frames)  # a whole number of frames in the same time
            tried: dict[int, int] = {}

            def encode(index: int, clip=clip, rate=rate, tried=tried) -> int:
                if index not in tried:
                    draft = Path(folder) / f"{index}{path.suffix}"
                    write_video(draft, clip, rate, metadata, **ladder[index])
                    tried[index] = draft.stat().st_size
                return tried[index]

            best = _best(len(ladder), encode, max_kb * 1024)
            if best is not None:
                with atomic(path) as temporary:
                    os.replace(Path(folder) / f"{best}{path.suffix}", temporary)
                lost = [f"{_named(ladder[0])} -> {_named(ladder[best])}"] if best else []
                return describe(path, frames, fps, lost, **ladder[best])
            least = min(tried, key=tried.get)
            if smallest is None or tried[least] < smallest[0]:
                smallest = tried[least], f"{width}x{height}, {rate:.3g} frames/s, {_named(ladder[least])}"
    raise SizeError(
        f"{path}: does not fit in {max_kb:g} KB; the smallest reached is {smallest[0] / 1024:.1f} KB at "
        f"{smallest[1]}. Lower a floor (min_quality, min_colours, min_side, min_fps), shorten the clip, or "
        "allow more KB"
    )


def _check_limits(
    max_kb: float, quality: int, min_quality: int, min_colours: int, min_side: int, min_fps: float
) -> None:
    if not (math.isfinite(max_kb) and max_kb > 0):
        raise ValueError(f"max_kb is {max_kb}; it must be positive")
    if not 0 <= min_quality <= quality <= 100:
        raise ValueError(f"0 <= min_quality <= quality <= 100 must hold, not {min_quality} and {quality}")
    if not 4 <= min_colours <= 256:
        raise ValueError(f"min_colours must be 4 to 256, not {min_colours}")
    if min_side < 1 or not min_fps > 0:
        raise ValueError(f"min_side and min_fps must be positive, not {min_side} and {min_fps}")


def _ladder(ending: str, quality: int, min_quality: int, min_colours: int) -> list[dict[str, int]]:
    """Arguments of `write_video` from the best to the floor."""
    if ending in (".webp", ".webm", ".mp4"):
        steps = sorted({quality, min_quality, *(q for q in _QUALITIES if min_quality < q < quality)}, reverse=True)
        return [{"quality": q} for q in steps]
    steps = sorted({min_colours, *(c for c in _COLOURS if c > min_colours)}, reverse=True)
    return [*([{}] if ending != ".gif" else []), *({"colours": c} for c in steps)]


def _rungs(frames: np.ndarray, fps: float, min_side: int, min_fps: float) -> Iterator[tuple[int, int, float]]:
    """Height, width and rate, from all of both down: first size to its floor, then rate to its."""
    full_height, full_width = frames.shape[1:3]
    short = min(full_height, full_width)
    floor = min(1.0, min_side / short)
    size = 1.0
    while True:
        # Even sizes suit video codecs; the shorter side never falls below the floor, the full size is never changed.
        height, width = (
            full if size == 1 else min(full, max(2, 2 * math.ceil(full * size / 2)))
            for full in (full_height, full_width)
        )
        yield height, width, fps
        if size <= floor:
            break
        size = max(size * _SHRINK, floor)
    rate = fps
    while rate > min_fps and len(frames) > 1:
        rate = max(rate * _SLOWER, min_fps)
        count = len(frames) * rate / fps
        if round(count) * fps / len(frames) < min_fps:  # rounding to whole frames must not pass the floor
            rate = math.ceil(count) * fps / len(frames)
            yield height, width, rate
            break
        yield height, width, rate


def _best(count: int, encode, limit: float) -> int | None:
    """The first index of 0..count-1 whose size is within `limit`, taking sizes to fall with the index; None if none."""
    if encode(0) <= limit:
        return 0
    if encode(count - 1) > limit:
        return None
    too_big, fits = 0, count - 1
    while fits - too_big > 1:
        middle = (fits + too_big) // 2
        if encode(middle) <= limit:
            fits = middle
        else:
            too_big = middle
    return fits


def _named(options: dict[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items()) or "all colours"


def describe(
    path: Path,
    frames: np.ndarray,
    fps: float,
    changes: Sequence[str] = (),
    quality: int | None = None,
    colours: int | None = None,
) -> Fitted:
    """What a written file is, as it reads back, and what became of the clip that was given for it.

    Args:
        frames, fps: as they were given.
        changes: what is known to have been done besides.

    Raises:
        VideoError: the file does not read back whole.
    """
    about = probe(path)
    if about.damaged:
        raise VideoError(f"{path}: was written, but reads back {about.damaged}")
    said = list(changes)
    rate = about.fps or fps  # a still has no rate
    if (about.height, about.width) != frames.shape[1:3]:
        said.append(f"size {frames.shape[2]}x{frames.shape[1]} -> {about.width}x{about.height}")
    if about.frames != len(frames):
        said.append(f"{len(frames)} frames at {fps:.3g} a second -> {about.frames} at {rate:.3g}")
    elif about.frames > 1 and abs(rate - fps) > 0.005 * fps:
        said.append(f"{fps:.3g} frames a second -> {rate:.3g}")
    if frames.shape[-1] == 4 and frames[..., 3].min() < 255 and path.suffix.lower() == ".mp4":
        said.append("transparent parts laid on white")
    return Fitted(
        path, path.stat().st_size, quality, colours, about.height, about.width, about.frames, rate, tuple(said)
    )
