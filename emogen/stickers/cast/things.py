"""Things of the cast that have come alive: food, plants, a heart and a drop."""

from __future__ import annotations

import numpy as np

from emogen.stickers.cast.character import Character, FaceLayout, Part, pair
from emogen.stickers.cast.geometry import TURN, band, drop, ellipse, heart, rounded, smooth, softened, symmetric, turned


def _lobes(count: int, depth: float) -> np.ndarray:
    """A pumpkin's outline: ribs left and right, flat above and below."""
    a = np.linspace(0, TURN, 96, endpoint=False)
    r = 1 - depth * (1 - np.abs(np.cos(count / 2 * a)) ** 0.6) * np.abs(np.sin(a))
    return np.stack([1.12 * r * np.cos(a), 0.88 * r * np.sin(a) + 0.04], axis=1)


_LEAF = smooth([(0.04, -0.98), (0.28, -1.22), (0.62, -1.20), (0.46, -0.98), (0.22, -0.88)], 6)
_APPLE = symmetric(
    [(0, -0.80), (0.36, -0.94), (0.80, -0.78), (1.02, -0.24), (0.90, 0.36), (0.56, 0.84), (0.22, 0.94), (0, 0.86)]
)
_FROSTING = symmetric(
    [
        (0, -1.12),
        (0.30, -1.06),
        (0.42, -0.86),
        (0.72, -0.74),
        (0.80, -0.46),
        (1.04, -0.26),
        (1.14, 0.10),
        (1.02, 0.44),
        (0.74, 0.50),
        (0.50, 0.62),
        (0.24, 0.52),
        (0, 0.64),
    ],
    5,
)
_WRAPPER = rounded([(-0.90, 0.30), (0.90, 0.30), (0.68, 1.12), (-0.68, 1.12)], 2, 0.08)
_CAP = symmetric([(0, -1.16), (0.60, -1.04), (1.06, -0.66), (1.24, -0.20), (1.06, -0.06), (0.5, -0.12), (0, -0.16)])
_STEM = symmetric([(0, -0.4), (0.62, -0.3), (0.72, 0.2), (0.86, 0.70), (0.60, 0.98), (0, 1.02)])
_CACTUS = ellipse(0, -0.10, 0.72, 1.02, 60, 3.0)

