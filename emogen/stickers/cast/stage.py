"""One frame of one character: the order in which everything is drawn, and where the pose puts it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from emogen.stickers.cast import geometry
from emogen.stickers.cast.accessories import draw_accessory
from emogen.stickers.cast.acting import Moment
from emogen.stickers.cast.backgrounds import background
from emogen.stickers.cast.character import Character, Part
from emogen.stickers.cast.colors import COLORS, role
from emogen.stickers.cast.effects import draw_behind, draw_front
from emogen.stickers.cast.face import SOUND, Flaws, draw_face, face_pen
from emogen.stickers.cast.pen import Color, Pen, supersampling
from emogen.stickers.cast.roster import CHARACTERS
from emogen.stickers.cast.spec import CastSpec
from emogen.stickers.cast.styles import STYLES, Flat
from emogen.stickers.palette import mix


@dataclass(frozen=True)
class Look:
    """What a seed varies and no caption mentions.

    Attributes:
        size, x, y: a factor on the character's size, and its place, as shares of the picture.
        mirror: -1 swaps left and right of what is one-sided.
        phase: where in its second the clip begins. blink_at: when it blinks.
        eye_size, eye_gap, mouth_size, limb: factors on proportions.
    """

    size: float
    x: float
    y: float
    mirror: int
    phase: float
    blink_at: float
    eye_size: float
    eye_gap: float
    mouth_size: float
    limb: float

    @classmethod
    def of(cls, seed: int) -> Look:
        u = np.random.default_rng([seed, 11]).uniform(-1, 1, 10)
        return cls(
            size=1 + 0.045 * u[0],
            x=0.5 + 0.014 * u[1],
            y=0.012 * u[2],
            mirror=1 if u[3] > 0 else -1,
            phase=(u[4] + 1) / 2,
            blink_at=0.55 + 0.25 * u[5],
            eye_size=1 + 0.07 * u[6],
            eye_gap=1 + 0.05 * u[7],
            mouth_size=1 + 0.07 * u[8],
            limb=1 + 0.10 * u[9],
        )


class Stage:
    """One frame of one character."""

    def __init__(self, spec: CastSpec, look: Look, moment: Moment, t: float, flaws: Flaws = SOUND):
        self.spec, self.look, self.moment, self.t, self.flaws = spec, look, moment, t, flaws
        self.who: Character = CHARACTERS[spec.character]
        self.style: Flat = STYLES[spec.style]
        self.main = self._tinted(COLORS[spec.color])

    def _tinted(self, color: Color) -> Color:
        for *tint, amount in self.moment.tints:
            color = mix(color, tuple(tint), amount)
        return color

    def color(self, name: str) -> Color:
        color = role(name, self.main)
        return self._tinted(color) if name == self.who.face.skin and name in ("white", "cream", "beak") else color

    def picture(self, size: int) -> np.ndarray:
        """uint8 `(size, size, 3)`, or 4 with alpha for the background "none"."""
        times = supersampling(size)
        floor = background(self.spec.background, size * times)
        image = Image.new("RGBA", (size * times, size * times)) if floor is None else floor.copy()
        self._paint(image, size * times)
        return np.asarray(image.reduce(times))

    def _paint(self, image: Image.Image, big: int) -> None:
        who, pose, look = self.who, self.moment.pose, self.look
        scale = who.fit[0] * look.size * big
        feet = who.feet if who.feet is not None else float(max(part.outline[:, 1].max() for part in who.body)) + 0.12
        lift = pose.lift + (0.03 * math.sin(2 * math.pi * self.t) if who.feet is None else 0.0)
        ground = np.array([look.x * big, (who.fit[1] + look.y) * big + (feet + 0.06) * scale])
        self._shadow(image, ground, scale, lift)
        # The body stands on its feet: it leans and stretches about the point between them.
        stretch = 1 + pose.stretch
        swell = 1 + pose.swell
        turn = math.radians(pose.lean) * look.mirror
        root = Pen(image, np.eye(2) * scale, ground + np.array([pose.dx * look.mirror, -lift - 0.06]) * scale)
        body = root.moved(0, 0, turn, swell / math.sqrt(stretch), swell * stretch).moved(0, -feet)
        effects = self.moment.effects if self.spec.effects else {}
        for effect, strength in effects.items():
            draw_behind(body, effect, self.t, strength)
        self._parts(body, who.behind)
        if who.feet is not None and who.limb:
            self._feet(body, feet)
        self.style.solids(body, [self._placed(part) for part in who.body])
        self.style.shine(body, who.body[0].outline)
        for part in who.marks:
            self.style.mark(body, *self._placed(part))
        face = face_pen(body, who.face, pose, look.mirror)
        draw_face(self, face)
        self._parts(body, who.front)
        draw_accessory(body, self.style, who, self.spec.accessory, face)
        if who.limb:
            self._arms(body)
        eye = (who.face.eye_x, who.face.eye_y)
        for effect, strength in effects.items():
            draw_front(face, effect, self.t, strength, eye)

    def _shadow(self, image: Image.Image, ground: np.ndarray, scale: float, lift: float) -> None:
        pen = Pen(image, np.eye(2) * scale, ground)
        near = max(0.4, 1 - 1.6 * max(0.0, lift) - (0.12 if self.who.feet is None else 0.0))
        rings = [geometry.ellipse(0, 0.02, 0.84 * near * share, 0.13 * near * share) for share in (1.0, 0.84, 0.66)]
        pen.shadow(rings, (30, 24, 46), 0.09)

    def _placed(self, part: Part) -> tuple[np.ndarray, Color]:
        """A part's outline where the pose has it, and its colour."""
        pose, outline = self.moment.pose, part.outline
        if part.moves == "ear":
            outline = geometry.turned(outline, math.radians(pose.ear) * (-1 if part.pivot[0] < 0 else 1), part.pivot)
        elif part.moves == "flap":  # a hanging ear: it swings out when pricked and cannot drop much further
            swing = pose.ear if pose.ear < 0 else 0.12 * pose.ear
            outline = geometry.turned(outline, math.radians(swing) * (-1 if part.pivot[0] < 0 else 1), part.pivot)
        elif part.moves == "tail":
            outline = geometry.turned(outline, math.radians(pose.tail), part.pivot)
        elif part.moves == "spin":
            outline = geometry.turned(outline, math.radians(2 * pose.tail))
        elif part.moves == "face":
            outline = outline + np.array([pose.face_x * self.look.mirror, pose.face_y])
        return outline, self.color(part.color)

    def _parts(self, body: Pen, parts: Sequence[Part]) -> None:
        for part in parts:
            self.style.solids(body, [self._placed(part)])

    def _feet(self, body: Pen, feet: float) -> None:
        color = self.color("beak" if self.who.face.lips else self.who.limb)
        for side in (-1, 1):
            up = max(0.0, self.moment.pose.foot * side) * 0.22
            foot = geometry.ellipse(side * 0.40, feet - 0.04 - up, 0.27, 0.17, 28)
            self.style.solids(body, [(foot, color)])

    def _arms(self, body: Pen) -> None:
        pose, who = self.moment.pose, self.who
        hands = [(-pose.left_x, pose.left_y), (pose.right_x, pose.right_y)]
        if self.look.mirror < 0:
            hands = [(-x, y) for x, y in hands][::-1]
        sx, sy = who.shoulder
        width = who.arm * self.look.limb
        for side, (hx, hy) in zip((-1, 1), hands, strict=True):
            start = np.array([side * sx, sy])
            hand = np.array([hx + side * (sx - 0.84) * 0.9, hy + (sy - 0.40) * 0.6])
            near = max(0.0, 1 - float(np.hypot(*(hand - start))) / 0.7)  # a folded arm bends outwards
            elbow = (start + hand) / 2 + np.array([side * (0.10 + 0.34 * near), 0.08 + 0.16 * near])
            t = np.linspace(0, 1, 33)[:, None]
            curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * elbow + t**2 * hand
            self.style.limb(body, curve, width / 2, self.color(who.limb))
