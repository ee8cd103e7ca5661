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


def symmetric(half, steps: int = 6) -> np.ndarray:
    """A smooth outline from its right half, top to bottom; a point with x = 0 is not mirrored."""
    p = np.asarray(half, dtype=float)
    return smooth(np.vstack([p, p[p[:, 0] > 0][::-1] * (-1, 1)]), steps)


def star(x: float, y: float, r: float, points: int = 5, inner: float = 0.45) -> np.ndarray:
    a = np.arange(points * 2) * math.pi / points
    radius = np.where(np.arange(points * 2) % 2 == 0, r, r * inner)
    return _points(x + radius * np.sin(a), y - radius * np.cos(a))


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
    return _points(c * p[:, 0] - s * p[:, 1] + about[0], s * p[:, 0] + c * p[:, 1] + about[1])


def _points(x, y) -> np.ndarray:
    """`(n, 2)` of two rows; several times faster than `np.stack`."""
    p = np.empty((len(x), 2))
    p[:, 0], p[:, 1] = x, y
    return p


def _normals(p: np.ndarray, closed: bool) -> np.ndarray:
    """The direction to the left of the way at each point, longer at corners so that a band keeps its width there."""
    ahead = np.empty_like(p)
    ahead[:-1] = p[1:] - p[:-1]
    ahead[-1] = p[0] - p[-1] if closed else ahead[-2]
    length = np.sqrt(ahead[:, 0] ** 2 + ahead[:, 1] ** 2)
    ahead /= np.maximum(length, 1e-9)[:, None]
    way = ahead.copy()
    way[1:] += ahead[:-1]
    way[0] += ahead[-1] if closed else ahead[0]
    square = way[:, 0] ** 2 + way[:, 1] ** 2  # (2 cos(half the turn)) squared
    scale = 2 / np.maximum(square, 1.2)
    return _points(way[:, 1] * scale, -way[:, 0] * scale)


def area(p: np.ndarray) -> float:
    """Signed area: positive when the points go clockwise on the screen."""
    x, y = p[:, 0], p[:, 1]
    return float(x[:-1] @ y[1:] - y[:-1] @ x[1:] + x[-1] * y[0] - y[-1] * x[0]) / 2


def outward(p: np.ndarray) -> np.ndarray:
    """The direction out of a closed outline at each of its points."""
    return _normals(p, True) * (1 if area(p) > 0 else -1)


def grown(points, width: float) -> np.ndarray:
    """A closed outline moved outwards by `width` (inwards when negative)."""
    p = np.asarray(points, dtype=float)
    return p + outward(p) * width


def thickness(p: np.ndarray) -> float:
    """Twice the area over the length of an outline: a circle's radius, about a line's width."""
    step = p - np.roll(p, 1, 0)
    return 2 * abs(area(p)) / float(np.sqrt((step**2).sum(1)).sum())


def seen_from_middle(away: np.ndarray) -> bool:
    """Whether an outline, given around its middle, can be seen whole from there."""
    x, y = away[:, 0], away[:, 1]
    turns = x[:-1] * y[1:] - y[:-1] * x[1:]
    return bool((turns > 0).all() or (turns < 0).all())


def softened(points, count: int = 72, passes: int = 3) -> np.ndarray:
    """An outline of evenly spaced points whose tips are blunted, the more passes the more."""
    p = np.asarray(points, dtype=float)
    ring = np.vstack([p, p[:1]])
    way = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(ring, axis=0).T))])
    at = np.linspace(0, way[-1], count, endpoint=False)
    q = np.stack([np.interp(at, way, ring[:, k]) for k in (0, 1)], axis=1)
    for _ in range(passes):
        q = (np.roll(q, 1, 0) + 2 * q + np.roll(q, -1, 0)) / 4
    return q


def unfolded(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """A moved outline without the points that passed each other, as at the tip of a star that is moved inwards."""
    old, new = before - np.roll(before, 1, 0), after - np.roll(after, 1, 0)
    turned_back = (old * new).sum(1) < 0
    kept = after[~(turned_back | np.roll(turned_back, -1))]
    return kept if len(kept) > 2 else after


_CAP = np.linspace(0, math.pi, 6)[1:-1]
_CAP_COS, _CAP_SIN = np.cos(_CAP), np.sin(_CAP)


def band(points, width: float) -> np.ndarray:
    """The outline of a line of this width with round ends."""
    p = np.asarray(points, dtype=float)
    n = _normals(p, False) * (width / 2)
    count, cap = len(p), len(_CAP)
    out = np.empty((2 * count + 2 * cap, 2))
    out[:count] = p + n
    out[count + cap : 2 * count + cap] = (p - n)[::-1]
    for start, at, (x, y) in ((count, p[-1], n[-1]), (2 * count + cap, p[0], -n[0])):
        out[start : start + cap, 0] = at[0] + x * _CAP_COS - y * _CAP_SIN
        out[start : start + cap, 1] = at[1] + y * _CAP_COS + x * _CAP_SIN
    return out


def between(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """The outline of what lies below one curve and above another."""
    count = len(x)
    out = np.empty((2 * count, 2))
    out[:count, 0], out[:count, 1] = x, top
    out[count:, 0], out[count:, 1] = x[::-1], bottom[::-1]
    return out
