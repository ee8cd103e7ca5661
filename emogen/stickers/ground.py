"""A background to be cut away: its colour is chosen against the subject's, and the prompt asks for it."""

from __future__ import annotations

import re

import numpy as np

from emogen.stickers.palette import BACKGROUNDS, BODY_COLORS

_WORDS = {
    **BODY_COLORS,
    "black": (40, 40, 46),
    "turquoise": (72, 200, 196),
    "golden": (255, 206, 58),
    "grey": (150, 154, 162),
}
_GROUNDS = ("green", "blue", "pink", "purple")
"""Of `BACKGROUNDS`; not those of white eyes, yellow sparkles, grey steam and dark outlines."""
_COMMON = ((250, 250, 250), (255, 226, 80), (108, 190, 255), (52, 34, 36), (226, 52, 52))
"""What most stickers have: eyes and steam, sparkles, tears, outlines, mouths."""
_HAS_GROUND = re.compile(r"\b(?:background|backdrop)\b", re.IGNORECASE)


def ground_against(prompt: str) -> str:
    """The background colour's word that lies farthest from every colour that a prompt names.

    Colours that most stickers have anyway (eyes, tears, sparkles) count half.
    """
    words = re.findall(r"[a-z]+", prompt.lower())
    named = np.array([_WORDS[word] for word in words if word in _WORDS] or [(255, 204, 40)], float)

    def distance(ground: str) -> float:
        colour = np.array(BACKGROUNDS[ground], float)
        own = np.linalg.norm(named - colour, axis=1).min()
        return own + 0.5 * np.linalg.norm(np.array(_COMMON) - colour, axis=1).min()

    return max(_GROUNDS, key=distance)


def on_ground(prompt: str) -> str:
    """The prompt with a background that can be cut away; one that names its background stays as it is."""
    if _HAS_GROUND.search(prompt):
        return prompt
    return f"{prompt.rstrip(' .,')} on a {ground_against(prompt)} background"
