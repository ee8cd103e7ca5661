"""The pictures that image-to-video clips begin with, and whether they do."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from emogen.eval.benchmark.heldout import HeldOutPrompt
from emogen.eval.metrics import FirstFramePSNR

_EQUAL = 100.0  # of a frame that is the picture, whose ratio is infinite, which JSON does not know


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
    from emogen.stickers.render import render

    return Image.fromarray(render(sticker, num_frames=1)[0])


def first_frame_psnr(clip: np.ndarray, picture: Image.Image) -> float:
    """How near the first frame of a uint8 `[F, H, W, 3]` clip is to the picture, brought to its size, in decibels."""
    height, width = clip.shape[1:3]
    wanted = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
    first = torch.tensor(clip[:1]).permute(0, 3, 1, 2)[None]
    found = FirstFramePSNR()(first, torch.from_numpy(wanted.copy()).permute(2, 0, 1)[None])
    return min(float(found), _EQUAL)
