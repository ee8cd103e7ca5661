"""What a character wears."""

from __future__ import annotations

import numpy as np

from emogen.stickers.cast import geometry
from emogen.stickers.cast.character import Character
from emogen.stickers.cast.pen import Pen
from emogen.stickers.cast.styles import Flat

ACCESSORIES: dict[str, tuple[str, ...]] = {
    "none": (),
    "party hat": ("wearing a party hat", "with a party hat"),
    "top hat": ("wearing a top hat", "with a top hat"),
    "crown": ("wearing a crown", "with a crown"),
    "bow": ("with a bow", "wearing a bow"),
    "glasses": ("wearing glasses", "with glasses"),
    "headphones": ("wearing headphones", "with headphones"),
    "bow tie": ("wearing a bow tie", "with a bow tie"),
    "scarf": ("wearing a scarf", "with a scarf"),
}
"""Accessories by the name in a spec, and how captions put them."""


def draw_accessory(pen: Pen, style: Flat, who: Character, name: str, face: Pen) -> None:
    """Draw it where this character has its head, neck or eyes; `face` is the pen of its face."""
    if name == "none":
        return
    if name == "glasses":
        return _glasses(face, who)
    if name in ("bow tie", "scarf"):
        x, y, scale = who.neck
        return _NECK[name](pen.moved(x, y, 0, scale, scale), style)
    if name == "headphones":
        return _headphones(pen, style, who)
    x, y, scale = who.hat
    return _HATS[name](pen.moved(x, y, 0, scale, scale), style)


def _party_hat(pen: Pen, style: Flat) -> None:
    style.feature(pen, np.array([(-0.38, 0.12), (0.0, -0.50), (0.38, 0.12)]), (46, 190, 184), (18, 96, 96))
    pen.fill([(-0.28, -0.04), (0.19, -0.19), (0.11, -0.32), (-0.19, -0.19)], (255, 226, 90))
    pen.fill([(-0.34, 0.08), (0.35, 0.07), (0.25, -0.09), (-0.12, 0.02)], (255, 120, 150))
    style.feature(pen, geometry.ellipse(0, -0.50, 0.12, 0.12), (255, 112, 150), (170, 40, 80))


def _top_hat(pen: Pen, style: Flat) -> None:
    style.feature(pen, geometry.ellipse(0, 0.08, 0.60, 0.12), (72, 70, 90), (24, 22, 32))
    style.feature(
        pen, np.array([(-0.35, 0.08), (-0.38, -0.50), (0.38, -0.50), (0.35, 0.08)]), (72, 70, 90), (24, 22, 32)
    )
    pen.fill([(-0.36, -0.06), (0.36, -0.06), (0.35, 0.08), (-0.35, 0.08)], (206, 52, 74))


def _crown(pen: Pen, style: Flat) -> None:
    points = [(-0.44, 0.14), (-0.48, -0.32), (-0.22, -0.08), (0, -0.42), (0.22, -0.08), (0.48, -0.32), (0.44, 0.14)]
    style.feature(pen, np.array(points, dtype=float), (255, 212, 60), (166, 100, 10))
    for x, color in ((-0.24, (80, 150, 240)), (0, (222, 44, 76)), (0.24, (80, 150, 240))):
        pen.ellipse(x, 0.0, 0.075, 0.085, color)


def _wings(x: float, y: float, size: float, pen: Pen, style: Flat, color, edge) -> None:
    for side in (-1, 1):
        wing = geometry.smooth(
            [
                (x, y),
                (x + side * 0.34 * size, y - 0.30 * size),
                (x + side * 0.50 * size, y),
                (x + side * 0.34 * size, y + 0.30 * size),
            ],
            5,
        )
        style.feature(pen, wing, color, edge)
    style.feature(pen, geometry.ellipse(x, y, 0.13 * size, 0.15 * size), color, edge)


def _bow(pen: Pen, style: Flat) -> None:
    _wings(0.46, 0.02, 1.0, pen, style, (236, 84, 130), (140, 24, 66))


def _bow_tie(pen: Pen, style: Flat) -> None:
    _wings(0.0, 0.0, 0.9, pen, style, (214, 44, 66), (110, 8, 26))


def _scarf(pen: Pen, style: Flat) -> None:
    style.feature(
        pen, np.array([(0.26, -0.06), (0.54, -0.08), (0.62, 0.34), (0.32, 0.38)]), (206, 62, 72), (110, 20, 30)
    )
    x = np.linspace(-0.84, 0.84, 17)
    y = 0.12 * (1 - (x / 0.84) ** 2) - 0.10
    style.feature(pen, geometry.between(x, y - 0.13, y + 0.12), (228, 86, 92), (110, 20, 30))
    for at in (-0.56, -0.14, 0.28):
        pen.fill(
            [(at, y[8] - 0.10), (at + 0.12, y[8] - 0.10), (at + 0.12, y[8] + 0.08), (at, y[8] + 0.08)], (255, 220, 200)
        )


def _headphones(pen: Pen, style: Flat, who: Character) -> None:
    low, high = who.body[0].outline.min(0), who.body[0].outline.max(0)
    side = min(1.06, (high[0] - low[0]) / 2) + 0.02
    y = who.face.y + who.face.eye_y * who.face.scale
    top = max(low[1], who.hat[1]) - 0.05
    a = np.linspace(np.pi, 2 * np.pi, 21)
    style.line(pen, np.stack([side * np.cos(a), y + (y - top) * np.sin(a)], axis=1), (66, 66, 84), 0.13)
    for sign in (-1, 1):
        style.feature(pen, geometry.ellipse(sign * side, y, 0.17, 0.28, 32, 3.0), (64, 190, 226), (26, 70, 100))


def _glasses(face: Pen, who: Character) -> None:
    for side in (-1, 1):
        ring = geometry.ellipse(side * who.face.eye_x, who.face.eye_y, 0.31, 0.31, 32)
        face.line(np.vstack([ring, ring[:2]]), (30, 32, 48), 0.065)
    gap = who.face.eye_x - 0.31
    face.line([(-gap, who.face.eye_y), (gap, who.face.eye_y)], (30, 32, 48), 0.065)


_HATS = {"party hat": _party_hat, "top hat": _top_hat, "crown": _crown, "bow": _bow}
_NECK = {"bow tie": _bow_tie, "scarf": _scarf}
