"""Those of the cast who are neither animals nor things: plain faces, a ghost, a robot, an alien, the sky."""

from __future__ import annotations

import numpy as np

from emogen.stickers.cast.character import Character, FaceLayout, Part, pair
from emogen.stickers.cast.geometry import band, ellipse, rounded, smooth, star


def _cloud() -> np.ndarray:
    a = np.linspace(0, 2 * np.pi, 84, endpoint=False)
    r = 0.90 + 0.20 * np.abs(np.cos(2.5 * a))
    x, y = 1.16 * r * np.sin(a), -0.95 * r * np.cos(a)
    return np.stack([x, np.minimum(y, 0.72 + 0.10 * np.cos(x * 1.4))], axis=1)


def _moon() -> np.ndarray:
    """A crescent, thick enough for a face, open to the upper right."""
    outer = np.linspace(np.radians(-52), np.radians(-52 + 292), 50) - np.radians(292 - 38)
    outside = np.stack([1.12 * np.cos(outer), 1.12 * np.sin(outer)], axis=1)
    start, end = outside[-1], outside[0]
    middle = (start + end) / 2 + np.array([0.62, -0.42])
    r = np.hypot(*(start - middle))
    a0, a1 = np.arctan2(*(start - middle)[::-1]), np.arctan2(*(end - middle)[::-1])
    inner = np.linspace(a0, a1 + (2 * np.pi if a1 < a0 else 0), 26)[1:-1]
    return np.vstack([outside, np.stack([middle[0] + r * np.cos(inner), middle[1] + r * np.sin(inner)], axis=1)])


_GHOST = smooth(
    [
        (0, -1.02),
        (0.50, -0.92),
        (0.86, -0.54),
        (0.98, 0.0),
        (1.02, 0.56),
        (1.08, 1.02),
        (0.80, 0.88),
        (0.54, 1.08),
        (0.27, 0.90),
        (0, 1.08),
        (-0.27, 0.90),
        (-0.54, 1.08),
        (-0.80, 0.88),
        (-1.08, 1.02),
        (-1.02, 0.56),
        (-0.98, 0.0),
        (-0.86, -0.54),
        (-0.50, -0.92),
    ],
    6,
)
_ALIEN = smooth(
    [
        (0, -1.02),
        (0.60, -0.92),
        (1.08, -0.46),
        (1.12, 0.02),
        (0.80, 0.52),
        (0.44, 0.88),
        (0, 0.99),
        (-0.44, 0.88),
        (-0.80, 0.52),
        (-1.12, 0.02),
        (-1.08, -0.46),
        (-0.60, -0.92),
    ],
    6,
)

