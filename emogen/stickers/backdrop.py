"""The background of a clip: a colour on its border, and how that colour changes over the frame.

What a model, a lamp or a codec makes of "a plain background" is brighter on one side, or changes over the clip with the
emotion. So each frame's background is a smooth surface: a polynomial of second degree in x and y, fitted to the pixels
that the border reaches.
"""

from __future__ import annotations

import numpy as np

from emogen.stickers.regions import reach_from_border

BORDER_SHARE = 0.5  # of the border that must have the background's colour; a sticker may touch the rest
_CHANGES = 8  # of 255, in one channel: less is noise
_ROUNDS = 3
_MOST_FITTED = 4096  # pixels of a frame; more fit no better


class BackgroundError(ValueError):
    """The background is not one colour; the message says how far from it."""


def background_colour(frames: np.ndarray, tolerance: float = 30.0) -> tuple[int, int, int]:
    """The commonest colour of the border over all frames uint8 `(F, H, W, 3)`, sRGB 0-255.

    Raises:
        BackgroundError: less than half of the border lies within `tolerance` of it.
    """
    border = _border(np.asarray(frames)).astype(np.float32)
    cells = (border // 16).astype(np.int64) @ (256, 16, 1)
    fullest = np.bincount(cells).argmax()
    start = np.median(border[cells == fullest], axis=0)
    near = np.linalg.norm(border - start, axis=1) <= tolerance  # a colour on a cell's edge falls into two
    colour = np.median(border[near], axis=0).round()
    _check_flat(border, colour, tolerance)
    return tuple(int(c) for c in colour)


def check_colour(frames: np.ndarray, colour: tuple[int, int, int], tolerance: float) -> None:
    """See that the border has the colour.

    Raises:
        BackgroundError: less than half of it lies within `tolerance`.
    """
    _check_flat(_border(frames).astype(np.float32), np.float32(colour), tolerance)


def colours_of_frames(frames: np.ndarray, tolerance: float) -> list[tuple[int, int, int]]:
    """The background's colour in each frame: one for all, which is steadier, unless it changes."""
    try:
        each = [background_colour(frame[None], tolerance) for frame in frames]
    except BackgroundError:  # a frame whose border the sticker covers
        each = []
    if not each or np.ptp(np.array(each), axis=0).max() < _CHANGES:
        return [background_colour(frames, tolerance)] * len(frames)
    return each


def surface(frame: np.ndarray, colour: tuple[int, int, int], tolerance: float) -> np.ndarray:
    """The background's colour at every pixel of a frame `(H, W, 3)`, float `(H, W, 3)`.

    It begins with one colour, and grows: what lies within half the tolerance of the surface so far, and is reached from
    the border, is what the next one is fitted to. Where too little is reached, the colour stays one.
    """
    height, width = frame.shape[:2]
    values = frame.astype(np.float32)
    ground = np.broadcast_to(np.float32(colour), values.shape)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).astype(np.float32)
    for step in range(_ROUNDS):
        few = terms[..., : 3 if step == 0 else 6]  # a plane first: it does not bend where nothing is known
        reached = reach_from_border(np.linalg.norm(values - ground, axis=-1) <= tolerance * (0.5 if step else 0.8))
        where = np.nonzero(reached)
        if len(where[0]) < 0.1 * reached.size:
            break
        every = max(1, len(where[0]) // _MOST_FITTED)
        where = tuple(axis[::every] for axis in where)
        fit, *_ = np.linalg.lstsq(few[where], values[where], rcond=None)
        ground = (few @ fit).clip(0, 255)
    return np.ascontiguousarray(ground)


def _border(frames: np.ndarray) -> np.ndarray:
    """The outermost pixels of all frames, `(N, 3)`."""
    sides = (frames[:, 0], frames[:, -1], frames[:, 1:-1, 0], frames[:, 1:-1, -1])
    return np.concatenate([side.reshape(-1, 3) for side in sides])


def _check_flat(border: np.ndarray, colour: np.ndarray, tolerance: float) -> None:
    distance = np.linalg.norm(border - colour, axis=1)
    share = (distance <= tolerance).mean()
    if share < BORDER_SHARE:
        shown = tuple(int(c) for c in colour)
        raise BackgroundError(
            f"the background is not flat: {share:.0%} of the border lies within {tolerance:g} of {shown}, and "
            f"{BORDER_SHARE:.0%} must; half of it lies within {np.median(distance):.0f} and nine tenths within "
            f"{np.quantile(distance, 0.9):.0f}. Ask for a plain background, or give its colour or more tolerance"
        )
