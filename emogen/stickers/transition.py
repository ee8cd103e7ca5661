"""Faces that change: from one expression to another within a clip.

Image-to-video models learn an emotion from these alone. In a clip that shows one emotion from its first frame on, that
frame tells the emotion, and the condition would have nothing to say.
"""

from __future__ import annotations

import numpy as np

from emogen.stickers.fluent import FluentEmoji, read_frames

State = tuple[str, float]


def progress(num_frames: int, hold: int, ramp: int) -> np.ndarray:
    """How far each frame is from the first expression (0) to the last (1): `hold` frames of the first, then a smooth
    change over `ramp` frames, then the last.

    Raises:
        ValueError: the change does not fit, or there is no frame before it.
    """
    if hold < 1 or ramp < 1 or hold + ramp > num_frames:
        raise ValueError(f"{hold} frames to hold and {ramp} to change do not fit into {num_frames}")
    t = np.clip((np.arange(num_frames) - hold + 1) / ramp, 0, 1)
    return t * t * (3 - 2 * t)


def transition_states(first: State, last: State, num_frames: int = 13, hold: int = 1, ramp: int = 4) -> list[State]:
    """Emotion and intensity of each frame, for `render(states=...)`: by way of neutral from one to the other.

    Args:
        first, last: emotion ("neutral" or one of the eight) and intensity in [0, 1].
        num_frames, hold, ramp: frames in all, before the change and of the change.
    """
    share = progress(num_frames, hold, ramp)
    if "neutral" in (first[0], last[0]) or first[0] == last[0]:
        name = last[0] if last[0] != "neutral" else first[0]
        start, end = (0.0 if state[0] == "neutral" else state[1] for state in (first, last))
        return [(name, round(float(start + (end - start) * x), 3)) for x in share]
    falling = [(first[0], round(float(first[1] * (1 - 2 * x)), 3)) for x in share]
    rising = [(last[0], round(float(last[1] * (2 * x - 1)), 3)) for x in share]
    return [down if x < 0.5 else up for down, up, x in zip(falling, rising, share, strict=True)]


def read_transition(
    first: FluentEmoji,
    last: FluentEmoji,
    size: int = 96,
    num_frames: int = 13,
    hold: int = 1,
    ramp: int = 4,
    shift: int = 0,
) -> np.ndarray:
    """Two emoji that share a body (all round faces do), the features of one dissolving into the other's.

    Returns:
        uint8 `(num_frames, size, size, 4)`, RGBA.

    Raises:
        BrokenEmojiError: one of them cannot be read.
    """
    before, after = (read_frames(emoji, size, num_frames, stride=2, shift=shift) for emoji in (first, last))
    share = progress(num_frames, hold, ramp)[:, None, None, None]
    # Colours weigh by their alpha: what one of them leaves transparent has no colour to give.
    weights = before[..., 3:] / 255 * (1 - share), after[..., 3:] / 255 * share
    alpha = weights[0] + weights[1]
    color = (before[..., :3] * weights[0] + after[..., :3] * weights[1]) / np.maximum(alpha, 1e-6)
    return np.concatenate([color, alpha * 255], axis=-1).round().clip(0, 255).astype(np.uint8)
