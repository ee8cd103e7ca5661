"""What the cast is drawn with: Pillow polygons in a body's own coordinates, averaged down at the end.

Everything is a filled polygon, because Pillow draws those fast and the same on every machine; lines and outlines are
bands of polygons (`geometry.band`, `geometry.grown`).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from emogen.stickers.cast import geometry

Color = tuple[int, int, int]


def supersampling(size: int) -> int:
    """How many times larger a picture of `size` pixels is drawn before it is averaged."""
    return 4 if size <= 160 else 3 if size <= 256 else 2


@lru_cache(maxsize=64)
def _soft(width: int, height: int, level: int) -> Image.Image:
    """A soft ellipse as a mask of `level` (0..255) in its middle."""
    y, x = np.mgrid[0:height, 0:width]
    r = np.hypot((x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1)
    return Image.fromarray((np.clip(1 - r, 0, 1) ** 0.8 * level).round().astype(np.uint8))


class Pen:
    """Draws in coordinates that turn and stretch with a body.

    Attributes:
        image: RGB or RGBA, `supersampling` times the picture.
        matrix, origin: points `p` land at `p @ matrix.T + origin`.
        unit: pixels of one unit, for the width of lines.
    """

    def __init__(self, image: Image.Image, matrix: np.ndarray, origin: np.ndarray):
        self.image, self.sheet = image, ImageDraw.Draw(image)
        self.matrix, self.origin = matrix, origin
        self.unit = math.sqrt(abs(np.linalg.det(matrix)))

    def at(self, points) -> np.ndarray:
        return np.asarray(points, dtype=float) @ self.matrix.T + self.origin

    def moved(self, x: float, y: float, angle: float = 0.0, sx: float = 1.0, sy: float = 1.0) -> Pen:
        """A pen whose origin is (x, y) of this one's, turned by `angle` radians and scaled."""
        c, s = math.cos(angle), math.sin(angle)
        other = object.__new__(Pen)
        other.image, other.sheet = self.image, self.sheet
        other.matrix = self.matrix @ np.array([[c * sx, -s * sy], [s * sx, c * sy]])
        other.origin = self.matrix @ (x, y) + self.origin
        other.unit = self.unit * math.sqrt(abs(sx * sy))
        return other

    def fill(self, points, color: Color) -> None:
        """A filled polygon."""
        self.sheet.polygon(self.at(points).ravel().tolist(), fill=color)

    def shadow(self, outlines, color: Color, alpha: float) -> None:
        """Outlines, each within the one before, that each darken the empty picture by `alpha` (0..1)."""
        clear = self.image.mode == "RGBA"
        sheet = self.sheet if clear else ImageDraw.Draw(self.image, "RGBA")
        for number, outline in enumerate(outlines, 1):
            here = 1 - (1 - alpha) ** number if clear else alpha  # on RGBA a polygon replaces the one below it
            sheet.polygon(self.at(outline).ravel().tolist(), fill=(*color, round(255 * here)))

    def line(self, points, color: Color, width: float) -> None:
        self.fill(geometry.band(points, width), color)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        self.fill(geometry.ellipse(x, y, rx, ry, 28), color)

    def glow(self, x: float, y: float, rx: float, ry: float, color: Color, strength: float) -> None:
        """A soft spot over what is drawn already (opaque there); it does not turn with the body."""
        (cx, cy), rx, ry = self.at([(x, y)])[0], rx * self.unit, ry * self.unit
        if strength <= 0.01 or rx < 1 or ry < 1:
            return
        mask = _soft(2 * round(rx), 2 * round(ry), round(255 * min(1.0, strength)))
        self.image.paste(color, (round(cx - rx), round(cy - ry)), mask)


def luminance(color: Color) -> float:
    """Brightness as the eye weighs it, 0..255."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
