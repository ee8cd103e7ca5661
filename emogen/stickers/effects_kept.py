"""What stands beside the sticker's body: steam, sparkles and rays that belong to it, and specks that do not.

Parts are followed through the clip. A part is an effect if it lives for more than one frame, is large enough to be seen
and differs from the background for certain; everything else is a speck and goes. An effect is soft: its colour is that
of its clearest pixels, and every pixel is a mixture of it and the background. Without effects only the body stays: what
is thick enough in each frame, and what is near to that, so rays that touch it go too, and so does a very thin antenna.
"""

from __future__ import annotations

import numpy as np

from emogen.stickers.regions import grown, join, label

_SIDE_A_STEP = 48  # pixels of the shorter side for each pixel that counts as thin
_DISTINCT = 3.0  # of the tolerance
_SEEN = 64  # of 255: less alpha is an edge or a shadow
_BODY = 0.2  # of the largest part's volume: so much is a second body, not an effect
_LEAST_AREA = 0.0006  # of a frame, of an effect in its fullest frame
_CLEAR = 1.35  # of the tolerance: how far an effect's clearest pixels lie from the background
_CLEAREST = 85  # percentile of the distance, from which pixels give an effect its colour


def keep_parts(
    rgba: np.ndarray, frames: np.ndarray, grounds: np.ndarray, shade: np.ndarray, tolerance: float, effects: bool
) -> np.ndarray:
    """Take specks away, and with `effects` False everything that is not joined to a body.

    Args:
        rgba: the clip cut out, uint8 `(F, H, W, 4)`. frames, grounds: it and its background, `(F, H, W, 3)`.
        shade: where shadows lie, bool `(F, H, W)`.

    Returns:
        uint8 `(F, H, W, 4)`.
    """
    solid = (rgba[..., 3] >= _SEEN) & ~shade
    if not solid.any():
        return rgba
    if not effects:
        distance = np.linalg.norm(frames.astype(np.float32) - grounds, axis=-1)
        kept, out = _bodies(solid, distance >= _DISTINCT * tolerance), rgba.copy()
    else:
        kept, out = _with_effects(rgba, frames, grounds, solid, tolerance)
    near = grown(kept, 2) & ~(solid & ~kept)
    near |= shade & ~grown(solid & ~kept, 2)
    out[~near] = 0
    for _ in range(2):
        out[_islands(out[..., 3], flashes=effects)] = 0
    return out


def _bodies(solid: np.ndarray, distinct: np.ndarray) -> np.ndarray:
    """The thick parts of each frame of a mask, and what is joined to them: a few pixels of any colour, as a soft edge,
    and all that is `distinct` from the background, as arms are and rays are not."""
    thin = max(2, round(min(solid.shape[1:]) / _SIDE_A_STEP))
    thick = ~grown(~solid, thin)
    out = np.zeros_like(solid)
    for index, frame in enumerate(solid):
        core = _large(thick[index] if thick[index].any() else frame)
        near = grown(core, thin + 1) & frame
        out[index] = _large(join(near | (distinct[index] & frame), core))
    return out


def _large(mask: np.ndarray) -> np.ndarray:
    """The parts of a picture's mask `(H, W)` that are bodies by their area."""
    parts = label(mask[None])[0]
    area = np.bincount(parts.ravel())
    area[0] = 0
    return (area >= _BODY * max(area.max(), 1))[parts] & mask


def _with_effects(
    rgba: np.ndarray, frames: np.ndarray, grounds: np.ndarray, solid: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where bodies and effects are, and the clip with soft effects."""
    parts = label(solid)
    volume = np.bincount(parts.ravel())
    volume[0] = 0
    bodies = volume >= _BODY * volume.max()
    kept, out = bodies.copy(), rgba.copy()
    distance = np.linalg.norm(frames.astype(np.float32) - grounds, axis=-1)
    order = np.argsort(parts, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(parts.ravel()))
    for number in np.nonzero(~bodies & (volume > 0))[0]:
        where = np.unravel_index(order[ends[number - 1] : ends[number]], parts.shape)
        kept[number] = _is_effect(where, parts.shape, distance[where], tolerance)
        if kept[number]:
            _soften(out, frames, grounds, where, distance[where], tolerance)
    return kept[parts], out


def _islands(alpha: np.ndarray, flashes: bool) -> np.ndarray:
    """Parts of each frame beside the bodies; with `flashes` only those that no neighbouring frame shows."""
    seen = alpha >= 128
    out = np.zeros_like(seen)
    for index, frame in enumerate(seen):
        parts = label(frame[None])[0]
        area = np.bincount(parts.ravel())
        area[0] = 0
        lone = (area > 0) & (area < _BODY * area.max())
        neighbours = [seen[other] for other in (index - 1, index + 1) if 0 <= other < len(seen)]
        for other in neighbours if flashes else ():
            lone[np.unique(parts[other])] = False
        if neighbours or not flashes:
            lonely = lone[parts] & frame
            out[index] = grown(lonely, 2) & ~grown(frame & ~lonely, 1)
    return out


def _is_effect(where: tuple, shape: tuple[int, ...], distance: np.ndarray, tolerance: float) -> bool:
    areas = np.bincount(where[0], minlength=shape[0])
    lives = (areas > 0).sum() > 1 or shape[0] < 3
    return bool(
        lives
        and areas.max() >= max(3, _LEAST_AREA * shape[1] * shape[2])
        and np.percentile(distance, _CLEAREST) >= _CLEAR * tolerance
    )


def _soften(
    out: np.ndarray, frames: np.ndarray, grounds: np.ndarray, where: tuple, distance: np.ndarray, tolerance: float
) -> None:
    """Alpha and colour of an effect's pixels, as mixtures of its own colours and the background."""
    here, below = frames[where].astype(np.float32), grounds[where]
    pure = distance >= np.percentile(distance, _CLEAREST)
    light = here[pure].mean(1)
    colours = [here[pure][half].mean(0) for half in (light >= np.median(light), light < np.median(light)) if half.any()]
    best, chosen = np.zeros(len(here), np.float32), np.zeros_like(here)
    misfit = np.full(len(here), np.inf, np.float32)
    for colour in colours:  # a bright middle and a dark rim
        span = colour - below
        share = ((here - below) * span).sum(-1) / np.maximum((span**2).sum(-1), 1.0)
        off = np.linalg.norm(here - below - share.clip(0, 1)[:, None] * span, axis=-1)
        better = off < misfit
        best[better], misfit[better], chosen[better] = share[better], off[better], colour
    own = misfit > tolerance  # a colour of its own: no mixture
    alpha = np.where(own, 1.0, best).clip(0, 1)
    out[where] = np.concatenate([np.where(own[:, None], here, chosen), 255 * alpha[:, None]], axis=-1).round()
    out[tuple(axis[alpha == 0] for axis in where)] = 0
