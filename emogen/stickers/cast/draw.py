"""`draw`: from a spec to the frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emogen.emotion import EmotionState
from emogen.stickers.cast.acting import act
from emogen.stickers.cast.face import SOUND, Flaws
from emogen.stickers.cast.spec import CastSpec
from emogen.stickers.cast.stage import Look, Stage


def draw(
    spec: CastSpec,
    num_frames: int = 13,
    size: int = 128,
    fps: int = 12,
    states: Sequence[EmotionState] | None = None,
) -> np.ndarray:
    """Draw one clip.

    Args:
        spec: what to draw.
        num_frames: frames; every movement repeats after a second, so `fps + 1` frames end where they began.
        size: height and width in pixels, at least 16.
        fps: frames a second.
        states: what is felt in each frame, in place of the spec's emotion and intensity.

    Returns:
        uint8 `(num_frames, size, size, 3)`, or 4 with alpha for the background "none".

    Raises:
        ValueError: not one state a frame, or an intensity outside 0..1.
    """
    return draw_with(SOUND, spec, num_frames, size, fps, states)


def draw_with(
    flaws: Flaws,
    spec: CastSpec,
    num_frames: int,
    size: int,
    fps: int,
    states: Sequence[EmotionState] | None = None,
) -> np.ndarray:
    """`draw`, of a face that may be wrong on purpose (see `broken.py`)."""
    if num_frames < 1 or size < 16 or fps < 1:
        raise ValueError(f"num_frames {num_frames}, size {size}, fps {fps}: at least 1, 16 and 1")
    states = spec.states(num_frames) if states is None else list(states)
    if len(states) != num_frames:
        raise ValueError(f"{len(states)} states for {num_frames} frames; give one for each")
    look = Look.of(spec.seed)
    ticks = np.arange(num_frames) % fps
    moments = act(states, (ticks / fps + look.phase) % 1.0, look.blink_at)
    frames: dict[tuple[int, EmotionState], np.ndarray] = {}
    for tick, state, moment in zip(ticks, states, moments, strict=True):
        if (tick, state) not in frames:
            frames[tick, state] = Stage(spec, look, moment, (tick / fps + look.phase) % 1.0, flaws).picture(size)
    return np.stack([frames[tick, state] for tick, state in zip(ticks, states, strict=True)])
