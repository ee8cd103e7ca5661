"""The text kept inside a clip: JSON of what made it, and how its frames were timed.

Encoders of animated images merge equal neighbours into one longer frame and round durations; the timing, under
`TIMING_KEY`, undoes that on reading. Where the text lies depends on the format: a comment (MP4, WebM, GIF), a text
chunk (PNG), or the EXIF description (WebP; the chunk begins with the TIFF header, as its specification has it, without
the `Exif\\0\\0` of JPEG that files from before had; Pillow and exiftool read both).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emogen.media.limits import VideoError

METADATA_KEY = "emogen"
TIMING_KEY = "_clip"
EXIF_DESCRIPTION = 0x010E


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
    except (ValueError, RecursionError):  # not JSON, digits without end, or nested without end
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
