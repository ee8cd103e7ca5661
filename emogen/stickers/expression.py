"""How each emotion moves a rendered face: poses, effects and tempo.

A pose is a set of numbers; an emotion at intensity `i` is the neutral pose moved towards the emotion's own by `i`,
so that intensity is a continuous, exactly labelled factor. Tempo and the size of a movement follow arousal, the
brightness of the scene follows valence and its colourfulness both: the directions reported for real emotional
video by EmoVid (AAAI 2026, visual attributes), realised here on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Pose:
    """Everything about a face and its motion that an emotion changes. Lengths are in face units (body radius 1)."""

    eye_height: float = 0.20
    eye_width: float = 0.145
    sclera: float = 0.0  # radius of the white of the eye; 0 draws a plain dark eye
    pupil: float = 0.0  # radius of the pupil in a white eye
    brow_lift: float = 0.0
    brow_slant: float = 0.0  # > 0: inner ends down (anger); < 0: inner ends up (sadness, fear)
    brow_show: float = 0.0
    smile: float = 0.03  # mouth curvature: > 0 smile, < 0 frown
    mouth_open: float = 0.0
    mouth_width: float = 0.34
    tint: float = 0.0  # how far the body takes the emotion's tint
    blush: float = 0.0
    bounce: float = 0.0  # vertical travel
    shake: float = 0.0  # horizontal travel
    tilt: float = 0.0  # degrees
    squash: float = 0.015  # breathing
    droop: float = 0.0  # constant shift down
    swell: float = 0.0  # constant growth

    def towards(self, other: Pose, amount: float) -> Pose:
        """The pose `amount` of the way from this one to `other` (1 is `other`; more exaggerates)."""
        moved = {
            f.name: getattr(self, f.name) + (getattr(other, f.name) - getattr(self, f.name)) * amount
            for f in fields(self)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Expression:
    """An emotion's full-strength pose with the discrete parts that cannot be blended.

    Attributes:
        eyes: "open", "happy" (arched shut), "closed" (resting shut), "star" or "white" (wide, small pupils).
        mouth: "curve", "laugh", "round", "teeth", "wavy" or "tongue".
        effect: "none", "joy_tears", "rays", "hearts", "sparkles", "steam", "stink", "sweat" or "tears".
        beside: a second effect, of a compound expression.
        tint_color: sRGB that `pose.tint` moves the body towards. tint_share: how far a tint of 1 does.
        blinks: whether the eyes close for a moment.
        tempo: cycles of the movement a second, a whole number so that a clip of one second loops.
        brightness: factor on the whole scene at full intensity. colorfulness: the same for saturation.
    """

    pose: Pose
    eyes: str = "open"
    mouth: str = "curve"
    effect: str = "none"
    beside: str = "none"
    tint_color: tuple[int, int, int] = (0, 0, 0)
    tint_share: float = 0.6
    blinks: bool = False
    tempo: int = 1
    brightness: float = 1.0
    colorfulness: float = 1.0


NEUTRAL = Expression(Pose(), blinks=True)

EXPRESSIONS: dict[str, Expression] = {
    "neutral": NEUTRAL,
    "amusement": Expression(
        Pose(smile=0.30, mouth_open=0.46, mouth_width=0.50, tilt=13, bounce=0.05, squash=0.05, blush=0.3),
        eyes="happy",
        mouth="laugh",
        effect="joy_tears",
        tempo=2,
        brightness=1.04,
        colorfulness=1.1,
    ),
    "awe": Expression(
        Pose(
            eye_height=0.30,
            eye_width=0.25,
            sclera=0.27,
            pupil=0.17,
            brow_lift=0.20,
            brow_show=1,
            smile=0,
            mouth_open=0.26,
            mouth_width=0.20,
            swell=0.05,
            squash=0.03,
            bounce=0.03,
        ),
        eyes="white",
        mouth="round",
        effect="rays",
        tempo=1,
        brightness=1.06,
        colorfulness=1.0,
    ),
    "contentment": Expression(
        Pose(smile=0.18, mouth_width=0.38, blush=0.8, tilt=6, squash=0.03),
        eyes="closed",
        mouth="curve",
        effect="hearts",
        tempo=1,
        brightness=1.03,
        colorfulness=0.95,
    ),
    "excitement": Expression(
        Pose(smile=0.30, mouth_open=0.44, mouth_width=0.50, bounce=0.24, squash=0.14, brow_lift=0.14, brow_show=0),
        eyes="star",
        mouth="laugh",
        effect="sparkles",
        tempo=2,
        brightness=1.08,
        colorfulness=1.2,
    ),
    "anger": Expression(
        Pose(
            eye_height=0.17,
            eye_width=0.145,
            brow_lift=-0.12,
            brow_slant=0.17,
            brow_show=1,
            smile=-0.14,
            mouth_open=0.20,
            mouth_width=0.38,
            tint=0.42,
            shake=0.06,
            squash=0.02,
        ),
        mouth="teeth",
        effect="steam",
        tint_color=(214, 24, 24),
        tint_share=0.8,
        tempo=3,
        brightness=0.9,
        colorfulness=1.1,
    ),
    "disgust": Expression(
        Pose(
            eye_height=0.075,
            eye_width=0.15,
            brow_lift=-0.08,
            brow_slant=0.08,
            brow_show=1,
            smile=-0.16,
            mouth_open=0.26,
            mouth_width=0.34,
            tint=0.36,
            tilt=-5,
            shake=0.02,
            swell=-0.03,
        ),
        mouth="tongue",
        effect="stink",
        tint_color=(110, 164, 44),
        tempo=1,
        brightness=0.94,
        colorfulness=0.95,
    ),
    "fear": Expression(
        Pose(
            eye_height=0.27,
            eye_width=0.22,
            sclera=0.25,
            pupil=0.065,
            brow_lift=0.18,
            brow_slant=-0.12,
            brow_show=1,
            smile=-0.10,
            mouth_open=0.22,
            mouth_width=0.42,
            tint=0.20,
            shake=0.035,
            swell=-0.08,
            squash=0.0,
        ),
        eyes="white",
        mouth="wavy",
        effect="sweat",
        tint_color=(120, 150, 235),
        tempo=3,
        brightness=0.88,
        colorfulness=0.95,
    ),
    "sadness": Expression(
        Pose(
            eye_height=0.17,
            eye_width=0.135,
            brow_lift=0.10,
            brow_slant=-0.14,
            brow_show=1,
            smile=-0.20,
            mouth_width=0.30,
            droop=0.08,
            tint=0.12,
            squash=0.03,
        ),
        mouth="curve",
        effect="tears",
        tint_color=(70, 90, 150),
        blinks=True,
        tempo=1,
        brightness=0.86,
        colorfulness=0.82,
    ),
}
"""Mikels' eight and neutral, each at intensity 1."""

_DISCRETE_FROM = 0.3  # below this intensity the face moves but keeps the neutral eyes and has no effect


def expression_at(emotion: str, intensity: float) -> Expression:
    """The expression of `emotion` at `intensity` in [0, 1]: pose, brightness and colour blended from neutral."""
    return weakened(EXPRESSIONS[emotion], intensity)


def weakened(full: Expression, intensity: float) -> Expression:
    """An expression `intensity` of the way from neutral to `full`."""
    showing = intensity >= _DISCRETE_FROM
    return replace(
        full,
        pose=NEUTRAL.pose.towards(full.pose, intensity),
        eyes=full.eyes if showing else "open",
        mouth=full.mouth if showing else "curve",
        effect=full.effect if showing else "none",
        beside=full.beside if showing else "none",
        brightness=1 + (full.brightness - 1) * intensity,
        colorfulness=1 + (full.colorfulness - 1) * intensity,
    )
