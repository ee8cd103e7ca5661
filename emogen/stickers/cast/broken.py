"""Faces that are wrong on purpose, for a reader that tells sound drawings from broken ones.

They are wrong in the ways of video models: features too many, too few or in the wrong place, a body that is torn or
runs, two moments in one frame.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from emogen.stickers.cast.backgrounds import background
from emogen.stickers.cast.draw import draw_with
from emogen.stickers.cast.face import SOUND, Flaws
from emogen.stickers.cast.roster import CHARACTERS
from emogen.stickers.cast.spec import CastSpec

WAYS: tuple[str, ...] = (
    "two mouths",
    "six eyes",
    "third eye",
    "missing eye",
    "missing mouth",
    "misplaced",
    "torn",
    "melted",
    "double",
)
"""How a face can be wrong."""


def broken(spec: CastSpec, how: str, seed: int = 0, num_frames: int = 13, size: int = 128, fps: int = 12) -> np.ndarray:
    """A clip of `spec` that is wrong in one way in all its frames.

    Args:
        spec: what it should have been.
        how: one of `WAYS`.
        seed: where exactly, and how much.
        num_frames, size, fps: as for `draw`.

    Returns:
        uint8, of the form of `draw`.

    Raises:
        ValueError: an unknown way.
    """
    rng = np.random.default_rng([seed, 23])
    if how in ("torn", "melted", "double"):
        frames = draw_with(SOUND, replace(spec, background="none"), num_frames, size, fps)
        wrong = {"torn": _torn, "melted": _melted, "double": _doubled}[how](frames, rng)
        return _over(wrong, spec.background)
    return draw_with(_flaws(spec, how, rng), spec, num_frames, size, fps)


def _flaws(spec: CastSpec, how: str, rng: np.random.Generator) -> Flaws:
    layout = CHARACTERS[spec.character].face
    side = float(rng.choice((-1, 1)))
    if how == "two mouths":
        place = [(0.0, 0.74), (0.42 * side, 0.30), (0.0, -0.40)][int(rng.integers(3))]
        return Flaws(mouths=((place[0], place[1], float(rng.uniform(0.7, 1.0))),))
    if how == "six eyes":
        rows = float(rng.uniform(0.26, 0.36))
        return Flaws(
            eyes=tuple(
                (s * layout.eye_x * wide, layout.eye_y + k * rows, 0.8)
                for k, wide in ((-1, 0.9), (1, 1.1))
                for s in (-1, 1)
            )
        )
    if how == "third eye":
        place = [(0.0, layout.eye_y - 0.32), (0.0, layout.eye_y), (0.50 * side, 0.18)][int(rng.integers(3))]
        return Flaws(eyes=((*place, float(rng.uniform(1.0, 1.25))),))
    if how == "missing eye":
        return Flaws(without=(int(side),))
    if how == "missing mouth":
        return Flaws(mouthless=True)
    if how == "misplaced":
        return Flaws(shift=(side * float(rng.uniform(0.22, 0.4)), float(rng.uniform(0.16, 0.34))))
    raise ValueError(f"{how!r} is no way to be broken; the ways are {', '.join(WAYS)}")


def _torn(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bands of the picture slide apart, and a piece is missing."""
    out, size = frames.copy(), frames.shape[1]
    for start in rng.uniform(0.25, 0.75, 2):
        top = int(start * size)
        bottom = top + int(rng.uniform(0.08, 0.16) * size)
        shift = int(rng.choice((-1, 1)) * rng.uniform(0.09, 0.18) * size)
        out[:, top:bottom] = np.roll(frames[:, top:bottom], shift, axis=2)
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    hole = np.hypot(x - rng.uniform(0.3, 0.7), y - rng.uniform(0.35, 0.75)) < rng.uniform(0.08, 0.13)
    out[:, hole] = 0
    return out


def _melted(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Everything runs: smooth waves displace the picture."""
    size = frames.shape[1]
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    dx, dy = np.zeros_like(x), np.zeros_like(x)
    for shift in (dx, dy):
        for _ in range(4):
            fx, fy = rng.uniform(-3.5, 3.5, 2)
            shift += rng.uniform(0.012, 0.026) * np.sin(2 * np.pi * (fx * x + fy * y + rng.random()))
    dy -= 0.05 * np.clip(np.sin(2 * np.pi * (rng.uniform(2, 3) * x + rng.random())), 0, 1) * y
    return _sampled(frames, (y + dy) * size - 0.5, (x + dx) * size - 0.5)


def _sampled(frames: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """RGBA frames read between their pixels, colours weighted by alpha."""
    size = frames.shape[1]
    alpha = frames[..., 3:] / np.float32(255)
    values = np.concatenate([frames[..., :3] * alpha, alpha], axis=-1)
    y, x = np.clip(y, 0, size - 1.001), np.clip(x, 0, size - 1.001)
    row, column = y.astype(int), x.astype(int)
    fy, fx = (y - row)[..., None].astype(np.float32), (x - column)[..., None].astype(np.float32)
    above = values[:, row, column] * (1 - fx) + values[:, row, column + 1] * fx
    below = values[:, row + 1, column] * (1 - fx) + values[:, row + 1, column + 1] * fx
    mixed = above * (1 - fy) + below * fy
    mixed[..., :3] /= np.maximum(mixed[..., 3:], 1e-6)
    mixed[..., 3] *= 255
    return mixed.round().clip(0, 255).astype(np.uint8)


def _doubled(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two copies of the face, half and half, a step apart."""
    size = frames.shape[1]
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.09, 0.15) * size
    shift = (round(far * np.sin(angle)), round(far * np.cos(angle)))
    other = np.roll(frames, shift, axis=(1, 2))
    weight = frames[..., 3:] / 510, other[..., 3:] / 510
    alpha = np.maximum(frames[..., 3:], other[..., 3:])
    total = np.maximum(weight[0] + weight[1], 1e-6)
    color = (frames[..., :3] * weight[0] + other[..., :3] * weight[1]) / total
    return np.concatenate([color.round().astype(np.uint8), alpha], axis=-1)


def _over(frames: np.ndarray, name: str) -> np.ndarray:
    """RGBA frames on a background, or as they are on none."""
    size = frames.shape[1]
    floor = background(name, size)
    if floor is None:
        return frames
    out = []
    for frame in frames:
        picture = floor.copy()
        picture.paste(Image.fromarray(frame[..., :3]), (0, 0), Image.fromarray(frame[..., 3]))
        out.append(np.asarray(picture))
    return np.stack(out)
