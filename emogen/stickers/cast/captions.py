"""What a clip shows, in words: content only, never how anybody feels."""

from __future__ import annotations

import re

import numpy as np

from emogen.stickers.cast.accessories import ACCESSORIES
from emogen.stickers.cast.backgrounds import PLACES, PLAIN
from emogen.stickers.cast.colors import COLORS
from emogen.stickers.cast.roster import CHARACTERS
from emogen.stickers.cast.spec import CastSpec

STYLE_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "flat": (("a flat sticker of", "a flat cartoon of", "a flat drawing of"), ("flat style", "flat sticker")),
    "soft": (("a 3d emoji of", "a 3d sticker of", "a 3d render of"), ("3d style", "3d emoji")),
    "sketch": (("a pencil sketch of", "a pencil drawing of", "a sketch of"), ("pencil style", "pencil sketch")),
}
"""For each style, words that open a caption and words that close it; the first are the commonest."""

_PLAIN = ("on {} background", "in front of {} background", "with {} background")
_OPENERS = ("", "a sticker of", "an emoji of", "an animated sticker of", "a picture of")
_COMMONEST = 0.6


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _one(options: tuple[str, ...], rng: np.random.Generator | None) -> str:
    """The first of the options, or with `rng` also one of the others at times."""
    if rng is None or len(options) == 1 or rng.random() < _COMMONEST:
        return options[0]
    return options[1 + int(rng.integers(len(options) - 1))]


def caption(spec: CastSpec, rng: np.random.Generator | None = None) -> str:
    """The content of a clip in words.

    With `rng` the wording, the order and what is left out vary, as people's do; without it the caption is whole and
    always the same, such as "a flat sticker of an orange cat wearing a crown on a blue background".
    """
    keep = (lambda p: True) if rng is None else (lambda p: rng.random() < p)
    who = CHARACTERS[spec.character]
    noun = _one(who.nouns, rng)
    natural = spec.color == who.colors[0]
    subject = _article(f"{spec.color} {noun}" if keep(0.85 if natural else 1.0) else noun)
    if spec.accessory != "none" and keep(0.9):
        subject += " " + _one(ACCESSORIES[spec.accessory], rng)
    place = ""
    if spec.background in PLACES and keep(0.9):
        place = PLACES[spec.background]
    elif spec.background in PLAIN and keep(0.75):
        place = _one(_PLAIN, rng).format(_article(spec.background))
    opening, closing = STYLE_WORDS[spec.style]
    order = (
        "opening" if rng is None else str(rng.choice(("opening", "closing", "bare", "place"), p=(0.6, 0.15, 0.15, 0.1)))
    )
    if order == "closing":
        return " ".join(filter(None, (subject, place))) + ", " + _one(closing, rng)
    if order == "bare":
        return " ".join(filter(None, (_one(_OPENERS, rng), subject, place)))
    if order == "place" and place:
        return f"{place}, {_one(opening, rng)} {subject}"
    return " ".join(filter(None, (_one(opening, rng), subject, place)))


def named(spec: CastSpec) -> dict[str, str]:
    """What a reader of content is asked for, by attribute."""
    return {name: getattr(spec, name) for name in ("character", "color", "style", "background", "accessory")}


def read(text: str) -> dict[str, str]:
    """The attributes that a caption of this grammar names; what it leaves out is left out.

    A colour before "background" is the background's, any other the character's.
    """
    words = re.sub(r"[^a-z0-9 ]", " ", text.lower())
    words = re.sub(r" +", " ", f" {words} ")
    found: dict[str, str] = {}
    for color in PLAIN:
        if f" {color} background " in words:
            found["background"] = color
            words = words.replace(f" {color} background ", " ")
    for place, phrase in PLACES.items():
        if f" {phrase} " in words:
            found["background"] = place
            words = words.replace(f" {phrase} ", " ")
    for style, groups in STYLE_WORDS.items():
        for phrase in (phrase for group in groups for phrase in group):
            if f" {phrase} " in words:
                found.setdefault("style", style)
                words = words.replace(f" {phrase} ", " ")
    for accessory in sorted(ACCESSORIES, key=len, reverse=True):
        for phrase in ACCESSORIES[accessory]:
            if f" {phrase} " in words:
                found.setdefault("accessory", accessory)
                words = words.replace(f" {phrase} ", " ")
    nouns = [(noun, name) for name, who in CHARACTERS.items() for noun in who.nouns]
    for noun, name in sorted(nouns, key=lambda pair: -len(pair[0])):
        if f" {noun} " in words:
            found.setdefault("character", name)
            words = words.replace(f" {noun} ", " ")
    for color in COLORS:
        if f" {color} " in words:
            found["color"] = color
    return found
