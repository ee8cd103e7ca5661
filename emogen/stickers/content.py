"""What a sticker shows, in words, and which split it belongs to.

Captions describe content only; the words for an emotion are added apart, by whoever wants them. A *character* is a
(shape, colour) pair: test characters appear in no training clip at all, and of the other characters whole
(shape, colour, background) combinations belong either to training or to the judge.
"""

from __future__ import annotations

import numpy as np

from emogen.files import fingerprint_bytes
from emogen.stickers.palette import ACCESSORIES, BACKGROUNDS, BODY_COLORS
from emogen.stickers.render import StickerSpec
from emogen.stickers.shapes import SHAPES

TEST_CHARACTERS = 0.12
JUDGE_COMBINATIONS = 0.25
STYLE = "a flat sticker of"
SPLITS = ("train", "judge", "test")


def _share(*parts: str) -> float:
    """A stable pseudo-random number in [0, 1) for a name, the same on every machine."""
    return int(fingerprint_bytes("|".join(parts).encode())[:12], 16) / 2**48


def split_of(shape: str, color: str, background: str) -> str:
    """The split ("train", "judge" or "test") of a content combination."""
    if _share("character", shape, color) < TEST_CHARACTERS:
        return "test"
    return "judge" if _share("combination", shape, color, background) < JUDGE_COMBINATIONS else "train"


def combinations(split: str) -> list[tuple[str, str, str]]:
    """All (shape, color, background) of a split; a body never stands on a background of its own colour."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    return [
        (shape, color, background)
        for shape in SHAPES
        for color in BODY_COLORS
        for background in BACKGROUNDS
        if color != background and split_of(shape, color, background) == split
    ]


def sample_spec(rng: np.random.Generator, split: str, emotion: str, full_strength: float = 0.65) -> StickerSpec:
    """A random sticker of a split: intensity 1 with probability `full_strength`, else uniform in [0.3, 1]."""
    options = combinations(split)
    shape, color, background = options[rng.integers(len(options))]
    accessory = "none" if rng.random() < 0.5 else list(ACCESSORIES)[1 + rng.integers(len(ACCESSORIES) - 1)]
    intensity = 1.0 if rng.random() < full_strength else round(float(rng.uniform(0.3, 1.0)), 2)
    return StickerSpec(shape, color, background, accessory, emotion, intensity, int(rng.integers(2**31)))


def caption(spec: StickerSpec, rng: np.random.Generator | None = None) -> str:
    """The content of a sticker in words, without its emotion.

    With `rng` the style and the background are each left out sometimes, as people do; without it nothing is.
    """
    keep = (lambda p: True) if rng is None else (lambda p: rng.random() < p)
    words = [STYLE] if keep(0.6) else []
    words.append(f"a {SHAPES[spec.shape].adjective} {spec.color} face")
    if ACCESSORIES[spec.accessory]:
        words.append(ACCESSORIES[spec.accessory])
    if keep(0.8):
        words.append(f"on a {spec.background} background")
    return " ".join(words)
