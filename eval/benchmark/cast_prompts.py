"""Prompts about characters of the cast that no training clip showed, and what each names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emogen.emotion import MIKELS, NEUTRAL
from emogen.eval.benchmark.heldout import HeldOutPrompt, real_prompts
from emogen.stickers.cast import CastSpec, caption, named, random_spec
from emogen.stickers.cast.splits import combinations

TRIES = 400
"""Random specs among which one of a character is looked for."""


def cast_prompts(counts: Mapping[str, int], seed: int = 0) -> list[HeldOutPrompt]:
    """So many prompts of each domain, as long as there are contents, no two about one (character, colour, style).

    The characters take turns, so that a few prompts already show different ones.

    Args:
        counts: of "rendered", contents in no training clip; "unseen", characters whose emotions nobody has seen;
            "expressive", contents in no training clip again, whose first picture, for image to video, shows another
            emotion than the one that is asked for; "real" emoji.
    """
    found: list[HeldOutPrompt] = []
    for place, domain in enumerate(("rendered", "unseen", "expressive")):
        rng = np.random.default_rng([seed, place])
        split = "unseen" if domain == "unseen" else "test"
        order = rng.permutation(sorted({character for character, _, _ in combinations(split)}))
        for index in range(counts.get(domain, 0)):
            start = MIKELS[index % len(MIKELS)] if domain == "expressive" else None
            spec = _another(str(order[index % len(order)]), split, rng, {_content(prompt.spec) for prompt in found})
            who = f"{spec.color} {spec.style} {spec.character}"
            found.append(HeldOutPrompt(caption(spec), domain, who, named(spec), spec, start=start))
    return found + real_prompts(counts.get("real", 0), seed)


def _another(character: str, split: str, rng: np.random.Generator, seen: set[tuple[str, str, str]]) -> CastSpec:
    """A random spec of a character, with a content that is not among `seen` if one can be found."""
    specs = [spec for spec in (random_spec(rng, split, NEUTRAL) for _ in range(TRIES)) if spec.character == character]
    return next((spec for spec in specs if _content(spec) not in seen), specs[0])


def _content(spec: CastSpec) -> tuple[str, str, str]:
    return spec.character, spec.color, spec.style
