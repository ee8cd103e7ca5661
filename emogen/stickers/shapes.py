"""Outlines of the rendered characters: closed polylines around the origin, roughly inside the unit circle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_STEPS = 96


@dataclass(frozen=True)
class Shape:
    """One character outline and where its face sits.

    Attributes:
        adjective: how a caption names the shape ("a *heart-shaped* pink face").
        outline: `(n, 2)` float array, x right and y down, in body units.
        face: `(x, y, scale)` of the face inside the body, in body units.
        top: y of the point where hats stand, in body units.
    """

    adjective: str
    outline: np.ndarray
    face: tuple[float, float, float]
    top: float


def _polar(radius, steps: int = _STEPS) -> np.ndarray:
    angle = np.linspace(0, 2 * math.pi, steps, endpoint=False)
    r = np.array([radius(a) for a in angle])
    return np.stack([r * np.sin(angle), -r * np.cos(angle)], axis=1)


def _rounded(points: np.ndarray, passes: int = 3) -> np.ndarray:
    """Corner cutting (Chaikin 1974): rounds a polygon without moving its middle."""
    for _ in range(passes):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1).reshape(-1, 2)
    return points


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * math.pi, _STEPS, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x / 16.0, (y + 1.5) / 15.5], axis=1)


def _star() -> np.ndarray:
    angle = np.arange(10) * math.pi / 5
    radius = np.where(np.arange(10) % 2 == 0, 1.22, 0.70)
    points = np.stack([radius * np.sin(angle), -radius * np.cos(angle) + 0.06], axis=1)
    return _rounded(points, 2)


def _drop() -> np.ndarray:
    t = np.linspace(0, 2 * math.pi, _STEPS, endpoint=False)
    x = 0.92 * np.sin(t) * np.clip(np.sin(t / 2), 0, None) ** 1.1
    y = -np.cos(t)
    return np.stack([x, y * 1.05], axis=1)


def _superellipse(power: float = 5.0, size: float = 0.92) -> np.ndarray:
    angle = np.linspace(0, 2 * math.pi, _STEPS, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    r = size / (np.abs(c) ** power + np.abs(s) ** power) ** (1 / power)
    return np.stack([r * c, r * s], axis=1)


def _triangle() -> np.ndarray:
    return _rounded(np.array([[0, -1.25], [1.28, 0.98], [-1.28, 0.98]]), 3)


def _cloud(angle: float) -> float:
    """Bumps above, a flat base below (`angle` 0 is up)."""
    bumpy = 0.80 + 0.22 * abs(math.cos(2.5 * angle))
    down = math.cos(angle - math.pi)
    wide = bumpy * (1 + 0.22 * abs(math.sin(angle)))
    return min(wide, 0.68 / down) if down > 0.2 else wide


SHAPES: dict[str, Shape] = {
    "round": Shape("round", _polar(lambda a: 0.96), (0, 0.0, 0.95), -0.90),
    "square": Shape("square", _superellipse(), (0, 0.0, 1.0), -0.88),
    "heart": Shape("heart-shaped", _heart(), (0, -0.10, 0.84), -0.62),
    "star": Shape("star-shaped", _star(), (0, 0.10, 0.74), -1.0),
    "drop": Shape("drop-shaped", _drop(), (0, 0.28, 0.76), -0.92),
    "cloud": Shape("cloud-shaped", _polar(_cloud), (0, 0.08, 0.84), -0.84),
    "flower": Shape("flower-shaped", _polar(lambda a: 0.70 + 0.34 * abs(math.cos(2.5 * a))), (0, 0.0, 0.80), -0.98),
    "triangle": Shape("triangular", _triangle(), (0, 0.30, 0.74), -0.85),
}
"""The eight shapes by name."""
