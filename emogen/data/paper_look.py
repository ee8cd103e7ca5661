"""How a clip looks, as the EmoVid paper measures it, and beside it as it should be measured.

The paper (EmoVid, AAAI 2026) samples every 20th frame, turns it to HSV, and takes over all sampled pixels

    H = round((atan2(sum sin h, sum cos h) * 180 / pi + 360) mod 360)     hue, degrees in [0, 360)
    C = mean S                                                             colourfulness, [0, 1], one decimal
    B = mean V                                                             brightness, [0, 1], one decimal

In HSV a grey pixel has hue 0, so grey, black and white vote for red: a yellow sticker (47 degrees) on a white ground
reads 9. Hence the second set: not rounded, without transparent pixels and letterbox, the hue weighted by chroma, with
the resultant length that says how much of one mind the pixels are. (`attributes.py` has the five numbers that training
and evaluations watch, which follow other definitions.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

_DARK = 12  # of 255: a letterbox bar of a compressed film is not quite 0
_OPAQUE = 128


@dataclass(frozen=True)
class Attributes:
    """Of one clip; the names are columns of the table.

    Attributes:
        paper_hue, paper_colourfulness, paper_brightness: exactly the paper's, rounding included.
        hue: degrees in [0, 360), chroma-weighted over the pixels that count; None where they have no common direction.
        hue_strength: resultant length of those votes, 0 (all around the circle) to 1 (one hue); None without chroma.
        saturation, brightness: means of S and V over the pixels that count, [0, 1].
        contrast: standard deviation of V over the pixels that count, [0, 0.5].
        motion: mean absolute difference of V between sampled neighbours, a second, [0, 1 / s]; None for a still.
        letterbox: share of the picture that is bars, [0, 1).
        transparent: share of the pixels that are transparent, [0, 1].
        frames_sampled: how many frames were looked at.
    """

    paper_hue: int
    paper_colourfulness: float
    paper_brightness: float
    hue: float | None
    hue_strength: float | None
    saturation: float | None
    brightness: float | None
    contrast: float | None
    motion: float | None
    letterbox: float
    transparent: float
    frames_sampled: int

    def to_row(self) -> dict[str, float | int | None]:
        """Column -> value."""
        return asdict(self)


def attributes_of(frames: Iterable[tuple[np.ndarray, float]]) -> Attributes:
    """The attributes of sampled frames.

    Args:
        frames: (uint8 `[H, W, 3]` or `[H, W, 4]`, time in seconds), each 20th coded frame of a clip in order. Taken one
            at a time, so memory does not grow with the clip.

    Raises:
        ValueError: no frames, or another type or shape.
    """
    sums, votes = _Sums(), _Sums()
    motion: list[tuple[float, float]] = []
    before: tuple[np.ndarray, float] | None = None
    bars, clear, count = [], [], 0
    for frame, time in frames:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] not in (3, 4) or not frame.size:
            raise ValueError(f"a frame is uint8 [H, W, 3] or [H, W, 4], not {frame.dtype} {list(frame.shape)}")
        count += 1
        hue, saturation, value, chroma = _hsv(frame[..., :3])
        sums.add(hue, saturation, value, None)
        counts, bar = _counting(frame, value)
        votes.add(hue[counts], saturation[counts], value[counts], chroma[counts])
        bars.append(bar)
        clear.append(float(np.mean(frame[..., 3] < _OPAQUE)) if frame.shape[-1] == 4 else 0.0)
        if before is not None and before[0].shape == value.shape and time > before[1]:
            motion.append((float(np.mean(np.abs(value - before[0]))), time - before[1]))
        before = value, time
    if not count:
        raise ValueError("the attributes of no frames")
    degrees = (math.degrees(math.atan2(sums.sine, sums.cosine)) + 360) % 360
    direction = complex(votes.cosine, votes.sine)
    strength = abs(direction) / votes.weight if votes.weight > 0 else None
    mean_value = votes.value / votes.pixels if votes.pixels else None
    spread = max(0.0, votes.value_squared / votes.pixels - mean_value**2) ** 0.5 if votes.pixels else None
    seconds = sum(gap for _, gap in motion)
    return Attributes(
        paper_hue=_half_up(degrees) % 360,
        paper_colourfulness=_half_up(round(10 * sums.saturation / sums.pixels, 9)) / 10,
        paper_brightness=_half_up(round(10 * sums.value / sums.pixels, 9)) / 10,
        hue=math.degrees(math.atan2(direction.imag, direction.real)) % 360 if strength and strength > 1e-6 else None,
        hue_strength=strength,
        saturation=votes.saturation / votes.pixels if votes.pixels else None,
        brightness=mean_value,
        contrast=spread,
        motion=sum(change for change, _ in motion) / seconds if seconds else None,
        letterbox=float(np.mean(bars)),
        transparent=float(np.mean(clear)),
        frames_sampled=count,
    )


class _Sums:
    """Running sums over pixels; hue votes have weight 1, or their chroma."""

    def __init__(self) -> None:
        self.sine = self.cosine = self.weight = self.saturation = self.value = self.value_squared = 0.0
        self.pixels = 0

    def add(self, hue: np.ndarray, saturation: np.ndarray, value: np.ndarray, weight: np.ndarray | None) -> None:
        sine, cosine = np.sin(hue), np.cos(hue)
        if weight is not None:
            sine, cosine = sine * weight, cosine * weight
        self.sine += float(np.sum(sine, dtype=np.float64))
        self.cosine += float(np.sum(cosine, dtype=np.float64))
        self.weight += float(hue.size if weight is None else np.sum(weight, dtype=np.float64))
        self.saturation += float(np.sum(saturation, dtype=np.float64))
        self.value += float(np.sum(value, dtype=np.float64))
        self.value_squared += float(np.sum(value * value, dtype=np.float64))
        self.pixels += hue.size


def _hsv(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hue in radians (0 for grey, as everywhere in HSV), saturation, value and chroma in [0, 1]; each [H, W]."""
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    top = np.maximum(np.maximum(red, green), blue)
    chroma = top - np.minimum(np.minimum(red, green), blue)
    safe = np.maximum(chroma, 1)
    sixth = np.where(
        top == red, (green - blue) / safe, np.where(top == green, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    )
    hue = np.where(chroma > 0, sixth, 0) * np.float32(math.pi / 3)
    # in double precision, for the paper's rounding is of these means
    return hue, chroma.astype(np.float64) / np.maximum(top, 1), top.astype(np.float64) / 255, chroma / 255


def _counting(frame: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, float]:
    """Which pixels count (bool `[H, W]`: opaque, inside the picture), and what share of the frame is bars."""
    inside = np.zeros(value.shape, bool)
    bright = value * 255 > _DARK
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    if len(rows) and len(columns):
        inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    else:
        inside[:] = True  # a black frame is black, not all bar
    bars = 1 - float(np.mean(inside))
    if frame.shape[-1] == 4:
        inside &= frame[..., 3] >= _OPAQUE
    return inside, bars


def _half_up(value: float) -> int:
    """Rounded as people round: .5 goes up, where Python's `round` goes to the even neighbour."""
    return math.floor(value + 0.5)
