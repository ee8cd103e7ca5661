"""What a character does in each frame: poses, tints and effects of states that may blend and change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emogen.emotion import MIKELS, EmotionState
from emogen.stickers.cast.emotions import EFFECTS, LOOPS, TINTS
from emogen.stickers.cast.pose import FIELDS, INDEX, Pose

SECOND_FROM = 0.25
"""The share from which a second emotion has half of the face; below, it only moves the blend."""

EYES_FIRST = ("excitement", "awe", "fear", "anger", "contentment", "sadness", "amusement", "disgust")
"""Of two emotions the one that comes first here has the eyes, the other the mouth: a face that feels two things shows
the upper face of one and the lower face of the other (Du, Tao and Martinez, "Compound facial expressions of emotion",
PNAS 2014), because what lies midway between two faces reads as neither."""

_UPPER = slice(INDEX["eye_w"], INDEX["brow_skew"] + 1)
_LOWER = slice(INDEX["mouth_w"], INDEX["tongue_out"] + 1)


@dataclass(frozen=True)
class Moment:
    """What one frame shows: a pose, the colours the skin takes (sRGB, amount), effects by strength (0..1)."""

    pose: Pose
    tints: tuple[tuple[int, int, int, float], ...]
    effects: dict[str, float]


def act(states: Sequence[EmotionState], times: np.ndarray, blink_at: float | None = None) -> list[Moment]:
    """The moments of a clip.

    Args:
        states: what is felt in each frame, at intensities in [0, 1].
        times: seconds of each frame; everything repeats after one.
        blink_at: fraction of the second at which open, calm eyes blink.

    Raises:
        ValueError: an intensity outside [0, 1], which has no drawing.
    """
    felt = {name for state in states for name, share in zip(MIKELS, state.distribution, strict=True) if share}
    loops = {name: LOOPS[name](times) for name in felt}
    rest = LOOPS["neutral"](times)
    moments = []
    for index, (state, t) in enumerate(zip(states, times, strict=True)):
        if not 0 <= state.intensity <= 1:
            raise ValueError(f"an intensity of {state.intensity:g} cannot be drawn; it must lie between 0 and 1")
        shares = {name: share for name, share in zip(MIKELS, state.distribution, strict=True) if share}
        here = {name: loops[name][index] for name in shares}
        pose = _compound(rest[index], here, shares)
        pose = rest[index] + (pose - rest[index]) * state.intensity
        if blink_at is not None:
            _blink(pose, (t - blink_at) % 1.0)
        weights = {name: share * state.intensity for name, share in shares.items()}
        tints = tuple(
            (*TINTS[n][:3], TINTS[n][3] * w * here[n][INDEX["tint"]]) for n, w in weights.items() if n in TINTS
        )
        main = {n: w for n, w in weights.items() if shares[n] >= SECOND_FROM}
        effects = {EFFECTS[n]: min(1.0, w * (2 if len(main) > 1 else 1)) for n, w in main.items()}
        moments.append(Moment(Pose(*map(float, pose)), tints, effects))
    return moments


def _compound(rest: np.ndarray, here: dict[str, np.ndarray], shares: dict[str, float]) -> np.ndarray:
    """The pose of several emotions at full strength."""
    if not shares:
        return rest
    pose = sum(share * here[name] for name, share in shares.items())
    most = sorted(shares, key=lambda name: -shares[name])[:2]
    if len(most) == 2 and shares[most[1]] >= SECOND_FROM:
        above, below = sorted(most, key=EYES_FIRST.index)
        for owner, part in ((above, _UPPER), (below, _LOWER)):  # each has its half at up to twice its share
            pose[part] = rest[part] + (here[owner][part] - rest[part]) * min(1.0, 2 * shares[owner])
    return pose


def _blink(pose: np.ndarray, since: float) -> None:
    """Shut open eyes for a moment, the less the more they express already."""
    near = max(0.0, 1 - abs(since if since < 0.5 else since - 1) * 9)
    calm = (
        max(0.0, 1 - 8 * abs(pose[INDEX["eye_h"]] - 0.19))
        * (1 - pose[INDEX["starry"]])
        * (1 - pose[INDEX["shut"]])
        * max(0.0, 1 - 8 * pose[INDEX["lid"]])
    )
    shut = near * calm
    if shut > 0:
        pose[INDEX["arc"]] += (-0.3 - pose[INDEX["arc"]]) * shut
        pose[INDEX["shut"]] = max(pose[INDEX["shut"]], shut)


assert FIELDS[_UPPER][-1] == "brow_skew" and FIELDS[_LOWER][-1] == "tongue_out"
