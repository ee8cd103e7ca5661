"""A pose: every number of a face and a body that an emotion changes.

An emotion is a loop of poses (`emotions.py`). Poses are blended field by field, so everything that can be felt has a
drawing: a weak emotion lies between neutral and the full one, a blend between two, a change over time passes through
what lies between. Nothing switches: eyes shut by their lids, a mouth opens from a line.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Pose:
    """Lengths in face units (1 = half a face's width), angles in degrees, shares 0..1; the values are neutral's.

    A side is the viewer's: left is negative x.
    """

    # eyes
    eye_w: float = 0.150  # half width and half height of the open eye
    eye_h: float = 0.190
    iris: float = 0.25  # radius of the dark; as large as the eye, it hides the white
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    shut: float = 0.0  # how far both lids have met on the arc below
    arc: float = 0.0  # the arc of a shut eye: 1 arches up (laughing), -1 hangs down (resting)
    lid: float = 0.0  # how much of the eye the upper lid covers, cut straight
    lid_slant: float = 0.0  # that cut's inner end: lower (> 0, anger) or higher (< 0, sadness)
    under: float = 0.0  # how much the lower lid covers
    wink: float = 0.0  # how much narrower the right eye is than the left
    gleam: float = 1.0  # size of the light in the eyes
    starry: float = 0.0  # golden stars in front of the eyes
    sparkle: float = 0.0  # white four-pointed lights in the eyes
    wet: float = 0.0  # water along the lower lid
    # brows
    brow_show: float = 0.0
    brow_lift: float = 0.0
    brow_slant: float = 0.0  # > 0: inner ends down (anger); < 0: inner ends up (sadness, fear)
    brow_arch: float = 0.04
    brow_skew: float = 0.0  # the right brow higher than the left
    # mouth
    mouth_w: float = 0.20
    mouth_y: float = 0.36
    smile: float = 0.08  # how much higher the corners are than the middle
    open: float = 0.0  # height of the opening
    upper: float = 0.0  # share of the opening that lifts the upper lip
    box: float = 0.0  # 0: rounded opening, 1: squared
    wave: float = 0.0
    skew: float = 0.0  # the right corner lower than the left
    teeth: float = 0.0  # upper row, share of the opening
    clench: float = 0.0  # both rows, shut
    tongue: float = 0.0  # inside
    tongue_out: float = 0.0  # how far out below the lip
    # skin
    blush: float = 0.0
    wrinkle: float = 0.0  # lines beside the nose
    tint: float = 0.0  # how far the skin takes the emotion's colour
    # body; steady or moving
    dx: float = 0.0
    lift: float = 0.0
    lean: float = 0.0
    stretch: float = 0.0  # > 0: taller and narrower
    swell: float = 0.0
    face_x: float = 0.0  # the face turned aside, up or down on the head
    face_y: float = 0.0
    ear: float = 0.0  # > 0: down and out; < 0: pricked
    tail: float = 0.0
    foot: float = 0.0  # the right foot raised (> 0) or the left one (< 0)
    # hands, from the middle of the body: out and down
    left_x: float = 1.06
    left_y: float = 0.66
    right_x: float = 1.06
    right_y: float = 0.66


FIELDS = tuple(f.name for f in fields(Pose))
NEUTRAL = np.array([f.default for f in fields(Pose)])
INDEX = {name: index for index, name in enumerate(FIELDS)}


def table(num_frames: int, **values) -> np.ndarray:
    """`(num_frames, fields)`: neutral, but for the fields given as a number or as one number a frame."""
    poses = np.tile(NEUTRAL, (num_frames, 1))
    for name, value in values.items():
        poses[:, INDEX[name]] = value
    return poses
