"""Connected parts of masks over pictures and clips, and their neighbourhoods, in NumPy alone."""

from __future__ import annotations

import numpy as np

SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))


def label(mask: np.ndarray) -> np.ndarray:
    """Number the connected parts of a mask bool `(F, H, W)`, from 1; 0 is outside.

    Pixels are joined to the eight around them, and to the same place in the frames before and after.
    """
    mask = np.asarray(mask, bool)
    begins = mask.copy()
    begins[..., 1:] &= ~mask[..., :-1]
    runs = np.cumsum(begins.ravel()).reshape(mask.shape) * mask  # a run is joined in its row already
    if not runs.any():
        return runs
    pairs = [_pairs(runs[1:], runs[:-1])] + [
        _pairs(
            runs[:, 1:, max(0, dx) : runs.shape[2] + min(0, dx)], runs[:, :-1, max(0, -dx) : runs.shape[2] - max(0, dx)]
        )
        for dx in (-1, 0, 1)
    ]
    parent = _joined(int(runs.max()), np.concatenate(pairs))
    _, names = np.unique(parent[1:], return_inverse=True)
    return np.concatenate([[0], names + 1])[runs]


def _pairs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pairs `[n, 2]` of runs that lie beside each other."""
    both = (one > 0) & (other > 0)
    again = np.zeros_like(both)
    again[..., 1:] = both[..., :-1] & (one[..., 1:] == one[..., :-1]) & (other[..., 1:] == other[..., :-1])
    new = both & ~again  # of every two runs that meet in a row, the first pixel
    return np.stack([one[new], other[new]], axis=1)


def _joined(count: int, pairs: np.ndarray) -> np.ndarray:
    """For each of 0..count the smallest number that pairs join it to."""
    parent = np.arange(count + 1)
    while True:
        ends = parent[pairs]
        low, high = ends.min(1), ends.max(1)
        if (low == high).all():
            return parent
        np.minimum.at(parent, high, low)
        while (parent[parent] != parent).any():
            parent = parent[parent]


def reach_from_border(open_: np.ndarray) -> np.ndarray:
    """The pixels of `open_` `(H, W)` that four-neighbour steps within it join to the border."""
    start = np.zeros_like(open_)
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        start[edge] = open_[edge]
    return join(open_, start)


def join(open_: np.ndarray, reached: np.ndarray) -> np.ndarray:
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


def shifted(values: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """`out[y, x] = values[y + dy, x + dx]` for steps of -1, 0 or 1; beyond the edge the value at the edge."""
    height, width = values.shape
    return np.pad(values, 1, mode="edge")[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]


def grown(mask: np.ndarray, steps: int = 1) -> np.ndarray:
    """A mask `(..., H, W)` that has grown by whole pixels, diagonals included."""
    out = np.asarray(mask, bool)
    for _ in range(steps):
        for axis in (-2, -1):
            before, after = (np.swapaxes(np.zeros_like(out), axis, -1) for _ in range(2))
            lines = np.swapaxes(out, axis, -1)
            before[..., 1:], after[..., :-1] = lines[..., :-1], lines[..., 1:]
            out = np.swapaxes(lines | before | after, axis, -1)
    return out
