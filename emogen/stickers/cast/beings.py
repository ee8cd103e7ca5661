"""Those of the cast who are neither animals nor things: plain faces, a ghost, a robot, an alien, the sky."""

from __future__ import annotations

import numpy as np

from emogen.stickers.cast.character import Character, FaceLayout, Part, pair
from emogen.stickers.cast.geometry import band, ellipse, rounded, smooth, softened, star, symmetric, turned


def _cloud() -> np.ndarray:
    a = np.linspace(0, 2 * np.pi, 84, endpoint=False)
    r = 0.90 + 0.20 * np.abs(np.cos(2.5 * a))
    x, y = 1.16 * r * np.sin(a), -0.95 * r * np.cos(a)
    return np.stack([x, np.minimum(y, 0.72 + 0.10 * np.cos(x * 1.4))], axis=1)


def _moon() -> np.ndarray:
    """A crescent, thick enough for a face, open to the upper right: a disc without another."""
    toward, far, outer, inner = np.radians(-34), 0.86, 1.12, 0.68
    along = (outer**2 - inner**2 + far**2) / (2 * far)
    half_outer, half_inner = np.arccos(along / outer), np.arccos((along - far) / inner)
    a = np.linspace(toward + half_outer, toward + 2 * np.pi - half_outer, 48)
    b = np.linspace(toward - half_inner, toward - 2 * np.pi + half_inner, 22)[1:-1]
    middle = far * np.array([np.cos(toward), np.sin(toward)])
    inside = middle + inner * np.stack([np.cos(b), np.sin(b)], axis=1)
    return softened(np.vstack([outer * np.stack([np.cos(a), np.sin(a)], axis=1), inside]), 80, 4)


def _ray(angle: float) -> np.ndarray:
    return turned(rounded([(0.78, -0.30), (1.40, 0), (0.78, 0.30)], 2, 0.16), angle)


_GHOST = symmetric(
    [
        (0, -1.02),
        (0.50, -0.92),
        (0.84, -0.54),
        (0.94, 0.0),
        (0.98, 0.52),
        (1.06, 0.98),
        (0.84, 1.04),
        (0.66, 0.86),
        (0.40, 0.88),
        (0.20, 1.06),
        (0, 1.10),
    ]
)
_ALIEN = symmetric([(0, -1.02), (0.60, -0.92), (1.08, -0.46), (1.12, 0.02), (0.80, 0.52), (0.44, 0.88), (0, 0.99)])

BEINGS: dict[str, Character] = {
    "round": Character(
        nouns=("round face", "smiley"),
        colors=("yellow", "orange", "pink"),
        body=(Part(ellipse(0, 0, 0.98, 0.97, 60)),),
        face=FaceLayout(scale=0.98),
        limb="",
        feet=None,
        fit=(0.318, 0.61),
    ),
    "square": Character(
        nouns=("square face", "cube face"),
        colors=("blue", "red", "green", "yellow"),
        body=(Part(ellipse(0, 0, 0.96, 0.92, 64, 5.0)),),
        face=FaceLayout(scale=0.98),
        hat=(0, -0.84, 1.0),
        limb="",
        feet=None,
        fit=(0.318, 0.61),
    ),
    "ghost": Character(
        nouns=("ghost", "little ghost"),
        colors=("white", "purple", "blue"),
        body=(Part(_GHOST),),
        face=FaceLayout(y=-0.10, scale=0.92),
        hat=(0, -0.94, 0.9),
        neck=(0, 0.62, 1.0),
        feet=None,
        fit=(0.295, 0.588),
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
        fit=(0.295, 0.604),
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
        fit=(0.294, 0.597),
    ),
    "sun": Character(
        nouns=("sun", "bright sun"),
        colors=("yellow", "orange", "red"),
        behind=tuple(Part(_ray(k * np.pi / 5 + np.pi / 10), "shade", "spin") for k in range(10)),
        body=(Part(ellipse(0, 0, 0.92, 0.92, 56)),),
        face=FaceLayout(scale=0.90),
        hat=(0, -0.84, 0.9),
        feet=None,
        fit=(0.285, 0.549),
    ),
    "moon": Character(
        nouns=("moon", "crescent moon"),
        colors=("yellow", "white", "blue"),
        body=(Part(_moon()),),
        face=FaceLayout(x=-0.34, y=0.24, scale=0.70),
        hat=(-0.50, -0.94, 0.7),
        neck=(-0.10, 0.94, 0.8),
        feet=None,
        fit=(0.295, 0.566),
    ),
    "star": Character(
        nouns=("star", "little star"),
        colors=("yellow", "orange", "pink", "blue"),
        body=(Part(softened(star(0, 0.06, 1.36, 5, 0.58), 80, 4)),),
        face=FaceLayout(y=0.10, scale=0.72),
        hat=(0, -0.98, 0.6),
        neck=(0, 0.70, 0.8),
        feet=None,
        fit=(0.295, 0.551),
    ),
    "cloud": Character(
        nouns=("cloud", "fluffy cloud"),
        colors=("white", "gray", "blue", "pink"),
        body=(Part(_cloud()),),
        face=FaceLayout(y=0.02, scale=0.84),
        hat=(0, -0.92, 0.9),
        neck=(0, 0.72, 0.9),
        feet=None,
        fit=(0.295, 0.598),
    ),
}
"""Beings by the name in a spec."""
