"""A flat background made transparent, in the whole clip at once.

The background is what can be reached from the frame's border through pixels of its colour, so white eyes on a white
ground stay. Pixels at its edge are mixtures `C = a F + (1 - a) B` of a neighbouring foreground colour F and the
background B; their alpha is the `a` that fits best, and the background's share is taken out of their colour. A soft
shadow on the ground, the background made darker, is the same mixture with black.
"""

from __future__ import annotations

import numpy as np

_BORDER_SHARE = 0.5  # of the border that must have the background's colour; a sticker may touch the rest
_DARKEST_SHADOW = 0.75  # of the background's brightness
_CHANGES = 8  # of 255, in one channel: less is noise
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))


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


def key_background(
    frames: np.ndarray,
    colour: tuple[int, int, int] | None = None,
    tolerance: float = 30.0,
    feather: int = 2,
    shadows: bool = True,
) -> np.ndarray:
    """Make a flat background transparent.

    Enclosed parts of the background's colour, such as the gap under an arm, stay opaque like eyes do.

    Args:
        frames: uint8 `(F, H, W, 3)`, at least 4 pixels high and wide.
        colour: the background, sRGB 0-255; None finds it on the border of all frames, or of each frame where it
            changes over the clip, as an emotion brightens or darkens it.
        tolerance: Euclidean distance in sRGB (0 to 441) within which a pixel is background; lossy codecs and
            generated clips need about 30.
        feather: pixels from the background inwards that may be half transparent; 0 cuts hard. About 2 for drawn
            clips, more for enlarged ones.
        shadows: make a shadow that touches the background (up to a quarter darker, some pixels thick) half transparent
            black; False leaves it opaque. A pale body without outline on a ground of its own hue needs False.

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
    if not 0 < tolerance < 441 or feather < 0:
        raise ValueError(f"tolerance must be between 0 and 441 and feather 0 or more, not {tolerance} and {feather}")
    if colour is None:
        grounds = _grounds(frames, tolerance)
    else:
        if len(colour) != 3 or not all(0 <= c <= 255 for c in colour):
            raise ValueError(f"colour must be three numbers 0-255, not {colour}")
        _check_flat(_border(frames).astype(np.float32), np.float32(colour), tolerance)
        grounds = [colour] * len(frames)
    out = np.stack([_key_frame(frame.astype(np.float32), np.float32(ground), tolerance, feather, shadows)
                    for frame, ground in zip(frames, grounds, strict=True)])  # fmt: skip
    out = _steady(out, frames, tolerance / 3)
    if not out[..., 3].any():
        raise BackgroundError(
            f"nothing is left of the clip: every pixel reached from the border lies within "
            f"{tolerance:g} of the background {tuple(grounds[0])}; lower the tolerance"
        )
    return out


def _grounds(frames: np.ndarray, tolerance: float) -> list[tuple[int, int, int]]:
    """The background's colour in each frame: one for all, which is steadier, unless it changes."""
    try:
        each = [background_colour(frame[None], tolerance) for frame in frames]
    except BackgroundError:  # a frame whose border the sticker covers
        each = []
    if not each or np.ptp(np.array(each), axis=0).max() < _CHANGES:
        return [background_colour(frames, tolerance)] * len(frames)
    return each


def _border(frames: np.ndarray) -> np.ndarray:
    """The outermost pixels of all frames, `(N, 3)`."""
    sides = (frames[:, 0], frames[:, -1], frames[:, 1:-1, 0], frames[:, 1:-1, -1])
    return np.concatenate([side.reshape(-1, 3) for side in sides])


def _check_flat(border: np.ndarray, colour: np.ndarray, tolerance: float) -> None:
    distance = np.linalg.norm(border - colour, axis=1)
    share = (distance <= tolerance).mean()
    if share < _BORDER_SHARE:
        shown = tuple(int(c) for c in colour)
        raise BackgroundError(
            f"the background is not flat: {share:.0%} of the border lies within {tolerance:g} of {shown}, and "
            f"{_BORDER_SHARE:.0%} must; half of it lies within {np.median(distance):.0f} and nine tenths within "
            f"{np.quantile(distance, 0.9):.0f}. Ask for a plain background, or give its colour or more tolerance"
        )


def _key_frame(frame: np.ndarray, ground: np.ndarray, tolerance: float, feather: int, shadows: bool) -> np.ndarray:
    """One frame, float `(H, W, 3)` to uint8 `(H, W, 4)`."""
    distance = np.linalg.norm(frame - ground, axis=-1)
    outside = _reach_from_border(distance <= tolerance)
    alpha = np.where(outside, 0.0, 1.0).astype(np.float32)
    color = frame.copy()
    if shadows and ground.max() >= 64:  # on a dark ground nothing is darker
        shade, dark = _shadow(frame, outside, ground, tolerance)
        alpha[shade], color[shade] = dark[shade], 0
        outside = outside | shade
    if feather:
        band = np.nonzero(_band(outside, distance, feather, tolerance / 3))
        here = frame[band] - ground
        span = _purest(frame, ground, ~outside, band, feather, tolerance / 2) - ground
        mixed = (here * span).sum(-1) / np.maximum((span**2).sum(-1), 1.0)
        misfit = np.linalg.norm(here - mixed[:, None] * span, axis=-1)
        mixed = (mixed - 0.06) / 0.88  # noise of the purest pixel and of the background must not show
        mixed = np.maximum(mixed, (misfit - tolerance / 2) / tolerance)  # another colour altogether is no mixture
        solid = mixed > alpha[band] * outside[band]  # a shadow's rim is darkened ground, not a trace of the sticker
        share = mixed.clip(0.15, 1)[:, None]
        unmixed = (here / share + ground).clip(0, 255)
        color[band] = np.where(solid[:, None], unmixed, color[band])
        alpha[band] = np.where(solid, mixed.clip(0, 1), alpha[band] * outside[band])
    rgba = np.concatenate([color, alpha[..., None] * 255], axis=-1).round().astype(np.uint8)
    rgba[rgba[..., 3] == 0] = 0
    return rgba


