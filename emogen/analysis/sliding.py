"""Over time within a clip: what a judge says of every second or so of it, as curves.

A window of frames is moved over the clip, and the judge reads each window as if it were a clip. The judge is handed in
by whoever calls (`emogen.eval.judges`), so that the analyses need none.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from emogen.emotion import MIKELS
from emogen.media.reader import DamageWarning, iterate_frames

_BATCH = 8


class Verdict(Protocol):
    """What a judge says: `distribution` `[B, 8]`, `valence_arousal` `[B, 2]`, `confidence` `[B]`."""

    distribution: np.ndarray
    valence_arousal: np.ndarray
    confidence: np.ndarray


Judge = Callable[[np.ndarray], Verdict]
"""Takes clips, uint8 `[B, F, H, W, 3]`."""


@dataclass(frozen=True)
class Windows:
    """How a clip is looked at.

    Attributes:
        fps: frames a second that are looked at.
        frames: in a window.
        step: frames from one window to the next.
        side: pixels that a frame's shorter side is brought down to, so that a film's windows fit into memory.
    """

    fps: float = 8.0
    frames: int = 12
    step: int = 4
    side: int = 256

    def __post_init__(self) -> None:
        if not (0 < self.fps <= 120 and self.frames >= 1 and self.step >= 1 and self.side >= 16):
            raise ValueError(f"{self}: fps is above 0 and at most 120, frames and step are at least 1, side 16")


@dataclass(frozen=True)
class Curve:
    """A judge's reading of a clip over time.

    Attributes:
        time: seconds after the clip's start, `[W]`: the middles of the windows.
        valence, arousal: in [-1, 1], `[W]`.
        shares: of the eight, `[W, 8]`; rows sum to 1.
        confidence: that there is any emotion, in [0, 1], `[W]`.
        seconds: how long the clip is.
    """

    time: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray
    shares: np.ndarray
    confidence: np.ndarray
    seconds: float

    def __len__(self) -> int:
        return len(self.time)

    @property
    def strengths(self) -> np.ndarray:
        """Shares times confidence, `[W, 8]`: how much there is of each of the eight."""
        return self.shares * self.confidence[:, None]

    def rows(self) -> list[dict[str, float]]:
        """A row a window, for a table."""
        return [
            {"time": round(float(t), 4), "valence": round(float(v), 5), "arousal": round(float(a), 5),
             "confidence": round(float(c), 5),
             **{name: round(float(x), 5) for name, x in zip(MIKELS, shares, strict=True)}}
            for t, v, a, c, shares in zip(
                self.time, self.valence, self.arousal, self.confidence, self.shares, strict=True)
        ]  # fmt: skip


def read_curve(
    path: str | Path,
    judge: Judge,
    windows: Windows | None = None,
    start: float = 0.0,
    end: float | None = None,
    done: Callable[[float], Any] = lambda time: None,
) -> tuple[Curve, str | None]:
    """A judge's reading of a clip, and what is damaged in it.

    Args:
        start, end: seconds of the file between which it is read; None is its end.
        done: called with the seconds that have been read.

    Raises:
        OSError, ValueError: the file cannot be read, or has no frames there.
    """
    windows = windows or Windows()
    if end is not None and end <= start:
        raise ValueError(f"{path}: the part from {start:g} s to {end:g} s is empty; let it end later than it starts")
    count = None if end is None else max(1, round((end - start) * windows.fps))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        frames = iterate_frames(path, fps=windows.fps, num_frames=count, start=start)
        curve = curve_of(((frame, time - start) for frame, time in frames), judge, windows, done)
    if curve is None:
        raise ValueError(f"{path}: has no frame at {start:g} s; start earlier")
    damage = [str(one.message) for one in said if issubclass(one.category, DamageWarning)]
    return curve, damage[0] if damage else None


def curve_of(
    frames: Iterable[tuple[np.ndarray, float]],
    judge: Judge,
    windows: Windows,
    done: Callable[[float], Any] = lambda time: None,
) -> Curve | None:
    """The curve of frames uint8 `[H, W, 3]` with their seconds, taken one at a time. A clip that is shorter than a
    window is one window; None for no frames."""
    times, found, waiting, seconds = [], [], [], 0.0

    def judged() -> None:
        verdict = judge(np.stack(waiting))
        found.append(np.column_stack([verdict.valence_arousal, verdict.confidence, verdict.distribution]))
        waiting.clear()
        done(seconds)

    for window, first, last in _windows(frames, windows):
        seconds = last + 1 / windows.fps
        waiting.append(window)
        times.append((first + seconds) / 2)
        if len(waiting) == _BATCH:
            judged()
    if waiting:
        judged()
    if not times:
        return None
    table = np.concatenate(found).astype(float)
    return Curve(np.array(times), table[:, 0], table[:, 1], table[:, 3:], table[:, 2], float(seconds))


def _windows(frames: Iterable[tuple[np.ndarray, float]], windows: Windows) -> Iterator[tuple[np.ndarray, float, float]]:
    """Windows `[F, H, W, 3]` with the times of their first and last frames."""
    held: deque[tuple[np.ndarray, float]] = deque(maxlen=windows.frames)
    given = False
    for number, (frame, time) in enumerate(frames, 1):
        held.append((_small(frame, windows.side), time))
        if number >= windows.frames and (number - windows.frames) % windows.step == 0:
            given = True
            yield np.stack([one for one, _ in held]), held[0][1], time
    if held and not given:
        # judges of moving pictures need two frames
        pictures = [one for one, _ in held] * (2 if len(held) == 1 else 1)
        yield np.stack(pictures), held[0][1], held[-1][1]


def _small(frame: np.ndarray, side: int) -> np.ndarray:
    shorter = min(frame.shape[:2])
    if shorter <= side:
        return frame
    size = tuple(max(1, round(length * side / shorter)) for length in (frame.shape[1], frame.shape[0]))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))
