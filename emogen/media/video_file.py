"""What every kind of clip file shares: the endings, the error, appearing whole under its name, and the text inside.

The text is JSON: what made the clip, and under `TIMING_KEY` how many frames it has and how fast they run. Encoders of
animated images merge equal neighbours into one longer frame and round durations; the timing undoes that on reading.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANIMATED = (".gif", ".webp", ".apng", ".png")
VIDEO = (".mp4", ".mov", ".mkv", ".webm", ".m4v")
WRITABLE = (".mp4", ".webm", ".gif", ".webp", ".apng", ".png")
METADATA_KEY = "emogen"
TIMING_KEY = "_clip"


class VideoError(ValueError):
    """A file cannot be read or written as a clip; the message names it."""


@dataclass(frozen=True)
class Timing:
    """Frames and frames a second as they were given to `write_video`."""

    num_frames: int
    fps: float

    def agrees_with(self, durations: list[float]) -> bool:
        """Whether a file whose frames last `durations` ms can be this clip, and not one that was re-timed since."""
        if len(durations) == 1:  # a file of one image need not say how long it lasts
            return True
        slack = max(20.0, 500.0 / self.fps)
        return len(durations) <= self.num_frames and abs(sum(durations) - 1000 * self.num_frames / self.fps) <= slack


def check_writable(path: str | Path) -> Path:
    """The path, when its ending is one that `write_video` knows.

    Raises:
        VideoError: another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        what = path.suffix or "a file without ending"
        raise VideoError(f"{path}: cannot write {what!r}; use one of {', '.join(WRITABLE)}")
    return path


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, which takes its place when the block ends well and is gone otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def pack(metadata: Mapping[str, Any] | None, timing: Timing | None, path: Path) -> str | None:
    """The ASCII text to keep in a file, or None when there is nothing to keep.

    Raises:
        VideoError: the mapping uses `TIMING_KEY`.
    """
    if metadata is not None and TIMING_KEY in metadata:
        raise VideoError(f"{path}: the metadata must not have a key {TIMING_KEY!r}; it holds the clip's timing")
    if metadata is None and timing is None:
        return None
    kept = dict(metadata or {})
    if timing is not None:
        kept[TIMING_KEY] = {"frames": timing.num_frames, "fps": timing.fps}
    return json.dumps(kept, ensure_ascii=True, default=str)


def unpack(text: str | bytes | None) -> tuple[dict[str, Any] | None, Timing | None]:
    """The metadata and the timing that `pack` wrote; None for what is not there or is somebody else's text."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        data = json.loads(text) if text else None
    except json.JSONDecodeError:
        return None, None
    if not isinstance(data, dict):
        return None, None
    kept = data.pop(TIMING_KEY, None)
    timing = None
    with suppress(KeyError, TypeError, ValueError, OverflowError):  # edited by hand: the durations still tell the rate
        timing = Timing(int(kept["frames"]), float(kept["fps"])) if isinstance(kept, dict) else None
    if timing is not None and not (timing.num_frames > 0 and math.isfinite(timing.fps) and timing.fps > 0):
        timing = None
    return data if data or kept is None else None, timing