def _shadow(
    frame: np.ndarray, outside: np.ndarray, ground: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where a shadow lies, bool `(H, W)`, and how dark it is, 0 to 1."""
    light = (frame @ ground) / (ground @ ground)
    hue = np.linalg.norm(frame - light[..., None] * ground, axis=-1)
    able = (hue <= tolerance) & (light >= _DARKEST_SHADOW) & (light < 1)
    core = able | outside
    for _ in range(2):  # outlines and their soft edges are as grey as a shadow but thin
        core = np.logical_and.reduce([core, *(_shifted(core, *side) for side in _SIDES)])
    core &= ~outside
    for _ in range(2):
        core = np.logical_or.reduce([core, *(_shifted(core, *side) for side in _SIDES)]) & able & ~outside
    touches = np.logical_or.reduce([_shifted(outside, *side) for side in _SIDES])
    core = _join(core, core & touches)
    near = core
    for _ in range(2):
        near = np.logical_or.reduce([near, *(_shifted(near, *side) for side in _SIDES)])
    shade = core | (near & outside)
    weight = shade.astype(np.float32)
    dark = sum(_shifted(weight * (1 - light), dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    count = sum(_shifted(weight, dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    dark = (dark / np.maximum(count, 1)).clip(0, 1)
    return shade & (dark > 0.02), dark


def _reach_from_border(open_: np.ndarray) -> np.ndarray:
    """The pixels of `open_` `(H, W)` that four-neighbour steps within it join to the border."""
    start = np.zeros_like(open_)
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        start[edge] = open_[edge]
    return _join(open_, start)


def _join(open_: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """The pixels of `open_` `(H, W)` that four-neighbour steps within it join to those in `reached`.

    Whole runs of a row or column are filled at a time, in turns until nothing is added.
    """
    count = -1
    while reached.sum() != count:
        count = reached.sum()
        reached = _fill_runs(open_, reached)
        reached = _fill_runs(open_.T, reached.T).T
    return reached


def _fill_runs(open_: np.ndarray, reached: np.ndarray) -> np.ndarray:
    breaks = ~open_
    breaks[:, 0] = True  # a run does not go on in the next row
    run = np.cumsum(breaks.ravel())
    # A break that is itself open begins a run; one that is closed has the open pixels after it in its run.
    hit = np.bincount(run[reached.ravel()], minlength=run[-1] + 1) > 0
    return open_ & hit[run].reshape(open_.shape)


def _shifted(values: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """`out[y, x] = values[y + dy, x + dx]` for steps of -1, 0 or 1; beyond the edge the value at the edge."""
    height, width = values.shape
    return np.pad(values, 1, mode="edge")[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]


def _band(outside: np.ndarray, distance: np.ndarray, feather: int, slack: float) -> np.ndarray:
    """Pixels that may be mixtures: up to `feather` steps inwards while the background's colour fades, and one outwards.

    Where the colour comes nearer to the background's again (a white face behind a thin outline), the band ends.
    """
    front, inside = outside, np.zeros_like(outside)
    for _ in range(feather):
        fresh = np.zeros_like(outside)
        for dy, dx in _SIDES:
            fresh |= _shifted(front, dy, dx) & (distance >= _shifted(distance, dy, dx) - slack)
        front = fresh & ~outside & ~inside
        inside |= front
    rim = np.zeros_like(outside)
    for dy, dx in _SIDES:
        rim |= _shifted(~outside, dy, dx)
    return inside | (rim & outside)


def _purest(
    frame: np.ndarray,
    ground: np.ndarray,
    inside: np.ndarray,
    where: tuple[np.ndarray, np.ndarray],
    radius: int,
    slack: float,
) -> np.ndarray:
    """For each pixel `where` the foreground colour that it is most likely a mixture of, `(N, 3)`.

    Of the colours inside within `radius` whose line to the background passes the pixel's within `slack` of the nearest
    such line, the one farthest from the background: an outline's and not its soft edge's.
    """
    height, width = inside.shape
    here = frame[where] - ground
    steps = [(dy, dx) for dy in range(-radius, radius + 1) for dx in range(-radius, radius + 1)]
    misfit = np.full((len(steps), len(here)), np.inf, np.float32)
    length = np.zeros_like(misfit)
    for index, (dy, dx) in enumerate(steps):
        row, column = (where[0] + dy).clip(0, height - 1), (where[1] + dx).clip(0, width - 1)
        span = frame[row, column] - ground
        length[index] = np.linalg.norm(span, axis=-1)
        share = ((here * span).sum(-1) / np.maximum(length[index] ** 2, 1.0)).clip(0, 1)
        off = np.linalg.norm(here - share[:, None] * span, axis=-1)
        misfit[index] = np.where(inside[row, column], off, np.inf)
    best = np.where(misfit <= misfit.min(0) + slack, length, -1.0).argmax(0)
    dy, dx = np.array(steps)[best].T
    return frame[(where[0] + dy).clip(0, height - 1), (where[1] + dx).clip(0, width - 1)]


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