THINGS: dict[str, Character] = {
    "heart": Character(
        nouns=("heart", "heart with a face"),
        colors=("red", "pink", "purple"),
        body=(Part(softened(heart(0, 0.0, 1.14, 60) * (1.0, 0.96) + (0, 0.02), 80, 3)),),
        face=FaceLayout(y=-0.10, scale=0.80, eye_x=0.35),
        hat=(0, -0.60, 0.8),
        neck=(0, 0.62, 0.7),
        shoulder=(0.80, 0.24),
        arm=0.2,
        feet=None,
        fit=(0.316, 0.503),
    ),
    "drop": Character(
        nouns=("drop", "water drop"),
        colors=("blue", "turquoise", "purple"),
        body=(Part(softened(drop(0, 0, 1.18, 72) * (1, 0.80) + (0, -0.10), 72, 4)),),
        face=FaceLayout(y=0.30, scale=0.78),
        hat=(0, -1.0, 0.55),
        neck=(0, 0.84, 0.8),
        shoulder=(0.80, 0.50),
        arm=0.2,
        feet=None,
        fit=(0.285, 0.564),
    ),
    "apple": Character(
        nouns=("apple", "shiny apple"),
        colors=("red", "green", "yellow"),
        behind=(
            Part(band(smooth([(0, -0.70), (0.02, -1.0), (0.10, -1.22)], 5, closed=False), 0.13), "stem"),
            Part(_LEAF, "leaf", "tail", (0.04, -0.9)),
        ),
        body=(Part(_APPLE),),
        face=FaceLayout(y=0.04, scale=0.90),
        hat=(0, -0.80, 0.9),
        feet=None,
        fit=(0.295, 0.574),
    ),
    "cupcake": Character(
        nouns=("cupcake", "muffin"),
        colors=("pink", "purple", "turquoise", "brown"),
        behind=(Part(ellipse(0, -1.20, 0.20, 0.20), "cherry"), Part(_WRAPPER, "paper")),
        body=(Part(_FROSTING),),
        face=FaceLayout(y=-0.06, scale=0.82),
        hat=(0, -1.02, 0.7),
        neck=(0, 0.70, 0.9),
        shoulder=(0.98, 0.34),
        arm=0.2,
        feet=None,
        fit=(0.285, 0.571),
    ),
    "cactus": Character(
        nouns=("cactus", "little cactus"),
        colors=("green", "turquoise", "yellow"),
        behind=(Part(rounded([(-0.80, 0.62), (0.80, 0.62), (0.62, 1.22), (-0.62, 1.22)], 2, 0.10), "clay"),),
        body=(Part(_CACTUS),),
        marks=tuple(
            Part(band([(x, y), (x + 0.02, y + 0.12)], 0.045), "deep")
            for x, y in (
                (-0.52, -0.72),
                (0.0, -0.96),
                (0.48, -0.74),
                (-0.60, 0.40),
                (0.58, 0.44),
                (-0.22, -0.80),
                (0.26, -0.86),
            )
        ),
        front=tuple(
            Part(turned(ellipse(0.30, -1.14, 0.09, 0.15), k * TURN / 5, (0.30, -1.0)), "rose") for k in range(5)
        ),
        face=FaceLayout(y=-0.08, scale=0.78),
        hat=(0, -1.02, 0.8),
        neck=(0, 0.58, 0.8),
        shoulder=(0.66, 0.16),
        arm=0.34,
        feet=None,
        fit=(0.287, 0.566),
    ),
    "mushroom": Character(
        nouns=("mushroom", "toadstool"),
        colors=("red", "brown", "purple", "orange"),
        behind=(Part(_STEM, "cream"),),
        body=(Part(_CAP),),
        marks=(
            Part(ellipse(-0.56, -0.62, 0.20, 0.16), "white"),
            Part(ellipse(0.20, -0.86, 0.22, 0.17), "white"),
            Part(ellipse(0.78, -0.46, 0.16, 0.14), "white"),
            Part(ellipse(-0.10, -0.42, 0.12, 0.08), "white"),
            Part(ellipse(-0.98, -0.26, 0.10, 0.09), "white"),
        ),
        face=FaceLayout(y=0.38, scale=0.78, skin="cream", eye_y=-0.10),
        hat=(0, -1.10, 0.8),
        neck=(0, 0.92, 0.7),
        shoulder=(0.72, 0.50),
        arm=0.2,
        limb="cream",
        feet=None,
        fit=(0.312, 0.616),
    ),
    "pumpkin": Character(
        nouns=("pumpkin", "round pumpkin"),
        colors=("orange", "yellow", "white"),
        behind=(
            Part(
                rounded([(-0.16, -0.70), (-0.10, -1.16), (0.18, -1.26), (0.20, -1.10), (0.12, -0.70)], 1, 0.2), "leaf"
            ),
        ),
        body=(Part(_lobes(6, 0.12)),),
        marks=(
            *pair(band(smooth([(-0.24, -0.80), (-0.46, -0.50)], 4, closed=False), 0.05), "dark"),
            *pair(band(smooth([(-0.26, 0.88), (-0.46, 0.66)], 4, closed=False), 0.05), "dark"),
            *pair(band(smooth([(-0.84, -0.40), (-0.96, 0.02), (-0.86, 0.46)], 5, closed=False), 0.05), "dark"),
        ),
        face=FaceLayout(y=0.04, scale=0.92),
        hat=(0, -0.78, 0.9),
        feet=None,
        fit=(0.305, 0.569),
    ),
    "flower": Character(
        nouns=("flower", "daisy"),
        colors=("pink", "white", "purple", "yellow"),
        behind=(
            Part(band(smooth([(0, 0.7), (0.03, 1.1), (0, 1.42)], 5, closed=False), 0.14), "leaf"),
            *pair(smooth([(0, 1.34), (-0.24, 1.06), (-0.60, 1.08), (-0.36, 1.32)], 6), "leaf"),
            *(Part(turned(ellipse(0, -0.86, 0.33, 0.42), k * TURN / 8), "main", "spin") for k in range(8)),
        ),
        body=(Part(ellipse(0, 0, 0.78, 0.76, 52), "beak"),),
        face=FaceLayout(scale=0.74, skin="beak"),
        hat=(0, -1.02, 0.8),
        neck=(0, 0.74, 0.8),
        feet=None,
        limb="leaf",
        arm=0.2,
        shoulder=(0.62, 0.50),
        fit=(0.27, 0.532),
    ),
}
"""Things by the name in a spec."""
