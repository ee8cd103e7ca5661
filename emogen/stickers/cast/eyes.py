"""Eyes and brows: lids that meet on an arc, a dark that hides or shows the white, and light, stars and water in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emogen.stickers.cast import geometry
from emogen.stickers.cast.colors import INK, PALE
from emogen.stickers.cast.pen import Color, Pen
from emogen.stickers.cast.pose import Pose
from emogen.stickers.cast.styles import Flat
from emogen.stickers.palette import mix

_X = np.linspace(-1, 1, 21)
_ROUND = np.sqrt(np.clip(1 - _X**2, 0, 1))
GOLD: Color = (255, 214, 56)


@dataclass(frozen=True)
class Ink:
    """The colours a face is drawn in: dark lines on a light skin and light ones on a dark skin.

    Attributes:
        line: brows and closed mouths. eye: outlines and shut lids of the eyes.
        white: how much of the white of the eye shows at least, as a share of its size.
        halo: around brows that lie on light and dark both.
    """

    line: Color = INK
    eye: Color = INK
    white: float = 0.0
    halo: Color | None = None


def within(x: np.ndarray, top: np.ndarray, bottom: np.ndarray, ex: float, ey: float, rx: float, ry: float):
    """The part of an ellipse that lies between two curves over `x`, or None."""
    at = np.linspace(max(x[0], ex - rx), min(x[-1], ex + rx), 17)
    if rx <= 0.004 or ry <= 0.004 or at[-1] - at[0] < 0.01:
        return None
    half = ry * np.sqrt(np.clip(1 - ((at - ex) / rx) ** 2, 0, 1))
    upper = np.maximum(np.interp(at, x, top), ey - half)
    lower = np.minimum(np.interp(at, x, bottom), ey + half)
    seen = upper < lower
    if seen.sum() < 3:
        return None
    return geometry.between(at[seen], upper[seen], lower[seen])


def draw_eye(pen: Pen, style: Flat, pose: Pose, ink: Ink, side: int, size: float) -> None:
    """One eye around the pen's origin; `side` -1 is the viewer's left."""
    narrow = 1 - pose.wink if side > 0 else 1.0
    w, h = pose.eye_w * size, pose.eye_h * size
    opening = 1 - pose.shut
    arc = 0.04 - pose.arc * 0.15 * (1 - _X**2) + 0.06 * pose.arc
    top, bottom = -h * _ROUND, h * _ROUND
    inward = -side * _X  # 1 at the inner corner
    lid = 1 - (1 - pose.lid) * narrow
    cut = h * (2 * lid - 1 + pose.lid_slant * 0.8 * inward) - 0.06 * h * (1 - _X**2)
    if pose.lid > 0.004:
        top = np.minimum(np.maximum(top, np.minimum(cut, h)), bottom)
    under = 1 - (1 - pose.under) * narrow
    if pose.under > 0.004:
        bottom = np.maximum(np.minimum(bottom, h * (1 - 2 * under * 0.9) - 0.05 * h * _X**2), top)
    top, bottom = arc * size + (top - arc * size) * opening, arc * size + (bottom - arc * size) * opening
    x = _X * w
    edge = 0.030 + 0.030 * max(pose.shut, 0.0)
    for curve in (top, bottom):
        style.line(pen, np.stack([x, curve], axis=1), ink.eye, 2 * edge)
    if opening > 0.05:
        pen.fill(geometry.between(x, top, bottom), (255, 255, 255))
        largest = 1.35 - ink.white
        rx, ry = min(pose.iris * size, w * largest), min(pose.iris * size * 1.1, h * largest)
        gx, gy = pose.gaze_x, pose.gaze_y
        dark = within(x, top, bottom, gx, gy, rx, ry)
        if dark is not None:
            pen.fill(dark, INK)
            for dx, dy, r in ((-0.34, -0.40, 0.34), (0.32, 0.36, 0.16)):
                light = within(
                    x,
                    top,
                    bottom,
                    gx + dx * min(rx, w),
                    gy + dy * min(ry, h),
                    r * min(rx, w) * pose.gleam,
                    r * min(ry, h) * pose.gleam,
                )
                if light is not None:
                    pen.fill(light, (255, 255, 255))
        if pose.sparkle > 0.05:
            pen.fill(geometry.star(0.30 * rx, -0.28 * ry, 0.42 * min(rx, ry) * pose.sparkle, 4, 0.30), (255, 255, 255))
        if pose.wet > 0.05:
            low = bottom - 0.32 * pose.wet * (bottom - top)
            pen.fill(geometry.between(x * 0.9, np.maximum(low, top), bottom - 0.01), (150, 208, 255))
        if pose.lid > 0.05 or pose.under > 0.05:
            pen.line(np.stack([x * 1.12, top], axis=1), ink.eye, 0.07)
    if pose.starry > 0.03:
        r = 0.33 * size * pose.starry
        pen.fill(geometry.star(0, 0.01, r * 1.22, 5, 0.52), mix((150, 84, 0), INK, 0.3))
        pen.fill(geometry.star(0, 0.01, r, 5, 0.50), GOLD)
        pen.fill(geometry.star(-0.02, 0.0, r * 0.5, 5, 0.50), (255, 240, 150))


def draw_brow(pen: Pen, style: Flat, pose: Pose, ink: Ink, side: int) -> None:
    """One brow around the eye's middle."""
    thick = 0.085 * min(1.5, pose.brow_show)
    if thick < 0.012:
        return
    y = -0.30 - pose.brow_lift - (pose.brow_skew if side > 0 else -0.3 * pose.brow_skew)
    x = np.linspace(-1, 1, 9)
    inward = -side * x
    height = y + pose.brow_slant * inward - pose.brow_arch * (1 - x**2)
    points = np.stack([x * 0.20, height], axis=1)
    if ink.halo is not None:
        pen.line(points, ink.halo, thick + 0.07)
    style.line(pen, points, ink.line, thick)


def ink_for(skin: Color, dark: bool, patches: bool) -> Ink:
    """The ink for a face: lines are light on a dark skin, and so are eyes on dark patches."""
    if dark:
        return Ink(PALE, PALE, 0.55)
    return Ink(INK, PALE, 0.55, skin) if patches else Ink()
