"""The pictures that image-to-video clips begin with, and whether they do."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .heldout import HeldOutPrompt


def first_frame(prompt: HeldOutPrompt, seed: int) -> Image.Image:
    """The prompt's picture: a file, or the sticker it names with a neutral face.

    Raises:
        ValueError: it has neither.
    """
    if prompt.image is not None:
        with Image.open(prompt.image) as image:
            return image.convert("RGB")
    sticker = prompt.sticker("neutral", seed)
    if sticker is None:
        raise ValueError(f"prompt {prompt.text!r} has no picture that a clip could begin with")
    from emogen.data.stickers.render import render

    return Image.fromarray(render(sticker, num_frames=1)[0])


def first_frame_psnr(clip: np.ndarray, picture: Image.Image) -> float:
    """How near the first frame of a uint8 `[F, H, W, 3]` clip is to the picture, brought to its size, in decibels."""
    height, width = clip.shape[1:3]
    wanted = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float64)
    error = float(((clip[0].astype(np.float64) - wanted) ** 2).mean())
    return 10 * float(np.log10(255**2 / max(error, 1e-10)))
