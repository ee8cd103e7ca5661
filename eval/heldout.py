"""Prompts about stickers that no training clip showed, and what each names."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emogen.data.stickers.content import caption, combinations
from emogen.data.stickers.fluent import read_table
from emogen.data.stickers.palette import ACCESSORIES, BACKGROUNDS
from emogen.data.stickers.render import StickerSpec


@dataclass(frozen=True)
class HeldOutPrompt:
    """A prompt without emotion words.

    Attributes:
        text: the prompt. domain: "rendered" or "real". character: what is held out, the unit of resampling.
        named: content the prompt names, by the content reader's questions ("shape", "color", "background").
    """

    text: str
    domain: str
    character: str
    named: dict[str, str] = field(default_factory=dict)


def rendered_prompts(count: int, seed: int = 0) -> list[HeldOutPrompt]:
    """Prompts on (shape, colour) pairs that are in no training clip, as many different ones as there are first."""
    rng = np.random.default_rng(seed)
    options = combinations("test")
    pairs = sorted({(s, c) for s, c, _ in options})
    order = [pairs[i] for i in rng.permutation(len(pairs))]
    prompts = []
    for index in range(count):
        shape, color = order[index % len(order)]
        grounds = [b for s, c, b in options if (s, c) == (shape, color)]
        background = grounds[rng.integers(len(grounds))]
        accessory = "none" if rng.random() < 0.6 else list(ACCESSORIES)[1 + rng.integers(len(ACCESSORIES) - 1)]
        spec = StickerSpec(shape, color, background, accessory)
        named = {"shape": shape, "color": color, "background": background}
        prompts.append(HeldOutPrompt(caption(spec), "rendered", f"{color} {shape}", named))
    return prompts


def real_prompts(count: int, seed: int = 0) -> list[HeldOutPrompt]:
    """Prompts on real emoji of the table's test split, different captions first."""
    rng = np.random.default_rng(seed)
    faces: dict[str, dict[str, str]] = {}
    for row in read_table().values():
        if row["split"] == "test":
            faces.setdefault(row["caption"], row)
    rows = [faces[k] for k in sorted(faces)]
    order = [rows[i] for i in rng.permutation(len(rows))]
    prompts = []
    for index in range(count):
        row = order[index % len(order)]
        background = list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
        named = {"color": row["color"], "background": background}
        prompts.append(HeldOutPrompt(f"{row['caption']} on a {background} background", "real", row["character"], named))
    return prompts
