"""What emotion a caption is near to in meaning, by static embeddings of words: "a widow beside a grave" names no
feeling and is near to sadness.

The package wordllama carries its 16 MB of embeddings inside and needs no network. Of 24 sentences of our own it got 20
right, and words of feeling alone 5; it is a suggestion to look at.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np

from emogen.curation.stage import StageError
from emogen.emotion import MIKELS
from emogen.extras import how_to_install

LEAST = 0.12
"""Cosine below which nothing is suggested; sentences about nothing in particular lie at 0.04 to 0.1."""

_SCENES = {
    "amusement": ("people laughing at something funny", "a joke, a clown, a silly prank, giggling"),
    "awe": (
        "standing in wonder before something vast and magnificent",
        "a breathtaking immense landscape, a starry sky",
    ),
    "contentment": ("calm, relaxed, at peace and at ease", "resting comfortably in quiet, cosy warmth"),
    "excitement": ("thrilled and full of energy", "cheering wildly at a win, jumping, a wild ride"),
    "anger": ("furious, shouting in rage", "a quarrel, yelling, fighting, slamming"),
    "disgust": ("revolted by something filthy, rotten or gross", "gagging, vomiting, garbage, insects in food"),
    "fear": ("terrified and running from danger", "hiding in the dark, a monster, a scream of horror"),
    "sadness": ("crying in grief, lonely and heartbroken", "a funeral, a loss, tears, mourning"),
}


class Meaning:
    """Text -> (emotion of the eight or None, what says so).

    Raises:
        StageError: the package is not installed.
    """

    def __init__(self) -> None:
        try:
            import wordllama
        except ImportError as error:
            raise StageError(f"--by meaning needs the package wordllama: {how_to_install('suggest')}") from error
        # from the package's own folder: left to itself, it looks for half of what it carries on the network
        self._model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
        self._by = f"meaning: wordllama {version('wordllama')}"
        anchors = np.stack([self._model.embed(list(_SCENES[emotion])).mean(0) for emotion in MIKELS])
        self._anchors = _unit(anchors - anchors.mean(0))

    def __call__(self, text: str) -> tuple[str | None, str]:
        near = _unit(self._model.embed([text])) @ self._anchors.T
        place = int(near[0].argmax())
        return (MIKELS[place] if near[0, place] >= LEAST else None), f"{self._by}, {near[0, place]:.2f}"


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
