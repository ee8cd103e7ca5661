"""Closed outlines and lines of the cast, as arrays of points: x right, y down, 1 = half a body's width."""

from __future__ import annotations

import math

import numpy as np

TURN = 2 * math.pi


def ellipse(x: float, y: float, rx: float, ry: float, steps: int = 40, power: float = 2.0) -> np.ndarray:
    """`(steps, 2)`; `power` above 2 squares it off, below 2 pinches it."""
    a = np.linspace(0, TURN, steps, endpoint=False)
    c, s = np.cos(a), np.sin(a)
    if power == 2.0:
        return np.stack([x + rx * c, y + ry * s], axis=1)
    r = (np.abs(c) ** power + np.abs(s) ** power) ** (-1 / power)
    return np.stack([x + rx * r * c, y + ry * r * s], axis=1)


def smooth(points, steps: int = 8, closed: bool = True) -> np.ndarray:
    """A Catmull-Rom curve through the points, `steps` to each stretch."""
    p = np.asarray(points, dtype=float)
    before, after = (np.roll(p, 1, 0), np.roll(p, -1, 0)) if closed else (np.vstack([p[:1], p[:-1]]), None)
    if not closed:
        after = np.vstack([p[1:], p[-1:]])
    beyond = np.roll(after, -1, 0) if closed else np.vstack([after[1:], after[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    a, b, c, d = before, p, after, beyond
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat = curve.transpose(1, 0, 2)
    return flat.reshape(-1, 2) if closed else np.vstack([flat[:-1].reshape(-1, 2), p[-1:]])


def rounded(points, passes: int = 2, share: float = 0.25) -> np.ndarray:
    """Corner cutting (Chaikin 1974): rounds a polygon without moving its middle."""
    p = np.asarray(points, dtype=float)
    for _ in range(passes):
        after = np.roll(p, -1, axis=0)
        p = np.stack([(1 - share) * p + share * after, share * p + (1 - share) * after], axis=1).reshape(-1, 2)
    return p


def mirrored(points) -> np.ndarray:
    """The other side's outline."""
    return np.asarray(points, dtype=float) * (-1, 1)


def star(x: float, y: float, r: float, points: int = 5, inner: float = 0.45) -> np.ndarray:
    a = np.arange(points * 2) * math.pi / points
    radius = np.where(np.arange(points * 2) % 2 == 0, r, r * inner)
    return np.stack([x + radius * np.sin(a), y - radius * np.cos(a)], axis=1)


def drop(x: float, y: float, r: float, steps: int = 24) -> np.ndarray:
    """A drop of water whose round end is at the bottom."""
    t = np.linspace(0, TURN, steps, endpoint=False)
    return np.stack([x + r * np.sin(t) * np.clip(np.sin(t / 2), 0, None), y - 1.45 * r * np.cos(t)], axis=1)


def heart(x: float, y: float, r: float, steps: int = 32) -> np.ndarray:
    t = np.linspace(0, TURN, steps, endpoint=False)
    hy = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    return np.stack([x + r * np.sin(t) ** 3, y + r * hy], axis=1)


def turned(points, angle: float, about=(0.0, 0.0)) -> np.ndarray:
    """Rotated by `angle` radians (clockwise on the screen) about a point."""
    c, s = math.cos(angle), math.sin(angle)
    p = np.asarray(points, dtype=float) - about
    return np.stack([c * p[:, 0] - s * p[:, 1], s * p[:, 0] + c * p[:, 1]], axis=1) + about


def _normals(p: np.ndarray, closed: bool) -> np.ndarray:
    """The direction to the left of the way at each point, longer at corners so that a band keeps its width there."""
    after = np.roll(p, -1, 0) - p if closed else np.diff(p, axis=0, append=p[-1:])
    if not closed:
        after[-1] = after[-2]
    length = np.hypot(after[:, 0], after[:, 1])[:, None]
    ahead = after / np.maximum(length, 1e-9)
    behind = np.roll(ahead, 1, 0)
    if not closed:
        behind[0] = ahead[0]
    way = ahead + behind
    size = np.hypot(way[:, 0], way[:, 1])[:, None]  # 2 cos(half the turn)
    way = np.where(size > 1e-6, way / np.maximum(size, 1e-6), ahead)
    return np.stack([way[:, 1], -way[:, 0]], axis=1) * (2 / np.maximum(size, 1.1))


def area(p: np.ndarray) -> float:
    """Signed area: positive when the points go clockwise on the screen."""
    x, y = p[:, 0], p[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def grown(points, width: float) -> np.ndarray:
    """A closed outline moved outwards by `width` (inwards when negative)."""
    p = np.asarray(points, dtype=float)
    return p + _normals(p, True) * (width if area(p) > 0 else -width)


_CAP = np.linspace(0, math.pi, 6)[1:-1]


def band(points, width: float) -> np.ndarray:
    """The outline of a line of this width with round ends."""
    p = np.asarray(points, dtype=float)
    n = _normals(p, False) * (width / 2)

    def cap(at, normal):
        x, y = normal
        return np.stack([at[0] + x * np.cos(_CAP) - y * np.sin(_CAP), at[1] + y * np.cos(_CAP) + x * np.sin(_CAP)], 1)

    return np.vstack([p + n, cap(p[-1], n[-1]), (p - n)[::-1], cap(p[0], -n[0])])


def between(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """The outline of what lies below one curve and above another."""
    return np.concatenate([np.stack([x, top], axis=1), np.stack([x[::-1], bottom[::-1]], axis=1)])
