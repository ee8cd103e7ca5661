"""Frames as arrays: ranges, transparency, rates and sizes, and clips with few colours."""

from __future__ import annotations

import numpy as np
from PIL import Image


def to_uint8(frames: np.ndarray) -> np.ndarray:
    """Frames in [0, 1], as pipelines give them, as uint8 of the same shape; what lies outside is cut."""
    return (np.asarray(frames, dtype=np.float32).clip(0, 1) * 255).round().astype(np.uint8)


def lay_on(frames: np.ndarray, colour: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """Frames uint8 `(F, H, W, 4)` on a plain sRGB colour, as `(F, H, W, 3)`; opaque frames come back as they are."""
    if frames.shape[-1] == 3:
        return frames
    out = np.empty((*frames.shape[:-1], 3), np.uint8)
    for frame, flat in zip(frames, out, strict=True):  # frame by frame: a long clip as floats is large
        share = frame[..., 3:].astype(np.float32) / 255
        flat[:] = (frame[..., :3] * share + np.float32(colour) * (1 - share)).round()
    return out


def lay_on_checks(frames: np.ndarray, side: int = 8) -> np.ndarray:
    """Frames uint8 `(F, H, W, 4)` on a grey checkerboard, as `(F, H, W, 3)`, so that one sees what is clear; opaque
    frames come back as they are.

    Args:
        side: of a field, in pixels.
    """
    if frames.shape[-1] == 3:
        return frames
    row, column = np.mgrid[0 : frames.shape[1], 0 : frames.shape[2]] // side
    board = np.where((row + column) % 2, 204, 144).astype(np.float32)[..., None]
    share = frames[..., 3:].astype(np.float32) / 255
    return (frames[..., :3] * share + board * (1 - share)).round().astype(np.uint8)


def resample_frames(frames: np.ndarray, src_fps: float, dst_fps: float, num_frames: int | None = None) -> np.ndarray:
    """Bring frames to another rate by taking the nearest in time.

    Args:
        frames: `(F, ...)`.
        num_frames: stop after so many; None gives the whole length.

    Returns:
        `(F', ...)`, the first frame first.

    Raises:
        ValueError: a rate that is not positive.
    """
    if src_fps <= 0 or dst_fps <= 0:
        raise ValueError(f"frame rates must be positive, not {src_fps:g} and {dst_fps:g}")
    count = max(1, round(len(frames) * dst_fps / src_fps))
    rows = np.floor(np.arange(count) * src_fps / dst_fps + 0.5 - 1e-6).astype(int).clip(0, len(frames) - 1)
    return frames[rows[:num_frames]]


def enlarge(frames: np.ndarray, min_side: int) -> np.ndarray:
    """Enlarge frames `(F, H, W, C)` by a whole factor until the shorter side is at least `min_side`; never shrinks.

    Lanczos, for stickers are smooth; a whole factor keeps sizes even.
    """
    factor = -(-min_side // min(frames.shape[1:3]))
    if factor <= 1:
        return frames
    return resize_frames(frames, frames.shape[1] * factor, frames.shape[2] * factor)


def resize_frames(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Frames uint8 `(F, H, W, 3 or 4)` at another size, by Lanczos; colours weighted by alpha."""
    if frames.shape[1:3] == (height, width):
        return frames
    return np.stack([np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.LANCZOS)) for f in frames])


def palettise(frames: np.ndarray, colours: int, partial_alpha: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Draw a clip with at most `colours` colours, without dither (dither moves, and costs bytes).

    Args:
        frames: uint8 `(F, H, W, 3 or 4)`.
        colours: 4 to 256, a fully transparent one included.
        partial_alpha: give up to a quarter of the colours to half-transparent pixels; otherwise alpha below 128 is
            transparent and the rest opaque, which is all that a GIF can say.

    Returns:
        Indices uint8 `(F, H, W)`, and the palette, uint8 `(N, 4)` with N <= `colours`.

    Raises:
        ValueError: fewer than 4 or more than 256 colours.
    """
    if not 4 <= colours <= 256:
        raise ValueError(f"colours must be 4 to 256, not {colours}")
    alpha = frames[..., 3] if frames.shape[-1] == 4 else np.full(frames.shape[:3], 255, np.uint8)
    low, high = (8, 248) if partial_alpha else (128, 128)
    clear, solid = alpha < low, alpha >= high
    edge = ~clear & ~solid
    indices = np.zeros(alpha.shape, np.uint8)
    palette = [np.zeros((int(clear.any()), 4), np.uint8)]
    left = colours - len(palette[0])
    if edge.any():
        few = _divide(np.ascontiguousarray(frames[edge]), max(1, left // 4), Image.Quantize.FASTOCTREE)
        left -= _add(few, edge, indices, palette)
    if solid.any():
        few = _divide(np.ascontiguousarray(frames[solid][:, :3]), left, Image.Quantize.MEDIANCUT)
        _add(few, solid, indices, palette)
    return indices, np.concatenate(palette)


def _divide(pixels: np.ndarray, colours: int, method: Image.Quantize) -> tuple[np.ndarray, np.ndarray]:
    image = Image.fromarray(pixels[None]).quantize(colours, method, dither=Image.Dither.NONE)
    channels = pixels.shape[-1]
    index = np.asarray(image)[0]
    table = np.array(image.getpalette("RGBA" if channels == 4 else "RGB"), np.uint8).reshape(-1, channels)
    used, index = np.unique(index, return_inverse=True)
    table = table[used]
    return index, table if channels == 4 else np.pad(table, ((0, 0), (0, 1)), constant_values=255)


def _add(few: tuple[np.ndarray, np.ndarray], where: np.ndarray, indices: np.ndarray, palette: list) -> int:
    index, table = few
    indices[where] = index + sum(map(len, palette))
    palette.append(table)
    return len(table)


def spread_under(frames: np.ndarray, steps: int = 6) -> np.ndarray:
    """Give transparent pixels of a clip `(F, H, W, 4)` the colours of visible neighbours up to `steps` pixels away.

    Video codecs keep colour at half size, so a black hidden pixel would darken the visible one beside it. Farther
    pixels get the clip's mean visible colour. Alpha does not change.
    """
    out = frames.copy()
    seen = frames[..., 3] > 0
    if not seen.any() or seen.all():
        return out
    mean = frames[seen][:, :3].mean(0).round().astype(np.uint8)
    for frame, known in zip(out, seen, strict=True):
        color = frame[..., :3].astype(np.float32) * known[..., None]
        for _ in range(steps):
            total, weight = (_around(x) for x in (color, known[..., None].astype(np.float32)))
            new = ~known & (weight[..., 0] > 0)
            color[new] = total[new] / weight[new]
            known = known | new
        color[~known] = mean
        hidden = frame[..., 3] == 0
        frame[..., :3][hidden] = color[hidden].round().astype(np.uint8)
    return out


def _around(values: np.ndarray) -> np.ndarray:
    """Sum over each pixel's 3x3 neighbourhood of `(H, W, C)`."""
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
