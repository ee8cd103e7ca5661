"""What the sticker renderer draws with: Pillow, in the coordinates of a body that turns and stretches."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw


class Canvas:
    """Draws in the body's own coordinates (origin at its middle, 1 = body radius, y down)."""

    def __init__(self, image: Image.Image, center, radius, angle, stretch):
        self.image = image
        self.draw = ImageDraw.Draw(image)
        self.radius = radius
        cos, sin = math.cos(angle), math.sin(angle)
        self.matrix = np.array([[cos * stretch[0], -sin * stretch[1]], [sin * stretch[0], cos * stretch[1]]]) * radius
        self.center = np.asarray(center, dtype=float)

    def at(self, points) -> np.ndarray:
        return np.asarray(points, dtype=float) @ self.matrix.T + self.center

    def sub(self, x: float, y: float, scale: float) -> Canvas:
        """A canvas whose origin is at (x, y) of this one and whose unit is `scale` of this one's."""
        inner = object.__new__(Canvas)
        inner.image, inner.draw = self.image, self.draw
        inner.radius = self.radius * scale
        inner.matrix = self.matrix * scale
        inner.center = self.at([(x, y)])[0]
        return inner

    def polygon(self, points, fill, outline=None, width: float = 0.0) -> None:
        xy = [tuple(p) for p in self.at(points)]
        self.draw.polygon(xy, fill=fill)
        if outline is not None:
            self.line([*points, points[0]], outline, width)

    def line(self, points, fill, width: float) -> None:
        xy = [tuple(p) for p in self.at(points)]
        pixels = max(1, round(width * self.radius))
        self.draw.line(xy, fill=fill, width=pixels, joint="curve")
        r = pixels / 2
        for x, y in (xy[0], xy[-1]):
            self.draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def ellipse(self, x, y, rx, ry, fill, outline=None, width: float = 0.0) -> None:
        a = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        self.polygon(np.stack([x + rx * np.cos(a), y + ry * np.sin(a)], axis=1), fill, outline, width)

    def arc(self, x, y, rx, ry, start, stop, fill, width) -> None:
        a = np.linspace(math.radians(start), math.radians(stop), 24)
        self.line(np.stack([x + rx * np.cos(a), y + ry * np.sin(a)], axis=1), fill, width)
