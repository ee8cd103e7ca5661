"""The edge of a cut-out: which pixels are mixtures of a sticker and its background, and how much of each.

A pixel at the edge is `C = a F + (1 - a) B`, of a neighbouring colour F of the sticker and the background B. Its alpha
is the `a` that fits best, and the background's share is taken out of its colour. A soft shadow on the ground, the
background made darker, is the same mixture with black.
"""

from __future__ import annotations

import numpy as np

from emogen.stickers.regions import SIDES, join, reach_from_border, shifted

_STRONG = 2.0  # of the tolerance: no halo of a codec or a model lies so far from the background
_ASKED = 7  # pixels a side that are asked for the purest colour: wide edges need no more
_DARKEST_SHADOW = 0.75  # of the background's brightness


def key_frame(
    frame: np.ndarray, ground: np.ndarray, tolerance: float, feather: int, shadows: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A frame and its background, float `(H, W, 3)`, to uint8 `(H, W, 4)` and where a shadow lies, bool `(H, W)`."""
    distance = np.linalg.norm(frame - ground, axis=-1)
    outside = reach_from_border(distance <= tolerance)
    alpha = np.where(outside, 0.0, 1.0).astype(np.float32)
    color = frame.copy()
    shade = np.zeros_like(outside)
    if shadows and ground.max() >= 64:  # on a dark ground nothing is darker
        shade, dark = _shadow(frame, outside, ground, tolerance)
        alpha[shade], color[shade] = dark[shade], 0
        outside = outside | shade
    if feather:
        band = np.nonzero(_band(outside, distance, feather, tolerance / 3))
        below = ground[band]
        here = frame[band] - below
        strong = ~outside & (distance >= _STRONG * tolerance) & shadows
        pure, sure = _purest(frame, below, (~outside, strong), band, feather, tolerance / 2)
        span = pure - below
        mixed = (here * span).sum(-1) / np.maximum((span**2).sum(-1), 1.0)
        misfit = np.linalg.norm(here - mixed[:, None] * span, axis=-1)
        mixed = (mixed - 0.06) / 0.88  # noise of the purest pixel and of the background must not show
        # Another colour altogether is no mixture; but beside a strong edge codecs and models leave a halo.
        swing = np.where(sure & ~strong[band], _STRONG, 0.5) * tolerance
        mixed = np.maximum(mixed, np.where(outside[band] & sure, 0, (misfit - swing) / tolerance))
        solid = mixed > alpha[band] * outside[band]  # a shadow's rim is darkened ground, not a trace of the sticker
        share = mixed.clip(0.15, 1)[:, None]
        unmixed = (here / share + below).clip(0, 255)
        odd = misfit > tolerance / 2  # no mixture of the two: a fringe, or a colour of its own
        faint = np.where(odd & ~sure, 0, (0.9 - mixed) / 0.4).clip(0, 1)  # whose own colour is mostly noise
        unmixed += (pure - unmixed) * faint[:, None]
        color[band] = np.where(solid[:, None], unmixed, color[band])
        alpha[band] = np.where(solid, mixed.clip(0, 1), alpha[band] * outside[band])
        fringe = tuple(axis[odd & solid] for axis in band)
        usual = _middle_of_nine(alpha, fringe)
        lower = usual < alpha[fringe]  # it stands out of the edge
        alpha[fringe] = np.minimum(alpha[fringe], usual)
        color[tuple(axis[lower] for axis in fringe)] = pure[odd & solid][lower]
    rgba = np.concatenate([color, alpha[..., None] * 255], axis=-1).round().astype(np.uint8)
    rgba[rgba[..., 3] == 0] = 0
    return rgba, shade


def _middle_of_nine(values: np.ndarray, where: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The median of the 3x3 neighbourhood in `(H, W)` of each pixel `where`, `(N)`."""
    padded = np.pad(values, 1, mode="edge")
    return np.median([padded[where[0] + dy, where[1] + dx] for dy in range(3) for dx in range(3)], axis=0)


def _shadow(
    frame: np.ndarray, outside: np.ndarray, ground: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where a shadow lies, bool `(H, W)`, and how dark it is, 0 to 1."""
    light = (frame * ground).sum(-1) / np.maximum((ground**2).sum(-1), 1)
    hue = np.linalg.norm(frame - light[..., None] * ground, axis=-1)
    able = (hue <= tolerance) & (light >= _DARKEST_SHADOW) & (light < 1)
    core = able | outside
    for _ in range(2):  # outlines and their soft edges are as grey as a shadow but thin
        core = np.logical_and.reduce([core, *(shifted(core, *side) for side in SIDES)])
    core &= ~outside
    for _ in range(2):
        core = np.logical_or.reduce([core, *(shifted(core, *side) for side in SIDES)]) & able & ~outside
    touches = np.logical_or.reduce([shifted(outside, *side) for side in SIDES])
    core = join(core, core & touches)
    near = core
    for _ in range(2):
        near = np.logical_or.reduce([near, *(shifted(near, *side) for side in SIDES)])
    shade = core | (near & outside)
    weight = shade.astype(np.float32)
    dark = sum(shifted(weight * (1 - light), dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    count = sum(shifted(weight, dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    dark = (dark / np.maximum(count, 1)).clip(0, 1)
    return shade & (dark > 0.02), dark


def _band(outside: np.ndarray, distance: np.ndarray, feather: int, slack: float) -> np.ndarray:
    """Pixels that may be mixtures: up to `feather` steps inwards while the background's colour fades, and one outwards.

    Where the colour comes nearer to the background's again (a white face behind a thin outline), the band ends.
    """
    front, inside = outside, np.zeros_like(outside)
    for _ in range(feather):
        fresh = np.zeros_like(outside)
        for dy, dx in SIDES:
            fresh |= shifted(front, dy, dx) & (distance >= shifted(distance, dy, dx) - slack)
        front = fresh & ~outside & ~inside
        inside |= front
    rim = np.zeros_like(outside)
    for dy, dx in SIDES:
        rim |= shifted(~outside, dy, dx)
    return inside | (rim & outside)


def _purest(
    frame: np.ndarray,
    below: np.ndarray,
    inside: tuple[np.ndarray, np.ndarray],
    where: tuple[np.ndarray, np.ndarray],
    radius: int,
    slack: float,
) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel `where` the foreground colour that it is most likely a mixture of, `(N, 3)`; `below` is the
    background there. And whether that colour is strong, bool `(N)`.

    Of the colours inside within `radius` whose line to the background passes the pixel's within `slack` of the nearest
    such line, the one farthest from the background: an outline's and not its soft edge's. `inside` holds two masks: of
    all pixels inside, and of the strong ones; where there are any of these, the others may be a halo and do not count.
    """
    height, width = inside[0].shape
    here = frame[where] - below
    line = np.unique(np.linspace(-radius, radius, min(2 * radius + 1, _ASKED)).round().astype(int))
    steps = [(dy, dx) for dy in line for dx in line]
    misfit = np.full((2, len(steps), len(here)), np.inf, np.float32)
    length = np.zeros_like(misfit[0])
    for index, (dy, dx) in enumerate(steps):
        row, column = (where[0] + dy).clip(0, height - 1), (where[1] + dx).clip(0, width - 1)
        span = frame[row, column] - below
        length[index] = np.linalg.norm(span, axis=-1)
        share = ((here * span).sum(-1) / np.maximum(length[index] ** 2, 1.0)).clip(0, 1)
        off = np.linalg.norm(here - share[:, None] * span, axis=-1)
        for kind, mask in enumerate(inside):
            misfit[kind, index] = np.where(mask[row, column], off, np.inf)
    sure = np.isfinite(misfit[1]).any(0)
    misfit = np.where(sure, misfit[1], misfit[0])
    best = np.where(misfit <= misfit.min(0) + slack, length, -1.0).argmax(0)
    dy, dx = np.array(steps)[best].T
    return frame[(where[0] + dy).clip(0, height - 1), (where[1] + dx).clip(0, width - 1)], sure
