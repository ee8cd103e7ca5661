"""Who is seen by whom: which content trains which model, and what none has seen.

A content is a (character, colour, style). Four characters, `UNSEEN`, are kept from the emotion stage and from the
judges altogether: whether an emotion carries over to somebody new is the question they answer, and so they are as
unlike each other as the cast allows: an animal with ears and a tail, a thing whose face sits on an odd outline, a
floating being without feet, and a plain silhouette. The base model meets them with neutral faces only, for it must
know what the word "fox" looks like. Of the others, whole contents are tests that nobody has seen, whole contents are
the judges' own, so that a judge cannot recognise a training picture, and the rest trains.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emogen.emotion import MIKELS
from emogen.files import fingerprint_bytes
from emogen.stickers.cast.accessories import ACCESSORIES
from emogen.stickers.cast.backgrounds import PLACES, PLAIN
from emogen.stickers.cast.colors import COLORS
from emogen.stickers.cast.roster import CHARACTERS
from emogen.stickers.cast.spec import CastSpec
from emogen.stickers.cast.styles import STYLES

UNSEEN: tuple[str, ...] = ("fox", "cupcake", "ghost", "drop")
TEST_SHARE = 0.10
JUDGE_SHARE = 0.25
SPLITS: tuple[str, ...] = ("train", "judge", "test", "unseen")
READERS: tuple[str, ...] = ("base", "emotion", "judge")
NATURAL = 0.4
"""How often a random character has one of its natural colours on purpose."""
PLACE = 0.25
"""How often a random background is a place rather than a plain colour."""


def _share(*parts: str) -> float:
    """A stable pseudo-random number in [0, 1) for a name, the same on every machine."""
    return int(fingerprint_bytes("|".join(parts).encode())[:12], 16) / 2**48


def split_of(character: str, color: str, style: str) -> str:
    """The split of a content: "train", "judge", "test" or "unseen"."""
    if character in UNSEEN:
        return "unseen"
    share = _share("cast", character, color, style)
    return "test" if share < TEST_SHARE else "judge" if share < TEST_SHARE + JUDGE_SHARE else "train"


def may_see(reader: str, spec: CastSpec) -> bool:
    """Whether a model may be trained on a clip.

    Args:
        reader: "base" (autoencoder, text and base model), "emotion" (adapter and LoRA) or "judge" (every reader of
            clips: of emotion, of content, of form).

    Raises:
        ValueError: an unknown reader.
    """
    split = split_of(spec.character, spec.color, spec.style)
    if reader == "judge":
        return split == "judge"
    if reader == "emotion":
        return split == "train"
    if reader == "base":
        return split == "train" or (split == "unseen" and spec.emotion == "neutral")
    raise ValueError(f"reader {reader!r} is not one of {', '.join(READERS)}")


@lru_cache(maxsize=8)
def combinations(split: str) -> tuple[tuple[str, str, str], ...]:
    """All (character, color, style) of a split."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    return tuple(
        (character, color, style)
        for character in CHARACTERS
        for color in COLORS
        for style in STYLES
        if split_of(character, color, style) == split
    )


@lru_cache(maxsize=8)
def _by_character(split: str) -> dict[str, tuple[tuple[str, str], ...]]:
    contents: dict[str, list[tuple[str, str]]] = {}
    for character, color, style in combinations(split):
        contents.setdefault(character, []).append((color, style))
    return {name: tuple(pairs) for name, pairs in contents.items()}


def random_spec(
    rng: np.random.Generator,
    split: str = "train",
    emotion: str | None = None,
    *,
    full_strength: float = 0.65,
    transparent: bool = False,
) -> CastSpec:
    """A random clip of a split, every character as often as every other.

    Args:
        rng: decides everything but what is given.
        split: one of `SPLITS`.
        emotion: what it shows; None takes neutral and the eight equally often.
        full_strength: the share at intensity 1; the others are uniform in [0.3, 1].
        transparent: without a background.
    """
    contents = _by_character(split) if split in SPLITS else combinations(split)
    character = str(rng.choice(list(contents)))
    options = contents[character]
    natural = [pair for pair in options if pair[0] in CHARACTERS[character].colors]
    if natural and rng.random() < NATURAL:
        options = natural
    color, style = options[int(rng.integers(len(options)))]
    if transparent:
        background = "none"
    elif rng.random() < PLACE:
        background = str(rng.choice(list(PLACES)))
    else:
        background = str(rng.choice([name for name in PLAIN if name != color]))
    accessory = "none" if rng.random() < 0.5 else str(rng.choice(list(ACCESSORIES)[1:]))
    if emotion is None:
        emotion = str(rng.choice(["neutral", *MIKELS]))
    intensity = 1.0 if rng.random() < full_strength else round(float(rng.uniform(0.3, 1.0)), 2)
    return CastSpec(character, color, style, background, accessory, emotion, intensity, int(rng.integers(2**31)))
