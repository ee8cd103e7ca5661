"""A finished clip into the file that was asked for: as it is, under a limit, or as a platform's sticker.

`check_output` refuses what cannot work before anything is sampled; `write_clip` writes, and says what the file is and
what the clip lost on the way into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emogen.files import atomic
from emogen.media.limits import VideoError
from emogen.media.writer import check_output as check_media_output
from emogen.media.writer import write_video
from emogen.stickers.fit_size import Fitted, SizeError, describe, write_within
from emogen.stickers.platforms import platform_named, write_for


class UnfitError(SizeError):
    """A clip does not fit; it is kept, as it was made, in the file `kept`, which the message names."""

    def __init__(self, message: str, kept: Path):
        super().__init__(message)
        self.kept = kept


def check_output(
    path: str | Path,
    *,
    platform: str | None = None,
    max_kb: float | None = None,
    transparent: bool = False,
    num_frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    fps: float | None = None,
) -> Path:
    """Refuse an output that cannot be written, before the sampling; writes nothing.

    Args:
        platform, max_kb, transparent: as for `write_clip`.
        num_frames, height, width, fps: of the clip, as far as they are known.

    Raises:
        VideoError: naming what is not possible and the way out.
        ValueError: an unknown platform, or a limit that is not positive.
    """
    path = Path(path)
    if max_kb is not None and not 0 < max_kb < float("inf"):
        raise ValueError(f"max_kb is {max_kb:g}; it must be positive")
    if platform is not None:
        rules = platform_named(platform)
        if path.suffix.lower() not in rules.endings:
            what = path.suffix or "a file without ending"
            raise VideoError(f"{path}: {rules.name} takes {' or '.join(rules.endings)}, not {what}")
        if num_frames == 1 and rules.name == "whatsapp":
            raise VideoError(f"{path}: {rules.name} takes clips that move, and one frame does not; make more frames")
        height = width = None  # brought to the platform's size
    return check_media_output(path, height=height, width=width, fps=fps, transparent=transparent)


def write_clip(
    path: str | Path,
    frames: np.ndarray,
    fps: float,
    metadata: Mapping[str, Any] | None = None,
    *,
    platform: str | None = None,
    max_kb: float | None = None,
) -> Fitted:
    """Write a clip, for a platform if one is named, in at most `max_kb` (of both limits the smaller holds).

    Args:
        path: .mp4, .webm, .gif, .webp, .apng or .png; for a platform one of its endings.
        frames: uint8 `(F, H, W, 3 or 4)`.
        metadata: kept inside the file.

    Returns:
        What the file is, as it reads back, and what was given up.

    Raises:
        UnfitError: it does not fit, or the platform would refuse it; the clip is kept beside under another name.
        VideoError, ValueError: as `check_output` and `write_video`.
        WriteError: the file cannot be written.
    """
    path = Path(path)
    try:
        if platform is not None:
            with atomic(path) as temporary:  # a file that the platform refuses must not take the name
                fitted = write_for(platform, temporary, frames, fps, metadata, max_kb=max_kb)
            return replace(fitted, path=path)
        if max_kb is not None:
            return write_within(path, frames, fps, max_kb, metadata)
    except (SizeError, VideoError) as error:
        kept = write_video(path.with_name(f"{path.stem[:200]}.whole{path.suffix}"), frames, fps, metadata)
        raise UnfitError(f"{_about(error, path)}. The clip is kept as it was made in {kept}", kept) from error
    return describe(write_video(path, frames, fps, metadata), frames, fps)


def _about(error: Exception, path: Path) -> str:
    """The message under the name that was asked for, not that of the draft."""
    return f"{path}: {str(error).split(': ', 1)[-1]}"
