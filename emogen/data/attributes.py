"""How a clip looks, in five numbers: brightness, colourfulness, saturation, hue and motion.

Emotions go along with these (EmoVid, AAAI 2026, reports brighter and more colourful clips for positive emotions), so
they are worth watching while a model learns; and a model that has learned nothing but to recolour shows here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

REC709 = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in luma (ITU-R BT.709-6, item 3.2)."""

MIN_CONCENTRATION = 0.05
"""Hues whose mean resultant length is below this point everywhere: their mean says nothing."""

VISIBLE = {"brightness": 0.05, "colourfulness": 8.0, "hue": 15.0}
"""Changes of colour that are seen side by side without looking for them: a twentieth of the range of luma, about half
a step between two names of the colourfulness scale, and half the way from red to orange. Our choice."""


@dataclass(frozen=True)
class ClipAttributes:
    """Attributes of one clip, or a mean or difference of several.

    Attributes:
        brightness: mean luma, 0 to 1.
        colourfulness: of Hasler and Suesstrunk, 0 (grey) to about 185; 15 is "slightly", 33 "moderately", 59 "quite",
            109 "extremely colourful" by their observers.
        saturation: mean saturation of HSV, 0 to 1.
        hue: circular mean in degrees, [0, 360), 0 red, 120 green, 240 blue (in a difference (-180, 180]); None where
            there is no such direction: a grey clip, or hues all around the circle.
        motion: mean absolute difference of consecutive frames, 0 to 1; 0 for a single frame.
    """

    brightness: float
    colourfulness: float
    saturation: float
    hue: float | None
    motion: float

    def to_dict(self) -> dict[str, float | None]:
        """Name -> value, for JSON."""
        return asdict(self)

    def recoloured(self) -> bool:
        """Whether this, a difference of two clips, is one of colour that can be seen (`VISIBLE`)."""
        return any(abs(getattr(self, name) or 0.0) >= least for name, least in VISIBLE.items())

    def __sub__(self, other: ClipAttributes) -> ClipAttributes:
        """What changed from `other` to this: differences, the hue's by the shorter way round."""
        values = {f.name: getattr(self, f.name) - getattr(other, f.name) for f in fields(self) if f.name != "hue"}
        return ClipAttributes(hue=hue_difference(self.hue, other.hue), **values)


def clip_attributes(frames: np.ndarray) -> ClipAttributes:
    """The attributes of one clip.

    Brightness is luma, not luminance: of the gamma-encoded values as they stand, `Y' = 0.2126 R' + 0.7152 G' +
    0.0722 B'`. Colourfulness is the metric M(3) of Hasler and Suesstrunk 2003 ("Measuring colourfulness in natural
    images", Human Vision and Electronic Imaging VIII): with `rg = R - G` and `yb = (R + G) / 2 - B` in 0..255,
    `sqrt(std(rg)^2 + std(yb)^2) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2)`, of each frame, and then the mean over frames.
    Hue is that of HSV; each pixel weighs as much as its chroma (`max - min`), so that nearly grey pixels, whose hue is
    noise, do not count.

    Args:
        frames: uint8 `[F, H, W, 3]`.

    Raises:
        ValueError: another type or shape, or no pixels.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise ValueError(f"a clip is uint8 [F, H, W, 3] with F, H, W >= 1, not {frames.dtype} {list(frames.shape)}")
    luma, colour, saturation, motion = [], [], [], []
    direction, weight = 0j, 0.0
    before = None
    for frame in frames:  # one at a time: a clip in floats would be gigabytes
        rgb = frame.astype(np.float32)
        red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
        luma.append(float(np.mean(REC709[0] * red + REC709[1] * green + REC709[2] * blue, dtype=np.float64)) / 255)
        rg, yb = red - green, (red + green) / 2 - blue
        spread = math.hypot(np.std(rg, dtype=np.float64), np.std(yb, dtype=np.float64))
        colour.append(spread + 0.3 * math.hypot(np.mean(rg, dtype=np.float64), np.mean(yb, dtype=np.float64)))
        value = rgb.max(-1)
        chroma = value - rgb.min(-1)
        saturation.append(float(np.mean(chroma / np.maximum(value, 1), dtype=np.float64)))
        direction += complex(np.sum(chroma * np.exp(1j * _hue_angle(rgb, value, chroma)), dtype=np.complex128))
        weight += float(np.sum(chroma, dtype=np.float64))
        if before is not None:
            motion.append(float(np.mean(np.abs(rgb - before), dtype=np.float64)) / 255)
        before = rgb
    return ClipAttributes(
        brightness=float(np.mean(luma)),
        colourfulness=float(np.mean(colour)),
        saturation=float(np.mean(saturation)),
        # below one grey level of mean chroma all colour is rounding
        hue=_degrees(direction / weight) if weight > frames[..., 0].size else None,
        motion=float(np.mean(motion)) if motion else 0.0,
    )


def mean_attributes(items: Sequence[ClipAttributes]) -> ClipAttributes:
    """The mean of several clips' attributes; of the hues the circular mean of those there are.

    Raises:
        ValueError: there is nothing to average.
    """
    if not items:
        raise ValueError("the mean of no clips")
    means = {f.name: float(np.mean([getattr(item, f.name) for item in items])) for f in fields(ClipAttributes)
             if f.name != "hue"}  # fmt: skip
    angles = np.radians([item.hue for item in items if item.hue is not None])
    return ClipAttributes(hue=_degrees(complex(np.mean(np.exp(1j * angles)))) if len(angles) else None, **means)


def mean_change(items: Sequence[ClipAttributes]) -> ClipAttributes:
    """The mean of several differences: as `mean_attributes`, with the hue in (-180, 180]; None where hues turned in all
    directions.

    Raises:
        ValueError: there is nothing to average.
    """
    mean = mean_attributes(items)
    return replace(mean, hue=hue_difference(mean.hue, 0.0))


def hue_difference(hue: float | None, other: float | None) -> float | None:
    """Degrees from `other` to `hue` by the shorter way round, in (-180, 180]; None where one is None."""
    if hue is None or other is None:
        return None
    return 180.0 - (180.0 - (hue - other)) % 360.0


def _hue_angle(rgb: np.ndarray, value: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """HSV's hue in radians, float32 [H, W]; arbitrary where the chroma is 0."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    safe = np.maximum(chroma, 1)
    sixth = np.where(
        value == red,
        (green - blue) / safe,
        np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    return sixth * np.float32(math.pi / 3)


def _degrees(mean: complex) -> float | None:
    """The direction of a mean of unit vectors in [0, 360), or None if it is too short to have one."""
    if abs(mean) < MIN_CONCENTRATION:
        return None
    degrees = math.degrees(math.atan2(mean.imag, mean.real)) % 360.0
    return 0.0 if degrees == 360.0 else degrees  # a tiny negative angle rounds up to 360
