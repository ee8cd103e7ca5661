"""The animals of the cast: what makes each one's silhouette its own is ears, snout and tail."""

from __future__ import annotations

import numpy as np

from emogen.stickers.cast.character import Character, FaceLayout, Part, pair
from emogen.stickers.cast.geometry import band, ellipse, rounded, smooth, symmetric, turned

_HEAD = ellipse(0, 0, 1.0, 0.92, 56, 2.3)


def _tilted(x: float, y: float, rx: float, ry: float, degrees: float) -> np.ndarray:
    return turned(ellipse(x, y, rx, ry, 36), np.radians(degrees), (x, y))


def _tail(points, width: float) -> np.ndarray:
    return band(smooth(points, 6, closed=False), width)


def _whiskers() -> tuple[Part, ...]:
    lines = [([(-0.66, 0.24), (-1.14, 0.14)]), ([(-0.66, 0.36), (-1.12, 0.42)])]
    return tuple(part for line in lines for part in pair(band(line, 0.035), "ink", "face"))


_CAT_EAR = rounded([(-0.94, -0.28), (-0.90, -1.30), (-0.16, -0.82), (-0.30, -0.30)], 2, 0.18)
_FOX_EAR = rounded([(-0.96, -0.30), (-0.98, -1.46), (-0.14, -0.84), (-0.30, -0.30)], 2, 0.16)
_FOX_HEAD = symmetric([(0, -0.92), (0.52, -0.84), (0.92, -0.36), (1.14, 0.26), (0.78, 0.66), (0.40, 0.90), (0, 0.97)])
_PIG_EAR = rounded([(-0.88, -0.40), (-1.06, -1.10), (-0.66, -1.06), (-0.26, -0.82), (-0.40, -0.4)], 2, 0.2)
_DOG_EAR = smooth(
    [(-0.58, -0.86), (-0.92, -0.80), (-1.22, -0.30), (-1.28, 0.28), (-1.02, 0.46), (-0.80, 0.16), (-0.72, -0.30)], 6
)
_FROG_HEAD = symmetric([(0, -0.70), (0.5, -0.66), (0.92, -0.46), (1.16, 0.12), (0.98, 0.66), (0.50, 0.90), (0, 0.93)])
_CHICK_TUFT = smooth(
    [(-0.10, -0.84), (-0.30, -1.18), (-0.08, -1.08), (0.04, -1.34), (0.12, -1.06), (0.32, -1.14), (0.14, -0.84)], 5
)

