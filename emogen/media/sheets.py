"""Several clips on one picture or in one clip, each under its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emogen.files import atomic


def label_grid(clips: Sequence[np.ndarray], labels: Sequence[str], columns: int) -> np.ndarray:
    """Lay clips out in rows with a label above each.

    Args:
        clips: uint8 `(F, H, W, 3)`, all of one size.
        labels: one a clip.
        columns: clips a row.

    Returns:
        uint8 `(F, H', W', 3)`.

    Raises:
        ValueError: clips of different shapes, or another number of labels.
    """
    if len(clips) != len(labels) or len({clip.shape for clip in clips}) != 1:
        raise ValueError("a grid needs clips of one shape and a label for each")
    frames, height, width, _ = clips[0].shape
    bar = max(14, height // 10)
    rows = -(-len(clips) // columns)
    sheet = np.full((frames, rows * (height + bar), columns * width, 3), 255, np.uint8)
    font = ImageFont.load_default(round(bar * 0.72))
    for index, (clip, label) in enumerate(zip(clips, labels, strict=True)):
        y, x = index // columns * (height + bar), index % columns * width
        strip = Image.new("RGB", (width, bar), "white")
        ImageDraw.Draw(strip).text((4, 0), label, fill="black", font=font)
        sheet[:, y : y + bar, x : x + width] = np.asarray(strip)
        sheet[:, y + bar : y + bar + height, x : x + width] = clip
    return sheet


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
        draw.text((left + c * cell + 2, 4), label, fill="black", font=ImageFont.load_default(14))
    for r, (clips, label) in enumerate(zip(rows, row_labels, strict=True)):
        y = top + r * (height + gap)
        for k, line in enumerate(_wrap(label, 22)):
            draw.text((2, y + 4 + 15 * k), line, fill="black", font=ImageFont.load_default(12))
        for c, clip in enumerate(clips):
            for k, frame in enumerate(frames):
                picture = Image.fromarray(clip[min(frame, len(clip) - 1)])
                if scale > 1:
                    picture = picture.resize((width, height), Image.LANCZOS)
                sheet.paste(picture, (left + c * cell + k * width, y))
    with atomic(path) as temporary:
        iio.imwrite(temporary, np.asarray(sheet), plugin="pillow", **({"quality": 90} if _is_jpeg(temporary) else {}))


def _is_jpeg(path: Path) -> bool:
    return path.suffix.lower() in (".jpg", ".jpeg")


def _wrap(text: str, width: int) -> list[str]:
    lines: list[str] = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
