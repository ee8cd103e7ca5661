"""Sticker effects: tears, steam, sparkles and the like, drawn around or on a face.

Every effect is periodic with one second, so that a clip of `fps + 1` frames loops.
"""

from __future__ import annotations

import math

import numpy as np

TEAR = (70, 170, 255)
TEAR_EDGE = (24, 104, 206)


def _star(x: float, y: float, r: float, points: int = 4, inner: float = 0.36) -> np.ndarray:
    a = np.arange(points * 2) * math.pi / points
    radius = np.where(np.arange(points * 2) % 2 == 0, r, r * inner)
    return np.stack([x + radius * np.sin(a), y - radius * np.cos(a)], axis=1)


def _tear(x: float, y: float, r: float) -> np.ndarray:
    t = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    return np.stack([x + r * np.sin(t) * np.clip(np.sin(t / 2), 0, None), y - 1.45 * r * np.cos(t)], axis=1)


def _heart(x: float, y: float, r: float) -> np.ndarray:
    t = np.linspace(0, 2 * math.pi, 28, endpoint=False)
    hx = np.sin(t) ** 3
    hy = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    return np.stack([x + r * hx, y + r * hy], axis=1)


def _behind(canvas, effect: str, t: float, strength: float) -> None:
    if effect == "rays":
        for k in range(12):
            a = k * math.pi / 6 + 0.26 * math.sin(2 * math.pi * t)
            near, far = 1.10, 1.32 + 0.14 * strength + 0.08 * math.sin(2 * math.pi * t + k * math.pi)
            canvas.line(
                [(near * math.cos(a), near * math.sin(a)), (far * math.cos(a), far * math.sin(a))],
                (255, 214, 70),
                0.085,
            )
    elif effect == "steam":
        for side in (-1, 1):
            for k in range(2):
                s = (t * 1.0 + k / 2) % 1.0
                r = (0.10 + 0.16 * s) * strength
                canvas.ellipse(side * (0.86 + 0.5 * s), -0.62 - 0.45 * s, r, r, (232, 232, 236), (150, 150, 158), 0.04)
    elif effect == "stink":
        x = np.linspace(0, 1, 16)
        for base in (-0.62, 0.0, 0.62):
            wave = base + 0.09 * np.sin(x * 2.2 * math.pi - 2 * math.pi * t + base * 4)
            canvas.line(np.stack([wave, -1.02 - 0.42 * x], axis=1), (112, 150, 40), 0.08)


def _front(face, effect: str, t: float, strength: float, seed: int) -> None:
    if effect == "joy_tears":
        for side in (-1, 1):
            r = 0.15 * (0.8 + 0.25 * math.sin(2 * math.pi * t * 2)) * (0.5 + 0.5 * strength)
            face.polygon(_tear(side * 0.70, -0.02, r), TEAR, TEAR_EDGE, 0.03)
    elif effect == "tears":
        for side in (-1, 1):
            for k in range(2):
                s = (t + k / 2 + 0.1 * side) % 1.0
                r = (0.085 + 0.05 * min(1, s * 3)) * (0.55 + 0.45 * strength)
                face.polygon(_tear(side * 0.40, 0.12 + 0.75 * s, r), TEAR, TEAR_EDGE, 0.03)
    elif effect == "sweat":
        s = t % 1.0
        face.polygon(_tear(0.66, -0.62 + 0.42 * s, 0.13 * (0.5 + 0.5 * strength)), TEAR, TEAR_EDGE, 0.035)
        for k in range(3):
            x = -0.24 + 0.24 * k
            face.line([(x, -0.92), (x, -0.74 + 0.03 * math.sin(6 * math.pi * t))], (84, 96, 190), 0.05)
    elif effect == "sparkles":
        places = [(-1.28, -0.75), (1.30, -0.60), (-1.22, 0.55), (1.24, 0.62), (0.0, -1.50)]
        for k, (x, y) in enumerate(places):
            r = 0.20 + 0.10 * math.sin(2 * math.pi * (t + k / 5)) * strength
            face.polygon(_star(x, y, r), (255, 222, 40), (224, 140, 0), 0.03)
    elif effect == "hearts":
        for k in range(2):
            s = (t + k / 2) % 1.0
            r = 0.17 * math.sin(math.pi * min(1, s + 0.12)) * (0.5 + 0.5 * strength)
            if r > 0.03:
                x = (1.02 if k else -1.02) + 0.07 * math.sin(2 * math.pi * s)
                face.polygon(_heart(x, -0.35 - 0.75 * s, r), (240, 84, 120))


def draw_effect(canvas, effect: str, t: float, strength: float, seed: int, behind: bool) -> None:
    """Draw `effect` at time `t` (seconds) with `strength` in [0, 1]; once behind the body and once in front."""
    if behind:
        _behind(canvas, effect, t, strength)
    else:
        _front(canvas, effect, t, strength, seed)
