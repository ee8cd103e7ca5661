"""Three ways to draw the same outlines: flat with an outline, soft and shaded, or sketched in pencil."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emogen.stickers.cast import geometry
from emogen.stickers.cast.colors import INK
from emogen.stickers.cast.pen import Color, Pen, luminance
from emogen.stickers.palette import mix

Solid = tuple[np.ndarray, Color]
"""An outline and its colour."""


class Flat:
    """Even colours with a dark outline of their own hue."""

    edge = 0.052

    def edge_color(self, color: Color) -> Color:
        return mix(color, INK, 0.68)

    def solids(self, pen: Pen, parts: Sequence[Solid]) -> None:
        """Parts of one body: their outlines merge where they overlap."""
        for outline, color in parts:
            pen.fill(geometry.grown(outline, self.edge), self.edge_color(color))
        for outline, color in parts:
            pen.fill(outline, color)

    def mark(self, pen: Pen, outline: np.ndarray, color: Color) -> None:
        """A patch on a body, without an outline."""
        pen.fill(outline, color)

    def shine(self, pen: Pen, outline: np.ndarray, color: Color) -> None:
        """What the light does on a finished body."""

    def feature(self, pen: Pen, outline: np.ndarray, color: Color, edge: Color = INK) -> None:
        """A small thing with an outline, such as a nose or a hat."""
        pen.fill(geometry.grown(outline, self.edge * 0.9), edge)
        pen.fill(outline, color)

    def line(self, pen: Pen, points, color: Color, width: float) -> None:
        pen.line(points, color, width)


class Soft(Flat):
    """Rounded bodies under a lamp at the upper left, without outlines, as in three-dimensional emoji.

    A body is a pile of ever smaller copies of its outline, from the dark rim to the lit spot: the shading follows any
    outline and any movement, and costs a few polygons.
    """

    edge = 0.03
    steps = 9

    def edge_color(self, color: Color) -> Color:
        return mix(color, (70, 30, 60), 0.36)

    def solids(self, pen: Pen, parts: Sequence[Solid]) -> None:
        for outline, color in parts:
            self._pile(pen, outline, color, self.steps)

    def _pile(self, pen: Pen, outline: np.ndarray, color: Color, steps: int) -> None:
        low, high = outline.min(0), outline.max(0)
        light = (low + high) / 2 + (high - low) * (-0.14, -0.18)
        rim, bright = mix(color, (84, 26, 70), 0.34), mix(color, (255, 255, 246), 0.42)
        pen.fill(outline, rim)
        for k in range(1, steps + 1):
            u = k / steps
            dark, lit = max(0.0, 1 - u * 2.6), max(0.0, (u - 0.34) / 0.66)
            tone = mix(mix(color, rim, dark), bright, lit)
            pen.fill(light + (outline - light) * (1 - 0.92 * u**1.15), tone)

    def shine(self, pen: Pen, outline: np.ndarray, color: Color) -> None:
        low, high = outline.min(0), outline.max(0)
        x, y = (low + high) / 2 + (high - low) * (-0.22, -0.30)
        pen.glow(x, y, 0.26, 0.17, (255, 255, 255), 0.75)

    def feature(self, pen: Pen, outline: np.ndarray, color: Color, edge: Color = INK) -> None:
        self._pile(pen, outline, color, 4)


class Sketch(Flat):
    """Coloured pencil: a pale wash, hatching, and a line drawn twice by a hand that is not quite sure."""

    edge = 0.026
    pencil: Color = (66, 62, 70)

    def edge_color(self, color: Color) -> Color:
        return mix(self.pencil, color, 0.18)

    def _wash(self, color: Color) -> Color:
        return mix(color, (255, 253, 247), 0.56 if luminance(color) > 90 else 0.40)

    def solids(self, pen: Pen, parts: Sequence[Solid]) -> None:
        for outline, color in parts:
            self._outline(pen, outline, self.edge_color(color))
        for outline, color in parts:
            pen.fill(outline, self._wash(color))
        for outline, color in parts:
            self._hatch(pen, outline, mix(color, INK, 0.06))

    def mark(self, pen: Pen, outline: np.ndarray, color: Color) -> None:
        pen.fill(outline, self._wash(color))
        self._hatch(pen, outline, color, 0.11)

    def feature(self, pen: Pen, outline: np.ndarray, color: Color, edge: Color = INK) -> None:
        self._outline(pen, outline, self.pencil)
        pen.fill(outline, mix(color, (255, 253, 247), 0.3))

    def line(self, pen: Pen, points, color: Color, width: float) -> None:
        pen.line(points, mix(color, self.pencil, 0.3), width * 0.75)

    def _outline(self, pen: Pen, outline: np.ndarray, color: Color) -> None:
        middle = outline.mean(0)
        angle = np.arctan2(*(outline - middle).T)
        for k, width in ((0, self.edge), (1, self.edge * 1.25)):
            away = 0.018 * np.sin(3 * angle + 2.1 * k) + 0.012 * np.sin(5 * angle - 1.3 * k)
            pen.fill(geometry.grown(outline + (outline - middle) * away[:, None], width), color)
            pen.fill(outline + (outline - middle) * away[:, None], (255, 253, 247))

    def _hatch(self, pen: Pen, outline: np.ndarray, color: Color, spacing: float = 0.15) -> None:
        """Slanted strokes from edge to edge, each a little short."""
        p = geometry.turned(outline, 0.9)
        after = np.roll(p, -1, axis=0)
        for number, y in enumerate(np.arange(p[:, 1].min() + spacing * 0.6, p[:, 1].max(), spacing)):
            crossing = (p[:, 1] <= y) != (after[:, 1] <= y)
            a, b = p[crossing], after[crossing]
            xs = np.sort(a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0]))
            for left, right in zip(xs[::2], xs[1::2], strict=False):
                short = 0.05 + 0.16 * abs(np.sin(12.9 * number + 3 * left)) * (right - left)
                if right - left > 0.12:
                    bow = 0.02 * np.sin(7.0 * number)
                    line = [(left + 0.04, y), ((left + right) / 2, y + bow), (right - short, y)]
                    pen.line(geometry.turned(line, -0.9), color, 0.034)


STYLES: dict[str, Flat] = {"flat": Flat(), "soft": Soft(), "sketch": Sketch()}
"""The styles by the name in a spec."""
