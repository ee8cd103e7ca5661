"""Tears, steam, sparkles and the like around or on a character: they support what a face says already.

Every effect repeats with one second and grows from nothing with its strength.
"""

from __future__ import annotations

import math

import numpy as np

from emogen.stickers.cast import geometry
from emogen.stickers.cast.pen import Color, Pen

TEAR: Color = (108, 190, 255)
TEAR_EDGE: Color = (40, 116, 214)


def draw_behind(pen: Pen, effect: str, t: float, s: float) -> None:
    """What stands behind the body; `pen` is the body's, `s` the strength (0..1)."""
    if effect == "rays":
        for k in range(12):
            a = k * math.pi / 6 + math.pi / 12
            far = 1.34 + (0.24 + 0.07 * math.sin(2 * math.pi * t + k * math.pi)) * s
            points = [(r * math.cos(a), -0.05 + r * math.sin(a)) for r in (1.34, far)]
            pen.line(points, (255, 220, 90), 0.10 * s)
    elif effect == "steam":
        for side in (-1, 1):
            for k in range(2):
                at = (t + k / 2) % 1.0
                r = (0.10 + 0.20 * at) * s * min(1.0, 4 * at, 4 * (1 - at))
                x, y = side * (0.92 + 0.44 * at), -0.66 - 0.40 * at
                if r > 0.02:
                    for dx, dy, q in ((0, 0, 1.0), (0.8, 0.3, 0.7), (-0.6, 0.4, 0.7)):
                        pen.ellipse(x + dx * r * side, y + dy * r, r * q + 0.03, r * q + 0.03, (150, 150, 160))
                    for dx, dy, q in ((0, 0, 1.0), (0.8, 0.3, 0.7), (-0.6, 0.4, 0.7)):
                        pen.ellipse(x + dx * r * side, y + dy * r, r * q, r * q, (244, 244, 248))
    elif effect == "stink":
        x = np.linspace(0, 1, 13)
        for base in (-0.80, 0.86):
            way = base + 0.10 * np.sin(x * 2.4 * math.pi - 2 * math.pi * t + base * 4)
            pen.line(np.stack([way, -0.98 - 0.44 * x * s], axis=1), (124, 150, 50), 0.09 * s)


def draw_front(face: Pen, effect: str, t: float, s: float, eye: tuple[float, float]) -> None:
    """What stands in front; `face` is the face's pen, `eye` the right eye's middle in it."""
    ex, ey = eye
    if effect == "joy_tears":
        for side in (-1, 1):
            r = 0.15 * s * (0.85 + 0.2 * math.sin(4 * math.pi * t))
            _tear(face, side * (ex + 0.26), ey + 0.14, r, side * -0.7)
    elif effect == "tears":
        for side, late in ((-1, 0.0), (1, 0.5)):
            at = (t + late) % 1.0
            r = 0.14 * s * min(1.0, 5 * at, 5 * (1 - at))
            _tear(face, side * (ex + 0.02), ey + 0.22 + 0.62 * at, r)
    elif effect == "sweat":
        for x, late in ((-0.80, 0.0), (0.84, 0.5)):
            at = (t + late) % 1.0
            r = 0.13 * s * min(1.0, 5 * at, 5 * (1 - at))
            _tear(face, x, -0.60 + 0.40 * at, r)
    elif effect == "sparkles":
        for k, (x, y) in enumerate([(-1.42, -0.92), (1.42, -0.86), (-1.42, 0.52), (1.44, 0.50)]):
            r = (0.17 + 0.10 * math.sin(2 * math.pi * (t + k / 4))) * s
            if r > 0.03:
                face.fill(geometry.star(x, y, r * 1.25, 4, 0.36), (226, 150, 10))
                face.fill(geometry.star(x, y, r, 4, 0.34), (255, 226, 80))
    elif effect == "hearts":
        for k, side in enumerate((-1, 1)):
            at = (t + k / 2) % 1.0
            r = 0.16 * s * min(1.0, 4 * at, 4 * (1 - at))
            if r > 0.03:
                x = side * 1.20 + 0.07 * math.sin(2 * math.pi * at)
                face.fill(geometry.heart(x, -0.45 - 0.60 * at, r * 1.2), (190, 40, 90))
                face.fill(geometry.heart(x, -0.45 - 0.60 * at, r), (250, 104, 146))


def _tear(pen: Pen, x: float, y: float, r: float, lean: float = 0.0) -> None:
    if r < 0.025:
        return
    for color, size in ((TEAR_EDGE, r + 0.028), (TEAR, r)):
        pen.fill(geometry.turned(geometry.drop(x, y, size), lean, (x, y)), color)
    pen.ellipse(x - 0.3 * r, y + 0.35 * r, 0.22 * r, 0.3 * r, (232, 246, 255))
