"""A few words on a sticker: white with a dark rim, at the bottom, as large as fits."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MOST = 30
"""Characters; more cannot be read on a sticker."""
_LEAST = 4  # pixels
_HEIGHT, _WIDTH, _MARGIN, _RIM = (
    0.15,
    0.92,
    0.03,
    0.14,
)  # shares of the frame's height, width, height, and of the letters
_NO_CHARACTER = "\uf8ff"  # what fonts draw for it is their sign for a character that they lack


def check_text(text: str, font: str | None = None) -> None:
    """See that a text can be written.

    Args:
        font: a .ttf or .otf file; None is Pillow's own, which has English letters, digits and signs.

    Raises:
        OSError: the file is no font.
        ValueError: the text is empty, too long, or has a character that the font lacks.
    """
    if not text.strip():
        raise ValueError("the text is empty; leave it out")
    if len(text) > MOST or "\n" in text:
        raise ValueError(f"the text must be one line of at most {MOST} characters")
    letters = _font(font, 24)
    lacking = bytes(letters.getmask(_NO_CHARACTER))
    for char in text.strip():
        if not char.isspace() and bytes(letters.getmask(char)) == lacking:
            raise ValueError(f"the font has no character {char!r}; give a font that has it with --font FILE")


def write_on(frames: np.ndarray, text: str, font: str | None = None) -> np.ndarray:
    """Write a text on every frame.

    Args:
        frames: uint8 `(F, H, W, 3 or 4)`.

    Returns:
        The same shape; on a clear ground the letters are opaque.
    """
    height, width = frames.shape[1:3]
    words = _overlay(text.strip(), font, height, width)
    out = [Image.alpha_composite(Image.fromarray(frame).convert("RGBA"), words) for frame in frames]
    return np.stack([np.asarray(image)[..., : frames.shape[-1]] for image in out])


def _overlay(text: str, font: str | None, height: int, width: int) -> Image.Image:
    size = max(_LEAST, round(_HEIGHT * height))
    while True:
        letters, rim = _font(font, size), max(1, round(_RIM * size / 2))
        left, _, right, bottom = letters.getbbox(text, stroke_width=rim)
        if right - left <= _WIDTH * width or size <= _LEAST:
            break
        size = max(_LEAST, min(size - 1, int(size * _WIDTH * width / (right - left))))
    image = Image.new("RGBA", (width, height))
    place = ((width - right - left) / 2, height - bottom - round(_MARGIN * height))
    ImageDraw.Draw(image).text(place, text, "white", letters, stroke_width=rim, stroke_fill=(34, 28, 40))
    return image


def _font(font: str | None, size: int) -> ImageFont.FreeTypeFont:
    if font is None:
        return ImageFont.load_default(size)
    if not os.path.isfile(font):
        raise OSError(f"no file {font}")
    try:
        return ImageFont.truetype(font, size)
    except OSError as error:
        raise OSError(f"{font}: is no font ({error})") from error
