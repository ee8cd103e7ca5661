"""The parametric sticker renderer: unlimited, disentangled, exactly labelled clips of a face that feels something.

Content (shape, colour, background, accessory) and emotion (category, intensity) are chosen independently, so that a
model can only get the emotion from the emotion. Everything is drawn with Pillow at three times the size and averaged
down; one 13-frame clip of 96x96 takes a few tens of milliseconds on one core.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image, ImageDraw

from emogen.emotion import EmotionState
from emogen.stickers.canvas import Canvas
from emogen.stickers.compound import compound_expression
from emogen.stickers.effects import draw_effect
from emogen.stickers.expression import EXPRESSIONS, Expression, Pose, expression_at
from emogen.stickers.palette import ACCESSORIES, BACKGROUNDS, BODY_COLORS, mix
from emogen.stickers.shapes import SHAPES

SUPERSAMPLE = 3
INK = (58, 34, 28)
MOUTH = (120, 26, 34)
TONGUE = (240, 104, 116)


@dataclass(frozen=True)
class StickerSpec:
    """Everything that determines one rendered clip.

    Attributes:
        shape, color, background, accessory: keys of `SHAPES`, `BODY_COLORS`, `BACKGROUNDS`, `ACCESSORIES`.
        emotion: one of Mikels' eight or "neutral".
        intensity: 0 (neutral) to 1 (full).
        seed: small variations of size, place and phase that no caption mentions.
    """

    shape: str = "round"
    color: str = "yellow"
    background: str = "white"
    accessory: str = "none"
    emotion: str = "neutral"
    intensity: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        known = {
            "shape": SHAPES,
            "color": BODY_COLORS,
            "background": BACKGROUNDS,
            "accessory": ACCESSORIES,
            "emotion": EXPRESSIONS,
        }
        for name, table in known.items():
            if getattr(self, name) not in table:
                raise ValueError(f"sticker {name}={getattr(self, name)!r} is not one of {', '.join(table)}")
        if not 0.0 <= self.intensity <= 1.0:
            raise ValueError(f"sticker intensity={self.intensity} is outside 0..1")

    def to_dict(self) -> dict:
        return asdict(self)


def _eyes(face: Canvas, pose: Pose, style: str, blink: float, look: float) -> None:
    for side in (-1, 1):
        x, y = side * 0.36, -0.14
        if style == "happy":
            face.arc(x, y + 0.08, 0.17, 0.20, 195, 345, INK, 0.085)
        elif style == "closed":
            face.arc(x, y - 0.05, 0.17, 0.14, 15, 165, INK, 0.08)
        elif style == "star":
            a = np.arange(10) * math.pi / 5
            r = np.where(np.arange(10) % 2 == 0, 0.29, 0.13)
            face.polygon(np.stack([x + r * np.sin(a), y - r * np.cos(a)], axis=1), (255, 232, 60), (190, 110, 10), 0.05)
        elif pose.sclera > 0.1:
            face.ellipse(x, y, pose.eye_width, pose.eye_height, (255, 255, 255), INK, 0.045)
            r = max(pose.pupil, 0.03)
            face.ellipse(x + look, y, r, r * 1.05, INK)
            face.ellipse(x + look - r * 0.35, y - r * 0.4, r * 0.35, r * 0.35, (255, 255, 255))
        else:
            height = max(pose.eye_height * (1 - blink), 0.03)
            face.ellipse(x, y, pose.eye_width, height, INK)
            if height > 0.1:
                face.ellipse(x - 0.045, y - height * 0.4, 0.05, 0.055, (255, 255, 255))


def _brows(face: Canvas, pose: Pose) -> None:
    if pose.brow_show < 0.25:
        return
    for side in (-1, 1):
        y = -0.47 - pose.brow_lift
        inner = (side * 0.17, y + pose.brow_slant)
        middle = (side * 0.36, y - 0.04)
        outer = (side * 0.56, y - pose.brow_slant)
        face.line([inner, middle, outer], INK, 0.09)


def _mouth(face: Canvas, pose: Pose, style: str, phase: float) -> None:
    y, w, k, o = 0.36, pose.mouth_width, pose.smile, pose.mouth_open
    x = np.linspace(-1, 1, 20)
    if style == "laugh":
        top = np.stack([x * w, y - 0.10 + 0.05 * (1 - x**2)], axis=1)
        bottom = np.stack([x[::-1] * w, y - 0.10 + (o + 0.06) * np.sqrt(np.clip(1 - x[::-1] ** 2, 0, 1))], axis=1)
        face.polygon([*top, *bottom], MOUTH)
        teeth = np.stack([x[::-1] * w * 0.86, y - 0.08 + 0.11 * np.sqrt(np.clip(1 - x[::-1] ** 4, 0, 1))], axis=1)
        face.polygon([*(top * [0.9, 1] + [0, 0.01]), *teeth], (255, 255, 255))
        face.ellipse(0, y - 0.10 + o * 0.78, w * 0.48, o * 0.24, TONGUE)
    elif style == "round":
        face.ellipse(0, y + 0.04, 0.05 + w * 0.5, 0.03 + o * 0.9, MOUTH)
    elif style == "teeth":
        top = np.stack([x * w, y - 0.02 - k * -0.5 * (1 - x**2) - o * 0.35], axis=1)
        bottom = np.stack([x[::-1] * w, y + o * 0.75 + k * 0.35 * (1 - x[::-1] ** 2)], axis=1)
        face.polygon([*top, *bottom], (255, 255, 255), INK, 0.055)
        middle = y + o * 0.2
        face.line([(-w * 0.9, middle), (w * 0.9, middle)], INK, 0.035)
        for part in (-0.45, 0.0, 0.45):
            face.line([(part * w, y - o * 0.25), (part * w, y + o * 0.6)], INK, 0.035)
    elif style == "wavy":
        wave = 0.07 * np.sin(x * 3 * math.pi + phase)
        top = np.stack([x * w, y - o * 0.3 + wave], axis=1)
        bottom = np.stack([x[::-1] * w, y + o * 0.75 + wave[::-1]], axis=1)
        face.polygon([*top, *bottom], MOUTH, INK, 0.05)
    elif style == "tongue":
        curve = np.stack([x * w, y - k * (1 - x**2) * -0.6 + 0.04 * np.sin(x * 5)], axis=1)
        a = np.linspace(0, math.pi, 16)
        length = o * (0.9 + 0.15 * math.sin(phase))
        face.polygon(
            np.stack([0.05 + 0.16 * np.cos(a), y - 0.02 + length * np.sin(a) ** 0.6], axis=1),
            TONGUE,
            (176, 44, 60),
            0.04,
        )
        face.line(curve, INK, 0.08)
    else:
        face.line(np.stack([x * w, y + k * (1 - x**2) - k * 0.4], axis=1), INK, 0.085)


def _accessory(body: Canvas, name: str, top: float, face: tuple[float, float, float]) -> None:
    fx, fy, fs = face
    if name == "party hat":
        body.polygon([(-0.34, top + 0.12), (0.0, top - 0.62), (0.34, top + 0.12)], (40, 186, 178), (20, 100, 96), 0.04)
        body.line([(-0.2, top - 0.08), (0.22, top - 0.02)], (255, 236, 90), 0.1)
        body.ellipse(0, top - 0.62, 0.1, 0.1, (255, 80, 120))
    elif name == "crown":
        body.polygon(
            [
                (-0.42, top + 0.14),
                (-0.46, top - 0.34),
                (-0.22, top - 0.1),
                (0, top - 0.46),
                (0.22, top - 0.1),
                (0.46, top - 0.34),
                (0.42, top + 0.14),
            ],
            (255, 216, 60),
            (176, 110, 10),
            0.05,
        )
        body.ellipse(0, top - 0.02, 0.08, 0.08, (220, 40, 70))
    elif name == "bow tie":
        y = 0.84 if fs > 0.8 else 0.92
        for side in (-1, 1):
            body.polygon([(0, y), (side * 0.38, y - 0.2), (side * 0.38, y + 0.2)], (214, 30, 60), (110, 8, 26), 0.04)
        body.ellipse(0, y, 0.09, 0.1, (160, 16, 40))
    elif name == "glasses":
        for side in (-1, 1):
            a = np.linspace(0, 2 * math.pi, 40)
            x = fx + side * 0.36 * fs
            y = fy - 0.14 * fs
            body.line(np.stack([x + 0.30 * fs * np.cos(a), y + 0.30 * fs * np.sin(a)], axis=1), (24, 26, 36), 0.06)
        body.line([(fx - 0.07 * fs, fy - 0.14 * fs), (fx + 0.07 * fs, fy - 0.14 * fs)], (24, 26, 36), 0.06)
    elif name == "headphones":
        a = np.linspace(math.pi * 1.05, math.pi * 1.95, 30)
        body.line(np.stack([0.98 * np.cos(a), 0.1 + 1.1 * np.sin(a)], axis=1), (60, 62, 80), 0.11)
        for side in (-1, 1):
            body.ellipse(side * 0.98, 0.0, 0.16, 0.27, (40, 190, 230), (30, 40, 70), 0.05)


def _shade(size: int, color) -> Image.Image:
    """A soft top-left light for a body of this colour, twice the canvas so that it can follow the body."""
    y, x = np.mgrid[0 : 2 * size, 0 : 2 * size] / size - 1
    light = np.clip(1.0 - np.hypot(x + 0.16, y + 0.2) / 0.62, -0.6, 1)[..., None]
    base = np.asarray(color, dtype=float)
    bright = base + (255 - base) * 0.34
    dark = base * 0.74
    shaded = np.where(light > 0, base + (bright - base) * light, base + (base - dark) * light / 0.6)
    return Image.fromarray(np.clip(shaded, 0, 255).astype(np.uint8))


def render(
    spec: StickerSpec,
    num_frames: int = 13,
    size: int = 96,
    fps: int = 12,
    states: Sequence[tuple[str, float] | EmotionState] | None = None,
) -> np.ndarray:
    """Draw one clip.

    Args:
        spec: what to draw.
        num_frames: frames; tempos are whole cycles a second, so `fps + 1` frames end where they began.
        size: height and width in pixels.
        fps: frames a second.
        states: emotion and intensity in [0, 1] of each frame, for a face that changes (see `transition.py`), or a
            state, for one that feels several things at once (see `compound.py`); by default the spec's in all frames.

    Returns:
        uint8 array `(num_frames, size, size, 3)`, sRGB.

    Raises:
        ValueError: not one state a frame.
    """
    states = [(spec.emotion, spec.intensity)] * num_frames if states is None else list(states)
    if len(states) != num_frames:
        raise ValueError(f"{len(states)} states for {num_frames} frames; give one for each")
    rng = np.random.default_rng([spec.seed, 7])
    jitter = rng.uniform(-1, 1, 4)
    blink_at = rng.uniform(0.25, 0.8)
    looks: dict[tuple[str, float] | EmotionState, tuple[Expression, Image.Image]] = {}
    frames = []
    for index, state in enumerate(states):
        if state not in looks:
            look = compound_expression(state) if isinstance(state, EmotionState) else expression_at(*state)
            looks[state] = look, _shade(size * SUPERSAMPLE, _body_color(spec, look))
        intensity = state.intensity if isinstance(state, EmotionState) else state[1]
        frames.append(_frame(spec, intensity, *looks[state], index / fps, size * SUPERSAMPLE, jitter, blink_at))
    return np.stack(frames)


def _body_color(spec: StickerSpec, look: Expression) -> tuple[int, int, int]:
    return mix(BODY_COLORS[spec.color], look.tint_color, look.pose.tint * look.tint_share)


def _frame(
    spec: StickerSpec,
    intensity: float,
    look: Expression,
    shade: Image.Image,
    t: float,
    big: int,
    jitter: np.ndarray,
    blink_at: float,
) -> np.ndarray:
    """The frame at time `t` (seconds), uint8 `(size, size, 3)`, drawn `big` pixels wide."""
    pose, shape = look.pose, SHAPES[spec.shape]
    color = _body_color(spec, look)
    edge = mix(color, (30, 20, 30), 0.5)
    floor = BACKGROUNDS[spec.background]
    radius = big * (0.335 + 0.010 * jitter[0]) * (1 + pose.swell)
    middle = np.array([0.5 + 0.012 * jitter[1], 0.545 + 0.010 * jitter[2]]) * big
    phase = 2 * math.pi * look.tempo * t + 0.35 * jitter[3]
    image = Image.new("RGB", (big, big), floor)
    hop = (1 - math.cos(phase)) / 2
    lift = hop * pose.bounce
    stretch = (
        1 + pose.squash * (0.5 - 1.5 * abs(math.cos(phase / 2)) ** 6 + 0.5 * hop)
        if pose.bounce > 0.1
        else (1 + pose.squash * math.sin(phase))
    )
    center = middle + np.array([pose.shake * math.sin(phase), pose.droop - lift]) * radius
    angle = math.radians(pose.tilt) * (math.sin(phase) if pose.tilt > 0 else 1.0)
    shadow = mix(floor, (0, 0, 0), 0.16 - 0.06 * hop * min(1, pose.bounce * 5))
    sx, sy = radius * (0.72 - 0.4 * lift), radius * 0.11
    ground = middle[1] + radius * 1.10
    ImageDraw.Draw(image).ellipse((middle[0] - sx, ground - sy, middle[0] + sx, ground + sy), fill=shadow)
    body = Canvas(image, center, radius, angle, (1 / stretch, stretch))
    for effect in (look.effect, look.beside):
        draw_effect(body, effect, t, intensity, spec.seed, behind=True)
    outline = body.at(shape.outline)
    mask = Image.new("L", (big, big), 0)
    ImageDraw.Draw(mask).polygon([tuple(p) for p in outline], fill=255)
    corner = (np.array([big, big]) - center).round().astype(int)
    image.paste(shade.crop((*corner, corner[0] + big, corner[1] + big)), (0, 0), mask)
    body.line([*shape.outline, shape.outline[0]], edge, 0.05)
    face = body.sub(*shape.face)
    if pose.blush > 0.15:
        for side in (-1, 1):
            face.ellipse(side * 0.60, 0.16, 0.15, 0.10, mix(color, (255, 90, 110), 0.55 * min(1, pose.blush)))
    blink = max(0.0, 1 - abs(t - blink_at) * 9) if look.blinks else 0.0
    _eyes(face, pose, look.eyes, blink, 0.03 * math.sin(phase) if look.eyes == "white" else 0.0)
    _brows(face, pose)
    _mouth(face, pose, look.mouth, phase)
    _accessory(body, spec.accessory, shape.top, shape.face)
    for effect in (look.effect, look.beside):
        draw_effect(face, effect, t, intensity, spec.seed, behind=False)
    frame = np.asarray(image.reduce(SUPERSAMPLE)).astype(np.float32)
    gray = frame.mean(axis=-1, keepdims=True)
    frame = (gray + (frame - gray) * look.colorfulness) * look.brightness
    return np.clip(frame, 0, 255).round().astype(np.uint8)
