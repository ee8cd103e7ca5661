"""Who is in the cast, and what a character is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Part:
    """One outline of a character.

    Attributes:
        outline: `(n, 2)` points in body units.
        color: a key of `colors.role`.
        moves: "" (with the body), "ear", "flap" (a hanging ear) or "tail" (turn about `pivot`), "spin" (about the
            middle) or "face" (with a face that turns aside).
        pivot: where it is hinged; its side decides which way an ear drops.
    """

    outline: np.ndarray
    color: str = "main"
    moves: str = ""
    pivot: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class FaceLayout:
    """Where the features are. All in body units but for the last, which are in face units (times `scale`).

    Attributes:
        x, y, scale: middle and half width of the face.
        skin: the role of the colour it is drawn on.
        eye_x, eye_y: of each eye (the left one at `-eye_x`). eye_size: a factor.
        eye_pale: whether the eyes stand on dark patches.
        mouth_y: added to the pose's. mouth_size: a factor.
        lips: the role of a band around the mouth that makes it a beak, or none.
        cheek_x, cheek_y: of each cheek.
    """

    x: float = 0.0
    y: float = 0.0
    scale: float = 0.92
    skin: str = "main"
    eye_x: float = 0.37
    eye_y: float = -0.13
    eye_size: float = 1.0
    eye_pale: bool = False
    mouth_y: float = 0.0
    mouth_size: float = 1.0
    lips: str = ""
    cheek_x: float = 0.62
    cheek_y: float = 0.16


@dataclass(frozen=True)
class Character:
    """A member of the cast.

    Attributes:
        nouns: what captions call it, the commonest first.
        colors: its natural colours, the commonest first.
        behind, body, marks, front: parts, from back to front. The outlines of `body` merge. Marks have no outline.
        face: where the features are.
        nose: "", "cat", "dog", "bear", "pig" or "rabbit".
        hat, neck: (x, y, scale) where accessories sit. shoulder: (x, y) of the right arm.
        limb: role of the colour of arms and feet, "" for none. arm: thickness of an arm.
        feet: y of the feet, or None for one that floats.
        fit: (scale, y): half a width as a share of the picture, and where the middle is.
    """

    nouns: tuple[str, ...]
    colors: tuple[str, ...]
    body: tuple[Part, ...]
    behind: tuple[Part, ...] = ()
    marks: tuple[Part, ...] = ()
    front: tuple[Part, ...] = ()
    face: FaceLayout = field(default_factory=FaceLayout)
    nose: str = ""
    hat: tuple[float, float, float] = (0.0, -0.86, 1.0)
    neck: tuple[float, float, float] = (0.0, 0.80, 1.0)
    shoulder: tuple[float, float] = (0.84, 0.40)
    limb: str = "main"
    arm: float = 0.30
    feet: float | None = 0.90
    fit: tuple[float, float] = (0.30, 0.55)


def pair(
    outline: np.ndarray, color: str, moves: str = "", pivot: tuple[float, float] = (0.0, 0.0)
) -> tuple[Part, Part]:
    """A part of the left side and its mirror image."""
    return (
        Part(outline, color, moves, pivot),
        Part(np.asarray(outline)[::-1] * (-1, 1), color, moves, (-pivot[0], pivot[1])),
    )