BEINGS: dict[str, Character] = {
    "round": Character(
        nouns=("round face", "smiley"),
        colors=("yellow", "orange", "pink"),
        body=(Part(ellipse(0, 0, 0.98, 0.97, 60)),),
        face=FaceLayout(scale=0.98),
        limb="",
        feet=None,
        fit=(0.33, 0.54),
    ),
    "square": Character(
        nouns=("square face", "cube face"),
        colors=("blue", "red", "green", "yellow"),
        body=(Part(ellipse(0, 0, 0.96, 0.92, 64, 5.0)),),
        face=FaceLayout(scale=0.98),
        hat=(0, -0.84, 1.0),
        limb="",
        feet=None,
        fit=(0.33, 0.54),
    ),
    "ghost": Character(
        nouns=("ghost", "little ghost"),
        colors=("white", "purple", "blue"),
        body=(Part(_GHOST),),
        face=FaceLayout(y=-0.10, scale=0.92),
        hat=(0, -0.94, 0.9),
        neck=(0, 0.62, 1.0),
        feet=None,
        fit=(0.29, 0.53),
    ),
    "robot": Character(
        nouns=("robot", "little robot"),
        colors=("gray", "blue", "turquoise", "red"),
        behind=(
            Part(band([(0, -0.8), (0, -1.22)], 0.10), "steel", "tail", (0, -0.8)),
            Part(ellipse(0, -1.30, 0.16, 0.16), "lamp", "tail", (0, -0.8)),
            *pair(ellipse(-1.04, -0.02, 0.20, 0.30, 40, 4.0), "steel", "ear", (-0.9, 0)),
        ),
        body=(Part(ellipse(0, 0, 1.0, 0.88, 64, 6.0)),),
        marks=(
            Part(ellipse(0, 0.02, 0.84, 0.70, 56, 5.0), "light"),
            *pair(ellipse(-0.90, 0.74, 0.05, 0.05), "deep"),
            *pair(ellipse(-0.90, -0.72, 0.05, 0.05), "deep"),
        ),
        face=FaceLayout(skin="light", scale=0.88),
        hat=(0.0, -0.82, 0.95),
        limb="steel",
        shoulder=(0.92, 0.42),
        arm=0.22,
    ),
    "alien": Character(
        nouns=("alien", "little alien"),
        colors=("green", "turquoise", "purple", "gray"),
        behind=(
            *pair(
                band(smooth([(-0.40, -0.80), (-0.56, -1.14), (-0.72, -1.26)], 5, closed=False), 0.08),
                "dark",
                "ear",
                (-0.4, -0.8),
            ),
            *pair(ellipse(-0.74, -1.30, 0.14, 0.14), "soft", "ear", (-0.4, -0.8)),
        ),
        body=(Part(_ALIEN),),
        face=FaceLayout(
            y=-0.04, scale=0.90, eye_x=0.44, eye_size=1.30, mouth_size=0.85, mouth_y=0.08, cheek_y=0.24, cheek_x=0.60
        ),
        hat=(0, -0.94, 0.8),
        neck=(0, 0.92, 0.8),
        shoulder=(0.56, 0.66),
        arm=0.2,
        feet=0.98,
    ),
    "sun": Character(
        nouns=("sun", "bright sun"),
        colors=("yellow", "orange", "red"),
        behind=tuple(
            Part(
                rounded(
                    [
                        (0.80 * np.cos(a - 0.16), 0.80 * np.sin(a - 0.16)),
                        (1.36 * np.cos(a), 1.36 * np.sin(a)),
                        (0.80 * np.cos(a + 0.16), 0.80 * np.sin(a + 0.16)),
                    ],
                    2,
                    0.14,
                ),
                "dark",
                "spin",
            )
            for a in np.arange(12) * np.pi / 6
        ),
        body=(Part(ellipse(0, 0, 0.92, 0.92, 56)),),
        face=FaceLayout(scale=0.90),
        hat=(0, -0.84, 0.9),
        feet=None,
        fit=(0.30, 0.52),
    ),
    "moon": Character(
        nouns=("moon", "crescent moon"),
        colors=("yellow", "white", "blue"),
        body=(Part(_moon()),),
        face=FaceLayout(x=-0.26, y=0.22, scale=0.74),
        hat=(-0.50, -0.94, 0.7),
        neck=(-0.10, 0.94, 0.8),
        feet=None,
        fit=(0.34, 0.52),
    ),
    "star": Character(
        nouns=("star", "little star"),
        colors=("yellow", "orange", "pink", "blue"),
        body=(Part(rounded(star(0, 0.06, 1.34, 5, 0.58), 2, 0.2)),),
        face=FaceLayout(y=0.10, scale=0.72),
        hat=(0, -0.98, 0.6),
        neck=(0, 0.70, 0.8),
        feet=None,
        fit=(0.33, 0.54),
    ),
    "cloud": Character(
        nouns=("cloud", "fluffy cloud"),
        colors=("white", "gray", "blue", "pink"),
        body=(Part(_cloud()),),
        face=FaceLayout(y=0.02, scale=0.84),
        hat=(0, -0.92, 0.9),
        neck=(0, 0.72, 0.9),
        feet=None,
        fit=(0.31, 0.52),
    ),
}
"""Beings by the name in a spec."""
