"""Reading clips for measuring: whole or not at all, with the reason, and stacked by shape."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emogen.media.reader import read_video


def read_clip(path: Path, least_frames: int = 2) -> np.ndarray:
    """uint8 `[F, H, W, 3]`.

    Raises:
        ValueError: the file is missing, unreadable or too short; the message says which.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frames, _ = read_video(path)
        except FileNotFoundError as error:
            raise ValueError("no such file") from error
        except (OSError, ValueError) as error:
            raise ValueError(f"unreadable ({error})") from error
    if len(frames) < least_frames:
        raise ValueError(f"has {len(frames)} frame{'s' * (len(frames) > 1)}, {least_frames} are needed")
    return frames


def stacked_by_shape(clips: Sequence[np.ndarray]) -> list[tuple[np.ndarray, list[int]]]:
    """Stacks `[B, F, H, W, 3]` of equal shape, and which of the clips each holds."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, clip in enumerate(clips):
        shapes.setdefault(clip.shape, []).append(index)
    return [(np.stack([clips[index] for index in members]), members) for members in shapes.values()]
