"""What a file says of its frames: whether they come at unequal times, how they are turned, how wide a pixel is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av

_WEBP_GRAIN = 0.001
_SLOW = 0.1  # seconds that browsers show a frame which asks for 10 ms or less


@dataclass(frozen=True)
class Declared:
    """None where the file does not say.

    Attributes:
        variable_rate: whether frames come at unequal times; the last one's end does not count.
        rotation: degrees that the coded frames are turned by to be shown, counter-clockwise, of 0, 90, 180, 270.
        sample_aspect: width of a coded pixel over its height.
    """

    variable_rate: bool | None = None
    rotation: int | None = None
    sample_aspect: float | None = None


def declared(path: str | Path) -> Declared:
    """Read it; of the frames no more than one is decoded."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return Declared(_unequal(_webp_durations(Path(path))[:-1], _WEBP_GRAIN))
    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            first = next(file.decode(stream), None)
            aspect = float(stream.sample_aspect_ratio) if stream.sample_aspect_ratio else None
            rotation = None if first is None else round(first.rotation / 90) % 4 * 90
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            grain = float(stream.time_base)
            stamps = sorted(float(p.pts * p.time_base) for p in file.demux(stream) if p.pts is not None)
    except (av.FFmpegError, IndexError, ValueError, TypeError):
        return Declared()
    return Declared(_unequal([after - before for before, after in pairwise(stamps)], grain), rotation, aspect)


def _unequal(gaps: list[float], grain: float) -> bool | None:
    """Stamps are rounded to the container's grain: less than two of these is no difference."""
    return max(gaps) - min(gaps) > 2 * grain + 1e-6 if gaps else None


def _webp_durations(path: Path) -> list[float]:
    """Seconds that each frame is shown. ffmpeg reads no animated WebP; the durations stand in its ANMF chunks."""
    found = []
    with open(path, "rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[4:], "little")
            if head[:4] == b"ANMF":
                about = file.read(16)
                seconds = int.from_bytes(about[12:15], "little") / 1000
                found.append(seconds if seconds > 0.01 else _SLOW)
                size -= len(about)
            file.seek(size + size % 2, 1)
    return found
