"""What is drawn: the one place of the recipe that knows the renderer.

Everything drawn is a function of (seed, kind, split, index), so that no clip has to be kept to be had again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from emogen.emotion import MIKELS
from emogen.stickers.cast import CastSpec, caption, draw, named, random_spec
from emogen.stickers.cast.accessories import ACCESSORIES
from emogen.stickers.cast.backgrounds import PLACES, PLAIN
from emogen.stickers.cast.broken import WAYS, broken
from emogen.stickers.cast.colors import COLORS
from emogen.stickers.cast.roster import CHARACTERS
from emogen.stickers.cast.splits import UNSEEN
from emogen.stickers.cast.styles import STYLES
from recipe.config import Clips

EMOTIONS = ("neutral", *MIKELS)
BACKGROUNDS = (*PLAIN, *PLACES)
FACTS: dict[str, tuple[str, ...]] = {
    "character": tuple(CHARACTERS),
    "color": tuple(COLORS),
    "style": (*STYLES, "real"),
    "background": BACKGROUNDS,
    "accessory": tuple(ACCESSORIES),
}
"""What a caption says of a clip, and its possible values: what the content reader reads. "real" is art of others."""
MEETS_UNSEEN = 0.12
"""Share of the base's and the content reader's clips that show a character whose emotions nobody sees."""
NEUTRAL_START = 0.55
"""Share of changing clips that begin neutral; the others begin with another emotion."""
CAPTIONS = 4


@dataclass(frozen=True)
class Item:
    """A clip, uint8 `[F, H, W, 3]`, and its record.

    The record: `captions` of its content, the first the fullest; `emotion`, as `emotion=` takes it; `intensity`, if
    the emotion is a category; `domain`; and facts (see `FACTS`).
    """

    clip: np.ndarray
    record: dict


def item_rng(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of one item: a function of the seed and the names."""
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


@dataclass(frozen=True)
class Drawn:
    """Drawn clips of a split, to be had by index.

    Attributes:
        split: those of `emogen.stickers.cast`; "base", which is "train" and a share of neutral clips of the unseen
            characters; "content", the same with "judge"; "judge_a" and "judge_b", which share no character.
        kind: "plain" shows one emotion, the nine labels in turn; "shade" a blend, a point of the plane or an arc;
            "still_shade" a blend or a point; "turn" a face that changes from one emotion to another; "broken" a face
            that is wrong on purpose, the ways in turn (`broken` in its record).
    """

    split: str
    kind: str
    count: int
    clips: Clips
    seed: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        spec, record = self.plan(index)
        sizes = (self.clips.frames, self.clips.size, self.clips.fps)
        if self.kind == "broken":
            return Item(broken(spec, record["broken"], spec.seed, *sizes), record)
        return Item(draw(spec, *sizes), record)

    def plan(self, index: int) -> tuple[CastSpec, dict]:
        """What an item shows and its record, at no cost."""
        rng = item_rng(self.seed, self.kind, self.split, index)
        label = EMOTIONS[(index // len(WAYS) if self.kind == "broken" else index) % len(EMOTIONS)]
        if self.kind in ("shade", "still_shade"):
            text = _shade(rng, arcs=self.kind == "shade")
            spec = replace(_spec(rng, self.split, "neutral"), emotion=text, intensity=1.0)
            record = {"emotion": text}
        else:
            spec = _spec(rng, self.split, label, 0.8 if self.kind == "turn" else 0.65)
            record = {"emotion": spec.emotion, "intensity": spec.intensity}
        if self.kind == "broken":
            record["broken"] = WAYS[index % len(WAYS)]
        if self.kind == "turn":
            start = _start(rng, label)
            end = label if label == "neutral" else f"{label}:{spec.intensity}"
            hold, ramp, last = int(rng.integers(1, 3)), int(rng.integers(3, 6)), self.clips.frames - 1
            arc = f"{(hold - 1) / last:.3f}:{start}@ease {min(1.0, (hold - 1 + ramp) / last):.3f}:{end}"
            spec, record = replace(spec, emotion=arc, intensity=1.0), record | {"start": start}
        captions = [caption(spec), *(caption(spec, rng) for _ in range(CAPTIONS - 1))]
        return spec, {"captions": captions, "domain": "rendered", **named(spec), **record}


def _spec(rng: np.random.Generator, split: str, emotion: str, full_strength: float = 0.65) -> CastSpec:
    """A random spec of a split."""
    if split in ("base", "content"):
        if rng.random() < MEETS_UNSEEN:
            return random_spec(rng, "unseen", "neutral", full_strength=full_strength)
        split = "train" if split == "base" else "judge"
    if split not in ("judge_a", "judge_b"):
        return random_spec(rng, split, emotion, full_strength=full_strength)
    own = judge_characters(split)
    while True:
        spec = random_spec(rng, "judge", emotion, full_strength=full_strength)
        if spec.character in own:
            return spec


def judge_characters(split: str) -> tuple[str, ...]:
    """The characters of a judge: every second one of those that are not unseen."""
    return tuple(name for name in CHARACTERS if name not in UNSEEN)[split == "judge_b" :: 2]


def _start(rng: np.random.Generator, emotion: str) -> str:
    if emotion != "neutral" and rng.random() < NEUTRAL_START:
        return "neutral"
    return str(rng.choice([name for name in MIKELS if name != emotion]))


def _shade(rng: np.random.Generator, arcs: bool) -> str:
    kind = rng.random()
    if arcs and kind < 0.4:
        return change(rng)
    return blend(rng) if kind < 0.85 else point(rng)


def blend(rng: np.random.Generator) -> str:
    """Two emotions of about equal weight."""
    first, second = rng.choice(MIKELS, 2, replace=False)
    share = rng.uniform(0.35, 0.65)
    strength = 1.0 if rng.random() < 0.7 else rng.uniform(0.4, 1.0)
    return f"{first}:{share * strength:.2f}+{second}:{(1 - share) * strength:.2f}"


def point(rng: np.random.Generator) -> str:
    """A point of the valence and arousal plane."""
    valence, arousal = rng.uniform(-1, 1, 2)
    return f"va:{valence:.2f},{arousal:.2f}"


def change(rng: np.random.Generator) -> str:
    """An arc from one emotion, or from none, to another: at once, all along, or within a part of the clip."""
    first, last = (str(name) for name in rng.choice(MIKELS, 2, replace=False))
    kind = rng.random()
    if kind < 0.35:
        first = "neutral"
    elif kind < 0.5:
        last = "neutral"
    way = rng.random()
    if way < 0.4:
        return f"0:{first}@hold {rng.uniform(0.25, 0.75):.2f}:{last}"
    if way < 0.7:
        return f"0:{first} 1:{last}"
    start = rng.uniform(0.1, 0.5)
    return f"{start:.2f}:{first}@ease {min(1.0, start + rng.uniform(0.2, 0.5)):.2f}:{last}"
