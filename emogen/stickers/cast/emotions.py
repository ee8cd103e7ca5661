"""The eight emotions and neutral as loops of poses: what each does to a face and a body within one second.

Each is a function of time (seconds, an array) that is periodic with one second, so every clip of whole seconds loops,
whatever it blends. What each looks like follows what people draw and read best: the brows, lids and lips of the facial
action coding for the basic emotions, and the big gestures of stickers.
"""

from __future__ import annotations

import numpy as np

from emogen.stickers.cast.pose import table

TURN = 2 * np.pi


def wave(t: np.ndarray, cycles: int, at: float = 0.0) -> np.ndarray:
    """A sine of `cycles` a second, -1..1."""
    return np.sin(TURN * (cycles * t + at))


def hop(t: np.ndarray, cycles: int, at: float = 0.0) -> np.ndarray:
    """A ball's way up and down, 0..1: quick on the ground, slow in the air."""
    return np.abs(np.sin(np.pi * (cycles * t + at))) ** 0.8


def neutral(t: np.ndarray) -> np.ndarray:
    return table(len(t), stretch=0.012 * wave(t, 1), tail=3 * wave(t, 1))


def amusement(t: np.ndarray) -> np.ndarray:
    """Laughing: eyes squeezed to arches, a wide open mouth, head back, shaking, hands on the belly."""
    ha = wave(t, 2)
    return table(
        len(t),
        shut=1,
        arc=1,
        eye_w=0.2,
        mouth_w=0.48,
        mouth_y=0.16,
        smile=0.16,
        open=0.56 + 0.07 * ha,
        teeth=0.22,
        tongue=1,
        brow_show=0.6,
        brow_lift=0.13,
        brow_arch=0.10,
        blush=0.7,
        lean=8 * wave(t, 1),
        lift=0.05 + 0.05 * ha,
        stretch=0.04 * ha,
        ear=10 + 8 * ha,
        tail=14 * ha,
        left_x=0.62 + 0.04 * ha,
        left_y=0.62,
        right_x=0.62 + 0.04 * ha,
        right_y=0.72,
        face_y=-0.05,
    )


def awe(t: np.ndarray) -> np.ndarray:
    """Marvelling: eyes huge and full of light, brows high, a small round mouth, slowly drawn up and back."""
    rise = 0.5 - 0.5 * np.cos(TURN * t)
    return table(
        len(t),
        eye_w=0.24,
        eye_h=0.285,
        iris=0.24,
        gaze_y=-0.03,
        gleam=1.35,
        sparkle=0.75 + 0.25 * wave(t, 1),
        brow_show=0.9,
        brow_lift=0.20 + 0.03 * rise,
        brow_arch=0.11,
        mouth_w=0.125 + 0.015 * rise,
        mouth_y=0.44,
        smile=0.0,
        open=0.27 + 0.04 * rise,
        upper=0.5,
        blush=0.35,
        lean=-5 * rise,
        lift=0.04 * rise,
        stretch=0.05 * rise,
        swell=0.02 * rise,
        face_y=-0.06,
        ear=-14,
        left_x=0.64,
        left_y=0.36 - 0.03 * rise,
        right_x=0.64,
        right_y=0.36 - 0.03 * rise,
        tail=6 * wave(t, 1),
    )


def contentment(t: np.ndarray) -> np.ndarray:
    """At peace: eyes resting shut, a soft closed smile, rosy, breathing slowly and swaying."""
    breath = wave(t, 1)
    return table(
        len(t),
        shut=1,
        arc=-1,
        eye_w=0.19,
        mouth_w=0.31,
        mouth_y=0.33,
        smile=0.15,
        blush=1.0,
        stretch=0.03 * breath,
        swell=0.015 * breath,
        lean=5 * wave(t, 1, 0.25),
        ear=12,
        tail=10 * wave(t, 1),
        left_x=0.36,
        left_y=0.78,
        right_x=0.36,
        right_y=0.78,
    )


def excitement(t: np.ndarray) -> np.ndarray:
    """Thrilled: stars for eyes, a big open smile, jumping with both arms up."""
    up = hop(t, 2)
    return table(
        len(t),
        starry=1,
        eye_w=0.20,
        eye_h=0.22,
        mouth_w=0.44,
        mouth_y=0.20,
        smile=0.16,
        open=0.48,
        teeth=0.24,
        tongue=1,
        brow_show=0.5,
        brow_lift=0.20,
        brow_arch=0.08,
        blush=0.5,
        lift=0.20 * up - 0.01,
        stretch=0.10 * (up - 0.45),
        ear=-16 + 22 * (1 - up),
        tail=16 * wave(t, 2),
        left_x=1.12,
        left_y=-0.46 - 0.16 * wave(t, 2),
        right_x=1.12,
        right_y=-0.46 - 0.16 * wave(t, 2),
    )


