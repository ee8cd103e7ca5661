"""A face: cheeks, eyes, brows, nose and mouth where a character has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emogen.stickers.cast import geometry
from emogen.stickers.cast.character import FaceLayout
from emogen.stickers.cast.colors import INK, role
from emogen.stickers.cast.eyes import draw_brow, draw_eye, ink_for
from emogen.stickers.cast.mouth import draw_mouth
from emogen.stickers.cast.pen import Pen, luminance
from emogen.stickers.cast.pose import Pose
from emogen.stickers.palette import mix

if TYPE_CHECKING:
    from emogen.stickers.cast.stage import Stage


@dataclass(frozen=True)
class Flaws:
    """What is wrong with a face, for clips that are wrong on purpose. Places are in face units.

    Attributes:
        without: the sides (-1, 1) whose eye is missing.
        eyes: (x, y, size) of eyes that do not belong. mouths: the same of mouths.
        mouthless: without the mouth. shift: how far eyes and mouth are from where they belong.
    """

    without: tuple[int, ...] = ()
    eyes: tuple[tuple[float, float, float], ...] = ()
    mouths: tuple[tuple[float, float, float], ...] = ()
    mouthless: bool = False
    shift: tuple[float, float] = (0.0, 0.0)


SOUND = Flaws()


def face_pen(body: Pen, layout: FaceLayout, pose: Pose, mirror: int) -> Pen:
    """The face's own coordinates on a body; a mirrored face has its one-sided movements on the other side."""
    x, y, s = layout.x, layout.y, layout.scale
    return body.moved(x + pose.face_x * mirror, y + pose.face_y, 0.0, s * mirror, s)


def draw_face(stage: Stage, face: Pen) -> None:
    """Draw the stage's face; `face` is `face_pen`'s."""
    who, pose, look, style = stage.who, stage.moment.pose, stage.look, stage.style
    layout = who.face
    skin = stage.color(layout.skin)
    dark = luminance(role(layout.skin, stage.main)) < 96
    ink = ink_for(skin, dark, layout.eye_pale)
    for side in (-1, 1):
        cheek = mix(skin, (255, 84, 110), 0.75)
        face.glow(side * layout.cheek_x, layout.cheek_y, 0.24, 0.17, cheek, 0.85 * min(1.0, pose.blush))
    size = layout.eye_size * look.eye_size
    flaws = stage.flaws
    dx, dy = flaws.shift
    sides = [side for side in (-1, 1) if side not in flaws.without]
    for side in sides:
        eye = face.moved(side * layout.eye_x * look.eye_gap + dx, layout.eye_y + dy)
        draw_eye(eye, style, pose, ink, side, size)
    for side in sides:
        draw_brow(face.moved(side * layout.eye_x * look.eye_gap, layout.eye_y), style, pose, ink, side)
    if pose.wrinkle > 0.05:
        _wrinkles(face, style, pose, ink.line, layout)
    lips = role(layout.lips, stage.main) if layout.lips else None
    width = layout.mouth_size * look.mouth_size
    if not flaws.mouthless:
        draw_mouth(face.moved(-dx, layout.mouth_y - dy), style, pose, ink, width, lips, stage.t)
    _nose(face, style, who.nose, pose)
    for x, y, factor in flaws.eyes:
        draw_eye(face.moved(x, y), style, pose, ink, 1 if x > 0 else -1, size * factor)
    for x, y, factor in flaws.mouths:
        draw_mouth(face.moved(x, y - pose.mouth_y), style, pose, ink, width * factor, lips, stage.t)


def _wrinkles(face: Pen, style, pose: Pose, color, layout: FaceLayout) -> None:
    """Short lines at the root of the nose."""
    length = 0.11 * min(1.0, pose.wrinkle)
    for side in (-1, 1):
        for y, wide in ((-0.13, 0.8), (-0.03, 1.0)):
            line = [(side * 0.035, y), (side * (0.05 + wide * length), y + 0.5 * length)]
            style.line(face, line, color, 0.042)


def _nose(face: Pen, style, kind: str, pose: Pose) -> None:
    up = -0.03 * pose.wrinkle
    if kind == "cat":
        nose = geometry.rounded([(-0.11, 0.10 + up), (0.11, 0.10 + up), (0.0, 0.21 + up)], 2, 0.2)
        style.feature(face, nose, (86, 50, 56), INK)
    elif kind == "rabbit":
        nose = geometry.rounded([(-0.10, 0.10 + up), (0.10, 0.10 + up), (0.0, 0.20 + up)], 2, 0.2)
        style.feature(face, nose, (250, 130, 150), (150, 60, 80))
    elif kind in ("dog", "bear"):
        wide = 0.17 if kind == "dog" else 0.14
        face.fill(geometry.ellipse(0, 0.14 + up, wide, wide * 0.72, 24, 2.6), INK)
        face.ellipse(-wide * 0.3, 0.10 + up, wide * 0.26, wide * 0.16, (170, 150, 156))
    elif kind == "pig":
        snout = geometry.ellipse(0, 0.16 + up, 0.27, 0.19, 32, 2.4)
        style.feature(face, snout, (255, 130, 158), (176, 70, 100))
        for side in (-1, 1):
            face.ellipse(side * 0.10, 0.16 + up, 0.045, 0.075, (170, 60, 92))
