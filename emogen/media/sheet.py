"""Contact sheets: many clips on one picture, for looking."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def contact_sheet(
    path: str | Path,
    rows: Sequence[Sequence[np.ndarray]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    frames: Sequence[int] = (0, 6),
    scale: int = 1,
) -> None:
    """Write a picture: a row of clips a row label, a few frames of each clip side by side.

    Args:
        rows: clips uint8 `(F, H, W, 3)`, all of one size.
        frames: which frames to show of each clip.
        scale: whole factor of enlargement.
    """
    height, width = (n * scale for n in rows[0][0].shape[1:3])
    left, top, gap = 150, 24, 6
    cell = width * len(frames) + gap
    sheet = Image.new("RGB", (left + cell * len(column_labels), top + (height + gap) * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for c, label in enumerate(column_labels):
        draw.text((left + c * cell + 2, 4), label, fill="black", font=_font(14))
    for r, (clips, label) in enumerate(zip(rows, row_labels, strict=True)):
        y = top + r * (height + gap)
        for k, line in enumerate(_wrap(label, 22)):
            draw.text((2, y + 4 + 15 * k), line, fill="black", font=_font(12))
        for c, clip in enumerate(clips):
            for k, frame in enumerate(frames):
                picture = Image.fromarray(clip[min(frame, len(clip) - 1)])
                if scale > 1:
                    picture = picture.resize((width, height), Image.LANCZOS)
                sheet.paste(picture, (left + c * cell + k * width, y))
    sheet.save(path, quality=90)  # of JPEG; PNG takes no notice


def _wrap(text: str, width: int) -> list[str]:
    lines: list[str] = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
