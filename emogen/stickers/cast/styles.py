"""Three ways to draw the same outlines: flat with an outline, soft and shaded, or sketched in pencil."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from emogen.stickers.cast import geometry
from emogen.stickers.cast.colors import INK
from emogen.stickers.cast.pen import Color, Pen, luminance
from emogen.stickers.palette import mix

Solid = tuple[np.ndarray, Color]
"""An outline and its colour."""


_CIRCLE = geometry.ellipse(0, 0, 1, 1, 26)


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

    def shine(self, pen: Pen, outline: np.ndarray) -> None:
        """What the light does on a finished body."""

    def feature(self, pen: Pen, outline: np.ndarray, color: Color, edge: Color = INK) -> None:
        """A small thing with an outline, such as a nose or a hat."""
        pen.fill(geometry.grown(outline, self.edge * 0.9), edge)
        pen.fill(outline, color)

    def line(self, pen: Pen, points, color: Color, width: float) -> None:
        pen.line(points, color, width)

    def limb(self, pen: Pen, curve: np.ndarray, radius: float, color: Color) -> None:
        """An arm along a curve with a round hand at its end: a chain of circles, so that it may bend sharply."""
        self._chain(pen, curve, radius + self.edge, self.edge_color(color))
        self._chain(pen, curve, radius, color)

    def _chain(self, pen: Pen, curve: np.ndarray, radius: float, color: Color) -> None:
        length = float(np.hypot(*np.diff(curve, axis=0).T).sum())
        step = max(1, int(0.55 * radius / max(length / (len(curve) - 1), 1e-6)))
        for x, y in curve[:-1:step]:
            pen.fill(_CIRCLE * radius + (x, y), color)
        pen.fill(_CIRCLE * (radius * 1.12) + curve[-1], color)


@lru_cache(maxsize=4096)
def _ramp(start: Color, end: Color, steps: int) -> tuple[Color, ...]:
    """`steps` tones from near `start` to `end`, eased."""
    return tuple(mix(start, end, 1 - (1 - k / steps) ** 1.6) for k in range(1, steps + 1))


class Soft(Flat):
    """Rounded bodies under a lamp at the upper left, without outlines, as in three-dimensional emoji.

    A body is a pile of copies of its outline that step inwards from a dark rim and towards the light, and of a round
    spot that grows lighter: the shading follows any outline and any movement, and costs a few polygons.
    """

    edge = 0.03

    def edge_color(self, color: Color) -> Color:
        return mix(color, (70, 30, 60), 0.36)

    def solids(self, pen: Pen, parts: Sequence[Solid]) -> None:
        for outline, color in parts:
            self._pile(pen, outline, color, 8 if geometry.thickness(outline) > 0.5 else 4)

    def limb(self, pen: Pen, curve: np.ndarray, radius: float, color: Color) -> None:
        rim, bright = self._tones(color)
        for size, tone in ((1.0, rim), (0.80, mix(color, rim, 0.15)), (0.46, mix(color, bright, 0.45))):
            self._chain(pen, curve + (1 - size) * radius * np.array([-0.34, -0.44]), radius * size, tone)

    @staticmethod
    def _tones(color: Color) -> tuple[Color, Color]:
        """The colour in the shade and in the light."""
        return mix(color, (92, 34, 84), 0.36), mix(color, (255, 255, 246), 0.42)

    def _pile(self, pen: Pen, outline: np.ndarray, color: Color, steps: int) -> None:
        rim, bright = self._tones(color)
        pen.fill(outline, rim)
        thick = geometry.thickness(outline)
        middle = outline.mean(0)
        away = outline - middle
        deep = 0.24 * thick
        if geometry.seen_from_middle(away):  # shrinking it keeps it inside itself
            way = away * (deep / thick) + (0.36 * deep, 0.46 * deep)
            for k, tone in enumerate(_ramp(rim, color, steps), 1):
                pen.fill(outline - way * (k / steps), tone)
        else:
            way = geometry.outward(outline) * (0.6 * deep) + (0.2 * deep, 0.26 * deep)
            for k, tone in enumerate(_ramp(rim, color, steps), 1):
                pen.fill(geometry.unfolded(outline, outline - way * (k / steps)), tone)
        radius = 0.96 * float(np.sqrt((away**2).sum(1)).min()) - deep
        if radius < 0.1:
            return
        center = middle + radius * np.array([-0.16, -0.22])
        for k, tone in enumerate(_ramp(color, bright, steps + 2)[:-1], 1):
            pen.fill(_CIRCLE * (radius * (1 - k / (steps + 2))) + center, tone)


class Sketch(Flat):
    """Coloured pencil: a pale wash, hatching, and a line drawn twice by a hand that is not quite sure."""

    edge = 0.026
    pencil: Color = (66, 62, 70)

    def edge_color(self, color: Color) -> Color:
        return mix(self.pencil, color, 0.18)

    def _wash(self, color: Color) -> Color:
        return mix(color, (255, 253, 247), 0.46 if luminance(color) > 90 else 0.36)

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

    def limb(self, pen: Pen, curve: np.ndarray, radius: float, color: Color) -> None:
        self._chain(pen, curve, radius + self.edge, self.edge_color(color))
        self._chain(pen, curve, radius, mix(color, self._wash(color), 0.7))

    def _outline(self, pen: Pen, outline: np.ndarray, color: Color) -> None:
        middle = outline.mean(0)
        away = outline - middle
        angle = np.arctan2(away[:, 0], away[:, 1])
        for k, width in ((0, self.edge), (1, self.edge * 1.25)):
            line = outline + away * (0.018 * np.sin(3 * angle + 2.1 * k) + 0.012 * np.sin(5 * angle - 1.3 * k))[:, None]
            pen.fill(geometry.grown(line, width), color)
            pen.fill(line, (255, 253, 247))

    def _hatch(self, pen: Pen, outline: np.ndarray, color: Color, spacing: float = 0.15) -> None:
        """Slanted strokes from edge to edge, each a little short."""
        p = geometry.turned(outline, 0.9)
        after = np.concatenate([p[1:], p[:1]])
        rows = np.arange(p[:, 1].min() + spacing * 0.6, p[:, 1].max(), spacing)
        crossing = (p[:, 1] <= rows[:, None]) != (after[:, 1] <= rows[:, None])
        row, edge = np.nonzero(crossing)
        a, b, y = p[edge], after[edge], rows[row]
        x = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
        order = np.lexsort((x, row))  # a row crosses a closed outline an even number of times
        left, right, y, row = x[order][::2], x[order][1::2], y[order][::2], row[order][::2]
        wide = right - left > 0.12
        left, right, y, row = left[wide], right[wide], y[wide], row[wide]
        right = right - 0.05 - 0.16 * np.abs(np.sin(12.9 * row + 3 * left)) * (right - left)
        middle, bow, half = (left + right) / 2, 0.02 * np.sin(7.0 * row), 0.017
        left = left + 0.04
        strokes = np.empty((len(row), 6, 2))
        strokes[:, :, 0] = np.stack([left, middle, right, right, middle, left], axis=1)
        strokes[:, :, 1] = np.stack([y, y + bow - half, y, y + half, y + bow + half, y + half], axis=1)
        for stroke in geometry.turned(strokes.reshape(-1, 2), -0.9).reshape(strokes.shape):
            pen.fill(stroke, color)


STYLES: dict[str, Flat] = {"flat": Flat(), "soft": Soft(), "sketch": Sketch()}
"""The styles by the name in a spec."""
