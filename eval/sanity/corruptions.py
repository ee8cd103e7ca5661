"""What is done to clips: blur, noise, frames out of order, frames that stand still. More of it is always worse."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from emogen.eval.benchmark.config import EvalConfigError


@dataclass(frozen=True)
class Corruption:
    """A way to spoil a clip.

    Attributes:
        strengths: the usual ones, rising; 0 is the clip as it is. unit: of a strength.
        largest: the largest strength there can be.
        apply: clip uint8 `[F, H, W, 3]`, strength above 0 and generator -> clip of the same shape.
    """

    strengths: tuple[float, ...]
    unit: str
    largest: float
    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def _blur(clip: np.ndarray, radius: float, random: np.random.Generator) -> np.ndarray:
    """Pillow's Gaussian blur, whose radius is the standard deviation, of every frame by itself."""
    return np.stack([np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius))) for frame in clip])


def _noise(clip: np.ndarray, sigma: float, random: np.random.Generator) -> np.ndarray:
    """The same noise for every strength, scaled; rounded and cut to 0..255."""
    noise = random.standard_normal(clip.shape, np.float32)
    return np.clip(np.rint(clip + sigma * noise), 0, 255).astype(np.uint8)


def _shuffle(clip: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """That share of the frames, at least two, change places in one cycle, so that none of them stays."""
    chosen = random.permutation(len(clip))[: max(2, round(share * len(clip)))]
    spoilt = clip.copy()
    spoilt[chosen] = clip[np.roll(chosen, 1)]
    return spoilt


def _freeze(clip: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """That share of the frames after the first, at least one, show again what was shown before them."""
    moving = len(clip) - 1
    held = 1 + random.permutation(moving)[: max(1, round(share * moving))]
    source = np.arange(len(clip))
    source[held] = 0
    return clip[np.maximum.accumulate(source)]


CORRUPTIONS: dict[str, Corruption] = {
    "blur": Corruption((1, 2, 4, 8), "radius, pixels", math.inf, _blur),
    "noise": Corruption((5, 10, 20, 40), "sigma, levels of 255", math.inf, _noise),
    "shuffle": Corruption((0.25, 0.5, 0.75, 1), "share of frames", 1, _shuffle),
    "freeze": Corruption((0.25, 0.5, 0.75, 1), "share of frames", 1, _freeze),
}


def corrupt(clip: np.ndarray, name: str, strength: float, seed: Sequence[int] = (0,)) -> np.ndarray:
    """A clip made worse.

    What a weaker corruption touches a stronger one of the same seed touches too: the frames chosen for a share are
    among those of a larger share, and noise is the same field, scaled.

    Args:
        clip: uint8 `[F, H, W, 3]`, F >= 2. name: of `CORRUPTIONS`.
        strength: 0 gives the clip back, bit for bit.
        seed: whole numbers from 0; each corruption draws from its own stream.

    Raises:
        ValueError: no such corruption, not a clip, or a strength out of range.
    """
    check_strength(name, strength)
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or len(clip) < 2:
        raise ValueError(f"a clip must be uint8 [F, H, W, 3] with 2 frames and more, not {clip.dtype} "
                         f"{list(clip.shape)}")  # fmt: skip
    if strength == 0:
        return clip
    return CORRUPTIONS[name].apply(clip, strength, np.random.default_rng([*seed, list(CORRUPTIONS).index(name)]))


def check_strength(name: str, strength: float) -> None:
    """A ValueError for an unknown corruption, or a strength that is none of its."""
    if name not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {name!r}; known are {', '.join(CORRUPTIONS)}")
    largest = CORRUPTIONS[name].largest
    if not (0 <= strength <= largest and math.isfinite(strength)):
        raise ValueError(f"{name}: a strength must be finite and from 0" + (f" to {largest:g}" if largest < 9 else "")
                         + f", not {strength:g}")  # fmt: skip


def check_strengths(strengths: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    """The strengths of every corruption, the usual ones where none are given.

    Raises:
        EvalConfigError: one is out of range, or they do not rise from above 0; names the corruption.
    """
    found = {name: corruption.strengths for name, corruption in CORRUPTIONS.items()}
    for name, given in strengths.items():
        try:
            for strength in given:
                check_strength(name, strength)
        except ValueError as error:
            raise EvalConfigError(str(error)) from error
        if len(given) < 2 or any(b <= a for a, b in zip((0, *given), given, strict=False)):
            shown = ", ".join(f"{strength:g}" for strength in given)
            raise EvalConfigError(f"{name}: strengths must be two or more, rising, above 0, not {shown or 'none'}")
        found[name] = tuple(given)
    return found
