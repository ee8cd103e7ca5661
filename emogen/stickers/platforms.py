"""What chat platforms take as an animated sticker, and clips written to fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.media.limits import VideoError
from emogen.media.pixels import resample_frames, resize_frames
from emogen.media.reader import probe
from emogen.stickers.fit_size import Fitted, write_within

TOO_LONG = ("speed", "cut", "error")


@dataclass(frozen=True)
class Platform:
    """One platform's rules for an animated sticker.

    Attributes:
        endings: of the files it takes, the best first.
        side: width and height in pixels.
        max_kb: of 1024 bytes.
        max_seconds, max_fps, max_frames: None where it names no limit.
        min_fps: what `write_for` does not go below to save bytes.
    """

    name: str
    endings: tuple[str, ...]
    side: int
    max_kb: int
    max_seconds: float | None = None
    max_fps: float | None = None
    max_frames: int | None = None
    min_fps: float = 6.0

    def check(self, path: str | Path) -> list[str]:
        """What a file breaks of these rules, in words; empty when it may be uploaded.

        Raises:
            FileNotFoundError, VideoError: from `probe`.
        """
        path = Path(path)
        about = probe(path)
        wrong = []
        if path.suffix.lower() not in self.endings:
            wrong.append(f"{self.name} takes {' or '.join(self.endings)}, not {path.suffix}")
        if (about.height, about.width) != (self.side, self.side):
            wrong.append(f"it is {about.width}x{about.height} pixels, not {self.side}x{self.side}")
        if path.stat().st_size > self.max_kb * 1024:
            wrong.append(f"it has {path.stat().st_size / 1024:.1f} KB, more than {self.max_kb}")
        if self.max_seconds and about.duration > self.max_seconds + 0.01:
            wrong.append(f"it lasts {about.duration:.2f} s, more than {self.max_seconds:g}")
        if self.max_fps and about.fps > self.max_fps * 1.001:
            wrong.append(f"it has {about.fps:.4g} frames/s, more than {self.max_fps:g}")
        if self.max_frames and about.frames > self.max_frames:
            wrong.append(f"it has {about.frames} frames, more than {self.max_frames}")
        if path.suffix.lower() == ".webp" and not _moves(path):
            wrong.append("it does not move: the file holds one picture")
        if path.suffix.lower() == ".webm" and "vp9" not in about.codec:
            wrong.append("its codec is not VP9")
        return wrong


PLATFORMS: dict[str, Platform] = {
    platform.name: platform
    for platform in (
        # core.telegram.org/stickers, "Video stickers": WebM with VP9, no audio, one side of 512 pixels and the other
        # at most that, 3 seconds, 30 frames a second, 256 KB.
        Platform("telegram", (".webm",), 512, 256, max_seconds=3, max_fps=30),
        # github.com/WhatsApp/stickers, Android/README.md, "Sticker art and app requirements": animated WebP, 512x512,
        # at most 500 KB and 10 seconds, a frame of at least 8 ms.
        Platform("whatsapp", (".webp",), 512, 500, max_seconds=10, max_fps=125),
        # support.discord.com, "Tips for Sticker Creators": PNG, APNG or GIF of 320x320 pixels, 512 KB, 5 seconds.
        Platform("discord", (".png", ".apng", ".gif"), 320, 512, max_seconds=5, max_fps=60),
        # slack.com/help, "Add custom emoji and aliases to your workspace": 128 KB; larger than 128x128 is made smaller.
        # The uploader refuses a GIF of more than 50 frames.
        Platform("slack", (".gif",), 128, 128, max_fps=50, max_frames=50),
    )
}
"""By name; `dataclasses.replace` makes one with other limits."""


def platform_named(name: str | Platform) -> Platform:
    """The platform of a name.

    Raises:
        ValueError: no such platform.
    """
    if isinstance(name, Platform):
        return name
    if name not in PLATFORMS:
        raise ValueError(f"sticker platform {name!r} is not one of {', '.join(PLATFORMS)}")
    return PLATFORMS[name]


def write_for(
    platform: str | Platform,
    path: str | Path,
    frames: np.ndarray,
    fps: float,
    metadata: Mapping[str, Any] | None = None,
    *,
    too_long: str = "speed",
    max_kb: float | None = None,
    min_quality: int = 20,
    min_colours: int = 16,
) -> Fitted:
    """Write a clip as a platform takes it: scaled and centred on a clear square, no longer, faster or larger.

    Args:
        platform: a name in `PLATFORMS`, or a `Platform`.
        path: with one of the platform's endings.
        frames: uint8 `(F, H, W, 3 or 4)`; key the background first for a sticker without one.
        too_long: for a clip over the time limit, "speed" plays it faster, "cut" drops its end, "error" refuses.
        max_kb: a limit below the platform's own, in units of 1024 bytes.
        max_kb: a limit below the platform's own, in units of 1024 bytes.
        min_quality, min_colours: floors for `write_within`, which keeps the size and lowers the rate only when these
            are reached.

    Returns:
        What was written; `changes` says everything that was done to the clip.

    Raises:
        ValueError: an unknown platform or `too_long`, or with "error" a clip that is too long.
        VideoError: an ending that the platform does not take, frames that `write_video` refuses, or a file that breaks
            a rule all the same, such as a clip for WhatsApp that does not move.
        SizeError: from `write_within`.
    """
    platform = platform_named(platform)
    path, frames = Path(path), np.asarray(frames)
    if path.suffix.lower() not in platform.endings:
        what = path.suffix or "a file without ending"
        raise VideoError(f"{path}: {platform.name} takes {' or '.join(platform.endings)}, not {what}")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] not in (3, 4) or not len(frames):
        raise VideoError(f"{path}: frames must be uint8 (F, H, W, 3 or 4), not {frames.dtype} {frames.shape}")
    if not (math.isfinite(fps) and fps > 0):
        raise VideoError(f"{path}: fps is {fps}; it must be positive")
    if too_long not in TOO_LONG:
        raise ValueError(f"too_long {too_long!r} is not one of {', '.join(TOO_LONG)}")
    frames, fps, changes = _in_time(platform, frames, fps, too_long)
    height, width = frames.shape[1:3]
    frames = on_square(frames, platform.side)
    if (height, width) != (platform.side, platform.side):
        changes.append(f"size {width}x{height} -> {platform.side}x{platform.side}")
    done = write_within(
        path,
        frames,
        fps,
        platform.max_kb if max_kb is None else min(max_kb, platform.max_kb),
        metadata,
        min_side=platform.side,
        min_quality=min_quality,
        min_colours=min_colours,
        min_fps=min(fps, platform.min_fps),
    )
    if wrong := platform.check(path):  # encoders merge equal frames, so that a still clip may end as a picture
        raise VideoError(f"{path}: written, but {platform.name} would refuse it: {'; '.join(wrong)}")
    return replace(done, changes=(*changes, *done.changes))


def _in_time(platform: Platform, frames: np.ndarray, fps: float, too_long: str) -> tuple[np.ndarray, float, list[str]]:
    changes, given = [], fps
    seconds = len(frames) / fps
    if platform.max_seconds and seconds > platform.max_seconds:
        if too_long == "error":
            raise ValueError(
                f"the clip lasts {seconds:.2f} s, {platform.name} takes {platform.max_seconds:g} s: write "
                'fewer frames, or use too_long="speed" or "cut"'
            )
        if too_long == "cut":
            keep = max(1, math.floor(platform.max_seconds * fps))
            changes.append(f"cut from {seconds:.2f} s to {keep / fps:.2f} s")
            frames = frames[:keep]
        else:
            faster = seconds / platform.max_seconds
            changes.append(f"played {faster:.2f} times faster to last {platform.max_seconds:g} s")
            fps = len(frames) / platform.max_seconds
    most = math.inf if platform.max_frames is None else platform.max_frames
    rate = min(fps, platform.max_fps or math.inf, most * fps / len(frames))
    if rate < fps:
        count = max(1, math.floor(len(frames) * rate / fps + 1e-9))
        rate = count * fps / len(frames)
        changes.append(f"{len(frames)} frames at {fps:.3g} a second -> {count} at {rate:.3g}")
        frames = resample_frames(frames, fps, rate, count)
        fps = rate
    elif fps != given:
        changes.append(f"{given:.3g} frames a second -> {fps:.3g}")
    return frames, fps, changes


def on_square(frames: np.ndarray, side: int) -> np.ndarray:
    """Frames uint8 `(F, H, W, 3 or 4)` scaled to fit in `side`x`side` and centred; a clear margin makes them RGBA."""
    height, width = frames.shape[1:3]
    scale = side / max(height, width)
    new = [max(1, round(length * scale)) for length in (height, width)]
    frames = resize_frames(frames, *new)
    if new == [side, side]:
        return frames
    out = np.zeros((len(frames), side, side, 4), np.uint8)
    top, left = (side - new[0]) // 2, (side - new[1]) // 2
    inner = out[:, top : top + new[0], left : left + new[1]]
    inner[..., 3] = 255
    inner[..., : frames.shape[-1]] = frames
    return out


def _moves(path: Path) -> bool:
    """Whether the file holds several pictures; the metadata may say several where the encoder merged equal ones."""
    with Image.open(path) as image:
        return getattr(image, "n_frames", 1) > 1
