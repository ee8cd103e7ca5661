"""Mouths: one opening between two lips that bends, rounds, squares, trembles, and shows teeth and tongue."""

from __future__ import annotations

import numpy as np

from emogen.stickers.cast import geometry
from emogen.stickers.cast.colors import INK
from emogen.stickers.cast.eyes import Ink, within
from emogen.stickers.cast.pen import Color, Pen
from emogen.stickers.cast.pose import Pose
from emogen.stickers.cast.styles import Flat

INSIDE: Color = (118, 24, 40)
TONGUE: Color = (244, 112, 124)
TONGUE_EDGE: Color = (176, 50, 70)
_X = np.linspace(-1, 1, 29)


def draw_mouth(pen: Pen, style: Flat, pose: Pose, ink: Ink, size: float, lips: Color | None, t: float) -> None:
    """A mouth around (0, mouth_y) of the face."""
    w, opening = pose.mouth_w * size, pose.open * size
    bend = pose.smile * size * 1.25
    line = pose.mouth_y + bend * (0.55 - _X**2) + pose.skew * _X * size
    line = line + pose.wave * size * np.sin(3 * np.pi * _X + 2 * np.pi * 2 * t)
    rounded, squared = np.sqrt(np.clip(1 - _X**2, 0, 1)), np.clip(1 - _X**10, 0, 1) ** 0.5
    profile = rounded + (squared - rounded) * pose.box
    top = line - opening * pose.upper * profile
    bottom = line + opening * (1 - pose.upper) * profile
    x = _X * w
    if lips is not None:
        _beak(pen, style, x, top, bottom, line, lips)
    out = pose.tongue_out * size
    thick = 0.070
    if opening > 0.012:
        pen.fill(geometry.between(x, top, bottom), INSIDE)
        if pose.tongue > 0.05:
            flesh = within(x, top, bottom, 0, float(bottom.max()) - 0.02, w * 0.62, opening * 0.42 * pose.tongue)
            if flesh is not None:
                pen.fill(flesh, TONGUE)
        if pose.teeth > 0.02:
            row = np.minimum(bottom, top + pose.teeth * opening * profile)
            pen.fill(geometry.between(x * 0.94, top, row), (255, 255, 255))
        if pose.clench > 0.1:
            shown = pose.clench
            middle = (top + bottom) / 2
            pen.fill(
                geometry.between(x, middle + (top - middle) * shown, middle + (bottom - middle) * shown),
                (255, 255, 255),
            )
            pen.line(np.stack([x * 0.96, middle], axis=1), INK, 0.030)
            for part in (-0.56, -0.19, 0.19, 0.56):
                high, low = np.interp(part, _X, top), np.interp(part, _X, bottom)
                pen.line([(part * w, high), (part * w, low)], INK, 0.030)
        thick = 0.055
    for curve in (top, bottom):
        style.line(pen, np.stack([x, curve], axis=1), INK if opening > 0.03 or lips else ink.line, thick)
    if out > 0.02:
        _tongue_out(pen, style, pose, x, bottom, w, out)


def _tongue_out(pen: Pen, style: Flat, pose: Pose, x: np.ndarray, bottom: np.ndarray, w: float, out: float) -> None:
    a = np.linspace(0, np.pi, 15)
    middle, half = 0.12 * w, 0.46 * w
    start = float(np.interp(middle, x, bottom)) - 0.05
    tip = np.stack([middle + half * np.cos(a), start + (out + 0.05) * np.sin(a) ** 0.55], axis=1)
    pen.fill(geometry.grown(tip, 0.035), TONGUE_EDGE)
    pen.fill(tip, TONGUE)
    style.line(pen, [(middle, start), (middle + 0.01, start + out * 0.55)], TONGUE_EDGE, 0.04)


def _beak(
    pen: Pen, style: Flat, x: np.ndarray, top: np.ndarray, bottom: np.ndarray, line: np.ndarray, color: Color
) -> None:
    """A beak's edge around the opening, with a peak above."""
    peak = 0.17 * (1 - np.abs(_X)) ** 1.2
    wide = x * 1.22
    outline = geometry.between(wide, top - 0.085 - peak, bottom + 0.095)
    style.feature(pen, outline, color, edge=(170, 84, 20))
