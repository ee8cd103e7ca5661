"""What a clip stands on: plain colours, a few places, or nothing."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from emogen.stickers.cast import geometry
from emogen.stickers.cast.pen import Color, Pen
from emogen.stickers.palette import BACKGROUNDS as PLAIN

PLACES: dict[str, str] = {
    "night": "under a starry night sky",
    "meadow": "in a green meadow",
    "sunset": "at sunset",
    "beach": "at the beach",
    "snow": "in the snow",
}
"""Places and how a caption names them."""

BACKGROUNDS: tuple[str, ...] = ("none", *PLAIN, *PLACES)
"""Every background by the name in a spec; "none" is transparent."""


def _sky(size: int, top: Color, bottom: Color) -> Image.Image:
    share = np.linspace(0, 1, size)[:, None, None]
    column = np.array(top) * (1 - share) + np.array(bottom) * share
    return Image.fromarray(np.broadcast_to(column, (size, size, 3)).round().astype(np.uint8))


def _hill(size: int, y: float, bow: float, lean: float = 0.0) -> np.ndarray:
    x = np.linspace(-0.05, 1.05, 25)
    edge = y - bow * np.sin(np.pi * np.clip(x + lean, 0, 1))
    return np.concatenate([np.stack([x, edge], axis=1), [(1.05, 1.1), (-0.05, 1.1)]])


@lru_cache(maxsize=32)
def background(name: str, big: int) -> Image.Image | None:
    """An RGB picture of `big` pixels, or None for a transparent one. Draw on a copy."""
    if name == "none":
        return None
    if name in PLAIN:
        return Image.new("RGB", (big, big), PLAIN[name])
    skies = {
        "night": ((34, 38, 92), (84, 78, 150)),
        "meadow": ((150, 208, 255), (220, 242, 255)),
        "sunset": ((250, 150, 120), (255, 222, 160)),
        "beach": ((140, 212, 250), (214, 240, 255)),
        "snow": ((176, 204, 236), (226, 238, 250)),
    }
    image = _sky(big, *skies[name])
    pen = Pen(image, np.eye(2) * big, np.zeros(2))
    rng = np.random.default_rng(5)
    if name == "night":
        for x, y, r in zip(
            rng.uniform(0.03, 0.97, 26), rng.uniform(0.03, 0.8, 26), rng.uniform(0.006, 0.016, 26), strict=True
        ):
            pen.fill(geometry.star(x, y, r * 1.6, 4, 0.4), (255, 244, 190))
        pen.fill(_hill(big, 0.90, 0.05), (44, 48, 98))
    elif name == "meadow":
        pen.ellipse(0.16, 0.16, 0.14, 0.05, (255, 255, 255))
        pen.ellipse(0.84, 0.24, 0.12, 0.045, (255, 255, 255))
        pen.fill(_hill(big, 0.76, 0.10, -0.2), (164, 216, 128))
        pen.fill(_hill(big, 0.80, 0.06, 0.3), (142, 204, 108))
    elif name == "sunset":
        pen.ellipse(0.5, 0.72, 0.26, 0.26, (255, 240, 180))
        pen.fill(_hill(big, 0.80, 0.03), (206, 122, 128))
    elif name == "beach":
        pen.fill(_hill(big, 0.64, 0.0), (92, 186, 224))
        pen.fill(_hill(big, 0.76, 0.04), (250, 226, 172))
    else:
        pen.fill(_hill(big, 0.78, 0.06), (250, 252, 255))
        for x, y in rng.uniform(0.02, 0.98, (30, 2)):
            pen.ellipse(x, y, 0.010, 0.010, (255, 255, 255))
    return image