def anger(t: np.ndarray) -> np.ndarray:
    """Furious: brows slanted down hard, lids cut, teeth clenched, red, stamping with fists on the hips."""
    stamp = wave(t, 2)
    return table(
        len(t),
        eye_w=0.17,
        eye_h=0.19,
        iris=0.095,
        lid=0.30,
        lid_slant=0.42,
        under=0.12,
        gleam=0.5,
        brow_show=1.5,
        brow_lift=-0.09,
        brow_slant=0.19,
        brow_arch=0.0,
        mouth_w=0.36,
        mouth_y=0.44,
        smile=-0.10,
        open=0.24,
        upper=0.5,
        box=1,
        clench=1,
        wrinkle=0.3,
        tint=1,
        lean=3 * stamp,
        dx=0.02 * wave(t, 4),
        swell=0.03,
        ear=20,
        foot=stamp,
        stretch=-0.03,
        tail=4 * stamp,
        left_x=1.16,
        left_y=0.36 + 0.06 * stamp,
        right_x=1.16,
        right_y=0.36 - 0.06 * stamp,
    )


def disgust(t: np.ndarray) -> np.ndarray:
    """Revolted: one eye narrowed more than the other, nose wrinkled, tongue out, greenish, turning away."""
    gag = wave(t, 1)
    return table(
        len(t),
        eye_w=0.175,
        eye_h=0.19,
        iris=0.105,
        gaze_x=-0.05,
        lid=0.26,
        lid_slant=0.12,
        under=0.24,
        wink=0.6,
        gleam=0.4,
        brow_show=1.2,
        brow_lift=-0.05,
        brow_slant=0.07,
        brow_skew=0.14,
        brow_arch=0.02,
        mouth_w=0.34,
        mouth_y=0.36,
        smile=-0.22,
        open=0.17,
        upper=0.4,
        skew=0.10,
        tongue_out=0.32 + 0.05 * gag,
        wrinkle=1,
        tint=1,
        lean=-6 + 3 * gag,
        face_x=-0.10,
        face_y=-0.02,
        dx=-0.04 - 0.02 * gag,
        stretch=-0.02 + 0.02 * gag,
        ear=24,
        tail=3 * gag,
        left_x=1.02,
        left_y=0.66,
        right_x=1.12,
        right_y=0.10 + 0.05 * gag,
    )


def fear(t: np.ndarray) -> np.ndarray:
    """Terrified: eyes wide with tiny pupils, inner brows up, a trembling wavy mouth, small and shaking, hands to it."""
    shiver = wave(t, 4)
    return table(
        len(t),
        eye_w=0.225,
        eye_h=0.265,
        iris=0.065,
        gleam=0.0,
        gaze_x=0.025 * wave(t, 2),
        brow_show=1.1,
        brow_lift=0.20,
        brow_slant=-0.13,
        brow_arch=0.05,
        mouth_w=0.36,
        mouth_y=0.43,
        smile=-0.06,
        open=0.22,
        upper=0.4,
        box=0.6,
        wave=0.055,
        teeth=0.0,
        tint=1,
        dx=0.028 * shiver,
        lean=1.5 * wave(t, 4, 0.25),
        swell=-0.06,
        stretch=0.05,
        ear=30,
        tail=2 * shiver,
        face_y=0.0,
        left_x=0.58,
        left_y=0.60 + 0.03 * shiver,
        right_x=0.58,
        right_y=0.60 - 0.03 * shiver,
    )


def sadness(t: np.ndarray) -> np.ndarray:
    """Grieving: inner brows up, heavy lids over wet eyes, corners of the mouth down, slumped and slow."""
    sob = wave(t, 1)
    return table(
        len(t),
        eye_w=0.18,
        eye_h=0.215,
        iris=0.175,
        gaze_y=0.04,
        lid=0.16,
        lid_slant=-0.5,
        gleam=1.3,
        wet=1,
        brow_show=1.1,
        brow_lift=0.08,
        brow_slant=-0.17,
        brow_arch=-0.02,
        mouth_w=0.25,
        mouth_y=0.47,
        smile=-0.22 - 0.02 * sob,
        tint=0.8,
        lift=-0.04,
        stretch=-0.08 + 0.02 * sob,
        lean=4,
        face_y=0.10,
        face_x=0.03,
        ear=38,
        tail=-14,
        left_x=0.98,
        left_y=0.84,
        right_x=0.98,
        right_y=0.84,
    )


LOOPS = {
    "neutral": neutral,
    "amusement": amusement,
    "awe": awe,
    "contentment": contentment,
    "excitement": excitement,
    "anger": anger,
    "disgust": disgust,
    "fear": fear,
    "sadness": sadness,
}
"""Time in seconds `(F,)` -> poses `(F, fields)` at full intensity."""

TINTS: dict[str, tuple[int, int, int, float]] = {
    "anger": (226, 36, 28, 0.34),
    "disgust": (126, 172, 40, 0.32),
    "fear": (168, 192, 246, 0.28),
    "sadness": (90, 120, 200, 0.16),
}
"""The colour that skin takes, sRGB, and how much of it at full intensity."""

EFFECTS: dict[str, str] = {
    "amusement": "joy_tears",
    "awe": "rays",
    "contentment": "hearts",
    "excitement": "sparkles",
    "anger": "steam",
    "disgust": "stink",
    "fear": "sweat",
    "sadness": "tears",
}
"""What stands around a face that feels it; a drawing reads without them, too."""
