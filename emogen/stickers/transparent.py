"""A plain background made transparent, in the whole clip at once.

The background is what can be reached from the frame's border through pixels of its colour, so white eyes on a white
ground stay. `backdrop.py` says what its colour is where, `edges.py` finds how much of it is in the pixels at the
sticker's edge, and `effects_kept.py` tells what belongs to the sticker from specks.
"""

from __future__ import annotations

import numpy as np

from emogen.stickers.backdrop import BackgroundError, background_colour, check_colour, colours_of_frames, surface
from emogen.stickers.edges import key_frame
from emogen.stickers.effects_kept import keep_parts

__all__ = ["BackgroundError", "background_colour", "key_background"]

_SIDE_A_STEP = 120
"""Pixels of the shorter side for each pixel that the edge is soft beyond two."""


def key_background(
    frames: np.ndarray,
    colour: tuple[int, int, int] | None = None,
    tolerance: float = 30.0,
    feather: int | None = None,
    shadows: bool = True,
    effects: bool = True,
) -> np.ndarray:
    """Make a plain background transparent.

    Enclosed parts of the background's colour, such as the gap under an arm, stay opaque like eyes do.

    Args:
        frames: uint8 `(F, H, W, 3)`, at least 4 pixels high and wide, as they were made: enlarge them afterwards.
        colour: the background, sRGB 0-255; None finds it on the border of all frames, or of each frame where it
            changes over the clip, as an emotion brightens or darkens it.
        tolerance: Euclidean distance in sRGB (0 to 441) within which a pixel is background; lossy codecs and
            generated clips need about 30.
        feather: pixels from the background inwards that may be half transparent; 0 cuts hard. None: two, and more in
            large frames.
        shadows: make a shadow that touches the background (up to a quarter darker, some pixels thick) half transparent
            black; False leaves it opaque. A pale body without outline on a ground of its own hue needs False; then a
            codec's faint rim stays too.
        effects: keep what stands apart from the body and lives for more than a frame, such as steam and sparkles;
            False takes it away.

    Returns:
        uint8 `(F, H, W, 4)`, not premultiplied; fully transparent pixels are black.

    Raises:
        BackgroundError: the border is not one colour, or nothing but background is left.
        ValueError: frames or arguments of another form.
    """
    frames = np.asarray(frames)
    if (
        frames.dtype != np.uint8
        or frames.ndim != 4
        or frames.shape[-1] != 3
        or min(frames.shape) < 1
        or min(frames.shape[1:3]) < 4
    ):
        raise ValueError(f"frames must be uint8 (F, H, W, 3) of at least 4x4 pixels, not {frames.dtype} {frames.shape}")
    if feather is None:
        feather = 2 + round(min(frames.shape[1:3]) / _SIDE_A_STEP)
    if not 0 < tolerance < 441 or feather < 0:
        raise ValueError(f"tolerance must be between 0 and 441 and feather 0 or more, not {tolerance} and {feather}")
    if colour is None:
        colours = colours_of_frames(frames, tolerance)
    else:
        if len(colour) != 3 or not all(0 <= c <= 255 for c in colour):
            raise ValueError(f"colour must be three numbers 0-255, not {colour}")
        check_colour(frames, colour, tolerance)
        colours = [colour] * len(frames)
    grounds = np.stack([surface(frame, one, tolerance) for frame, one in zip(frames, colours, strict=True)])
    keyed = [key_frame(frame.astype(np.float32), ground, tolerance, feather, shadows)
             for frame, ground in zip(frames, grounds, strict=True)]  # fmt: skip
    out = _steady(np.stack([rgba for rgba, _ in keyed]), frames, tolerance / 3)
    out = keep_parts(out, frames, grounds, np.stack([shade for _, shade in keyed]), tolerance, effects)
    if not out[..., 3].any():
        raise BackgroundError(
            f"nothing is left of the clip: every pixel reached from the border lies within "
            f"{tolerance:g} of the background {tuple(colours[0])}; lower the tolerance"
        )
    return out


def _steady(keyed: np.ndarray, frames: np.ndarray, slack: float) -> np.ndarray:
    """A pixel whose colour stays while its alpha flickers for one frame takes a neighbouring frame's value."""
    out = keyed.copy()
    for index in range(1, len(frames) - 1):
        before, now, after = (frames[index + step].astype(np.int16) for step in (-1, 0, 1))
        stays = (np.abs(now - before).max(-1) <= slack) & (np.abs(now - after).max(-1) <= slack)
        a, b, c = (keyed[index + step, ..., 3].astype(np.int16) for step in (-1, 0, 1))
        middle = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
        flickers = stays & (middle != b)
        nearer = np.abs(a - middle) <= np.abs(c - middle)
        for source, chosen in ((index - 1, flickers & nearer), (index + 1, flickers & ~nearer)):
            out[index][chosen] = keyed[source][chosen]
    return out
