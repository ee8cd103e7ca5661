"""The cast's colours and what a caption calls them."""

from __future__ import annotations

from emogen.stickers.cast.pen import Color, luminance
from emogen.stickers.palette import mix

COLORS: dict[str, Color] = {
    "yellow": (255, 206, 58),
    "orange": (250, 146, 52),
    "red": (228, 66, 60),
    "pink": (255, 154, 190),
    "purple": (160, 112, 220),
    "blue": (84, 150, 240),
    "turquoise": (72, 200, 196),
    "green": (112, 192, 88),
    "brown": (164, 112, 74),
    "white": (246, 244, 240),
    "gray": (164, 168, 178),
    "black": (70, 70, 84),
}
"""Colours of characters by caption word, sRGB 0-255."""

INK: Color = (52, 34, 36)
PALE: Color = (250, 244, 236)
FIXED: dict[str, Color] = {
    "ink": INK,
    "white": (252, 252, 250),
    "cream": (255, 240, 214),
    "rose": (255, 150, 168),
    "leaf": (92, 176, 72),
    "stem": (124, 86, 58),
    "clay": (206, 112, 74),
    "beak": (255, 160, 40),
    "night": (58, 56, 68),
    "steel": (132, 140, 156),
    "cherry": (222, 44, 66),
    "lamp": (255, 96, 84),
    "paper": (255, 206, 160),
}
"""Parts that keep their colour whatever the character's."""


def role(name: str, main: Color) -> Color:
    """The colour of a part of a character whose colour is `main`: a shade of it, or a fixed colour."""
    if name in FIXED:
        return FIXED[name]
    light = luminance(main) > 225
    return {
        "main": main,
        "light": mix(main, (255, 252, 244), 0.72 if not light else 0.9),
        "shade": mix(main, (190, 60, 40), 0.30) if main[0] > main[2] else mix(main, (40, 40, 120), 0.24),
        "soft": mix(main, (255, 252, 244), 0.35),
        "dark": mix(main, (60, 40, 60), 0.34 if not light else 0.2),
        "deep": mix(main, (46, 34, 48), 0.60),
        "inner": mix(main, (255, 140, 160), 0.6),
    }[name]
