"""Colours of rendered stickers, and the caption words for them."""

from __future__ import annotations

BODY_COLORS: dict[str, tuple[int, int, int]] = {
    "yellow": (255, 204, 40),
    "orange": (255, 138, 30),
    "red": (226, 52, 52),
    "pink": (255, 140, 190),
    "purple": (150, 92, 214),
    "blue": (60, 130, 240),
    "green": (84, 184, 72),
    "brown": (150, 98, 60),
    "white": (246, 246, 246),
    "gray": (150, 154, 162),
}
"""Body colours by caption word, sRGB 0-255."""

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (250, 250, 250),
    "black": (28, 28, 34),
    "gray": (176, 180, 186),
    "blue": (150, 200, 250),
    "green": (172, 224, 160),
    "pink": (255, 200, 220),
    "yellow": (255, 236, 150),
    "purple": (206, 178, 244),
    "orange": (255, 200, 140),
}
"""Background colours by caption word, sRGB 0-255: paler than the bodies, so that a body stands out on its own name."""

ACCESSORIES: dict[str, str] = {
    "none": "",
    "party hat": "wearing a party hat",
    "crown": "wearing a crown",
    "bow tie": "wearing a bow tie",
    "glasses": "wearing glasses",
    "headphones": "wearing headphones",
}
"""Accessories and the words a caption uses for them."""


def mix(a, b, amount: float) -> tuple[int, int, int]:
    """Linear blend of two sRGB colours: `amount` 0 gives `a`, 1 gives `b`."""
    return tuple(round(x + (y - x) * amount) for x, y in zip(a, b, strict=True))
