"""How alike clips of one character are: the same colours in the same places, whatever the face does.

A clip's layout is how much of each of 4 x 4 x 4 colours lies in each of 4 x 4 fields, over its frames. Two clips are as
alike as their layouts overlap. The background counts as the rest does, so figures of sets on different grounds do not
compare. `python benchmarks/alike.py` says what the figure is for drawn characters, where it is known who is who.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emogen.media.pixels import lay_on, resize_frames

_SIDE, _FRAMES, _COLOURS, _FIELDS = 48, 8, 4, 4


def layout(frames: np.ndarray) -> np.ndarray:
    """Shares `[16, 64]` of the colours in each field of a clip uint8 `(F, H, W, 3 or 4)`; a field sums to 1.

    A pixel counts for the nearest colours by its distance from them, so that a shade more or less changes little.
    """
    few = frames[np.linspace(0, len(frames) - 1, min(len(frames), _FRAMES)).round().astype(int)]
    place = resize_frames(lay_on(few), _SIDE, _SIDE).astype(float) / 255 * (_COLOURS - 1)
    low = np.floor(place).astype(int).clip(0, _COLOURS - 2)
    row, column = np.mgrid[0:_SIDE, 0:_SIDE] * _FIELDS // _SIDE
    field = np.broadcast_to(row * _FIELDS + column, low.shape[:-1])
    found = np.zeros((_FIELDS**2, _COLOURS**3))
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, place - low, 1 - (place - low)).prod(-1)
        np.add.at(found, (field, (low + corner) @ (_COLOURS**2, _COLOURS, 1)), weight)
    return found / found.sum(-1, keepdims=True)


def likeness(clips: Sequence[np.ndarray]) -> np.ndarray:
    """How alike every two clips are, `[n, n]` in [0, 1]: 1 is the same colours in the same places.

    Args:
        clips: uint8 `(F, H, W, 3 or 4)`, of any sizes and lengths; clear parts are laid on white.
    """
    layouts = [layout(clip) for clip in clips]
    return np.array([[float(np.minimum(one, other).sum(-1).mean()) for other in layouts] for one in layouts])