ANIMALS: dict[str, Character] = {
    "cat": Character(
        nouns=("cat", "kitten"),
        colors=("orange", "gray", "black", "white"),
        behind=(
            Part(_tail([(0.7, 0.7), (1.10, 0.74), (1.24, 0.40), (1.16, 0.10)], 0.22), "main", "tail", (0.8, 0.7)),
            *pair(_CAT_EAR, "main", "ear", (-0.55, -0.62)),
            *pair(rounded([(-0.78, -0.50), (-0.80, -1.06), (-0.36, -0.76)], 2, 0.2), "inner", "ear", (-0.55, -0.62)),
        ),
        body=(Part(_HEAD),),
        marks=(
            *(
                Part(rounded([(x - 0.07, -0.93), (x + 0.07, -0.93), (x, y)], 1, 0.2), "dark")
                for x, y in ((-0.24, -0.66), (0, -0.56), (0.24, -0.66))
            ),
            Part(ellipse(0, 0.34, 0.40, 0.27), "light", "face"),
            *_whiskers(),
        ),
        face=FaceLayout(mouth_y=0.05, mouth_size=0.92),
        nose="cat",
        hat=(0, -0.88, 0.82),
        fit=(0.295, 0.566),
    ),
    "dog": Character(
        nouns=("dog", "puppy"),
        colors=("brown", "white", "yellow", "gray"),
        behind=(Part(_tail([(0.7, 0.66), (1.04, 0.52), (1.20, 0.20)], 0.24), "main", "tail", (0.8, 0.66)),),
        body=(Part(_HEAD),),
        marks=(
            Part(_tilted(0.40, -0.16, 0.36, 0.44, -12), "soft", "face"),
            Part(ellipse(0, 0.40, 0.52, 0.40), "light", "face"),
        ),
        front=pair(_DOG_EAR, "dark", "flap", (-0.66, -0.76)),
        face=FaceLayout(mouth_y=0.12, mouth_size=0.92),
        nose="dog",
        fit=(0.276, 0.546),
    ),
    "bear": Character(
        nouns=("bear", "teddy bear"),
        colors=("brown", "white", "yellow", "black"),
        behind=(
            *pair(ellipse(-0.72, -0.76, 0.34, 0.34), "main", "ear", (-0.6, -0.6)),
            *pair(ellipse(-0.72, -0.76, 0.19, 0.19), "inner", "ear", (-0.6, -0.6)),
        ),
        body=(Part(_HEAD),),
        marks=(Part(ellipse(0, 0.38, 0.44, 0.34), "light", "face"),),
        face=FaceLayout(mouth_y=0.09, mouth_size=0.88),
        nose="bear",
        fit=(0.305, 0.602),
    ),
    "panda": Character(
        nouns=("panda", "panda bear"),
        colors=("white",),
        behind=pair(ellipse(-0.74, -0.76, 0.34, 0.34), "night", "ear", (-0.6, -0.6)),
        body=(Part(_HEAD),),
        marks=pair(_tilted(-0.38, -0.08, 0.31, 0.38, 28), "night", "face"),
        face=FaceLayout(eye_pale=True, mouth_y=0.08, mouth_size=0.9, cheek_y=0.30),
        nose="bear",
        limb="night",
        fit=(0.305, 0.602),
    ),
    "rabbit": Character(
        nouns=("rabbit", "bunny"),
        colors=("white", "gray", "brown", "pink"),
        behind=(
            *pair(_tilted(-0.42, -1.32, 0.23, 0.66, -8), "main", "ear", (-0.40, -0.76)),
            *pair(_tilted(-0.42, -1.30, 0.11, 0.46, -8), "rose", "ear", (-0.40, -0.76)),
        ),
        body=(Part(_HEAD),),
        marks=(Part(ellipse(0, 0.34, 0.34, 0.24), "light", "face"),),
        face=FaceLayout(mouth_y=0.07, mouth_size=0.9),
        nose="rabbit",
        hat=(0, -0.90, 0.7),
        fit=(0.259, 0.656),
    ),
    "fox": Character(
        nouns=("fox", "little fox"),
        colors=("orange", "red", "white", "gray"),
        behind=(
            Part(
                smooth([(0.6, 0.86), (1.04, 0.92), (1.38, 0.52), (1.30, 0.0), (1.02, 0.28), (0.80, 0.46)], 6),
                "main",
                "tail",
                (0.7, 0.8),
            ),
            Part(smooth([(1.36, 0.36), (1.30, 0.0), (1.12, 0.18), (1.22, 0.32)], 5), "light", "tail", (0.7, 0.8)),
            *pair(_FOX_EAR, "main", "ear", (-0.55, -0.62)),
            *pair(rounded([(-0.80, -0.50), (-0.86, -1.18), (-0.34, -0.76)], 2, 0.2), "deep", "ear", (-0.55, -0.62)),
        ),
        body=(Part(_FOX_HEAD),),
        marks=pair(
            smooth(
                [(0.0, 0.30), (-0.34, 0.20), (-0.74, 0.16), (-1.08, 0.30), (-0.76, 0.62), (-0.40, 0.86), (0.0, 0.93)], 6
            ),
            "light",
        ),
        face=FaceLayout(mouth_y=0.06, mouth_size=0.9),
        nose="cat",
        hat=(0, -0.88, 0.8),
        fit=(0.285, 0.586),
    ),
    "pig": Character(
        nouns=("pig", "piglet"),
        colors=("pink", "white", "brown"),
        behind=(
            Part(
                _tail([(0.9, 0.5), (1.18, 0.50), (1.30, 0.34), (1.20, 0.20), (1.08, 0.26)], 0.09),
                "dark",
                "tail",
                (0.9, 0.5),
            ),
        ),
        body=(Part(_HEAD), *pair(_PIG_EAR, "main", "ear", (-0.6, -0.7))),
        marks=pair(rounded([(-0.84, -0.62), (-0.94, -0.98), (-0.56, -0.88)], 2, 0.2), "inner", "ear", (-0.6, -0.7)),
        face=FaceLayout(eye_x=0.42, eye_y=-0.20, mouth_y=0.20, mouth_size=0.84),
        nose="pig",
        fit=(0.295, 0.582),
    ),
    "frog": Character(
        nouns=("frog", "little frog"),
        colors=("green", "turquoise", "yellow"),
        body=(Part(_FROG_HEAD), *pair(ellipse(-0.52, -0.62, 0.42, 0.40), "main")),
        marks=(
            Part(smooth([(-0.80, 0.46), (0, 0.34), (0.80, 0.46), (0.46, 0.82), (0, 0.88), (-0.46, 0.82)], 6), "light"),
        ),
        face=FaceLayout(
            y=0.06,
            scale=0.95,
            eye_x=0.55,
            eye_y=-0.66,
            eye_size=1.12,
            mouth_y=-0.12,
            mouth_size=1.22,
            cheek_x=0.74,
            cheek_y=0.06,
        ),
        hat=(0, -0.64, 0.72),
        fit=(0.305, 0.552),
    ),
    "chick": Character(
        nouns=("chick", "baby chick"),
        colors=("yellow", "orange", "white"),
        behind=(Part(_CHICK_TUFT, "main", "tail", (0.0, -0.85)),),
        body=(Part(ellipse(0, 0.02, 0.98, 0.94, 52)),),
        face=FaceLayout(lips="beak", mouth_y=-0.08, mouth_size=0.80),
        limb="main",
        arm=0.34,
        fit=(0.295, 0.582),
    ),
    "penguin": Character(
        nouns=("penguin", "baby penguin"),
        colors=("black", "blue", "gray", "purple"),
        body=(Part(ellipse(0, 0.0, 0.98, 0.96, 52, 2.2)),),
        marks=(
            Part(
                smooth(
                    [
                        (0, -0.36),
                        (0.36, -0.62),
                        (0.72, -0.46),
                        (0.82, 0.02),
                        (0.70, 0.52),
                        (0.38, 0.80),
                        (0, 0.86),
                        (-0.38, 0.80),
                        (-0.70, 0.52),
                        (-0.82, 0.02),
                        (-0.72, -0.46),
                        (-0.36, -0.62),
                    ],
                    6,
                ),
                "white",
            ),
        ),
        face=FaceLayout(skin="white", scale=0.86, lips="beak", mouth_y=-0.06, mouth_size=0.82, cheek_x=0.58),
        limb="main",
        fit=(0.305, 0.602),
    ),
    "mouse": Character(
        nouns=("mouse", "little mouse"),
        colors=("gray", "white", "brown"),
        behind=(
            Part(
                _tail([(0.7, 0.78), (1.06, 0.84), (1.22, 0.58), (1.14, 0.26), (1.24, 0.08)], 0.09),
                "rose",
                "tail",
                (0.8, 0.78),
            ),
            *pair(ellipse(-0.84, -0.78, 0.50, 0.50), "main", "ear", (-0.6, -0.55)),
            *pair(ellipse(-0.84, -0.78, 0.32, 0.32), "inner", "ear", (-0.6, -0.55)),
        ),
        body=(Part(ellipse(0, 0.05, 0.95, 0.86, 52, 2.2)),),
        marks=(Part(ellipse(0, 0.36, 0.34, 0.24), "light", "face"), *_whiskers()),
        face=FaceLayout(mouth_y=0.06, mouth_size=0.88),
        nose="rabbit",
        hat=(0, -0.78, 0.78),
        fit=(0.259, 0.571),
    ),
    "lion": Character(
        nouns=("lion", "lion cub"),
        colors=("yellow", "orange", "white"),
        behind=(
            Part(_tail([(0.7, 0.8), (1.16, 0.86), (1.26, 0.54)], 0.13), "main", "tail", (0.8, 0.8)),
            Part(ellipse(1.26, 0.46, 0.15, 0.18), "deep", "tail", (0.8, 0.8)),
            Part(
                ellipse(0, 0, 1, 1, 84)
                * (1.14 + 0.09 * np.cos(14 * np.linspace(0, 2 * np.pi, 84, endpoint=False)))[:, None],
                "deep",
            ),
            *pair(ellipse(-0.80, -0.86, 0.26, 0.26), "main", "ear", (-0.6, -0.65)),
        ),
        body=(Part(ellipse(0, 0.04, 0.90, 0.84, 52, 2.2)),),
        marks=(Part(ellipse(0, 0.38, 0.40, 0.30), "light", "face"),),
        face=FaceLayout(scale=0.86, mouth_y=0.09, mouth_size=0.9),
        nose="cat",
        hat=(0, -1.0, 0.8),
        fit=(0.285, 0.579),
        feet=1.0,
    ),
}
"""Animals by the name in a spec."""
