"""Several clips as one, each under its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont


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
