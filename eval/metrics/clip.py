"""Scores by CLIP: of clips and their texts (CLIP score), and of clips and reference images (SD score)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emogen.eval.metrics.clip_model import CLIPEncoder
from emogen.eval.metrics.mean import ClipMean
from emogen.eval.metrics.pixels import check_clips

VARIANTS = ("corrected", "evalcrafter")


class _CLIPScore(ClipMean):
    higher_is_better = True

    def __init__(self, model: str | Path | nn.Module, processor: Any = None, variant: str = "corrected", **kwargs: Any):
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r} is not one of {', '.join(VARIANTS)}")
        super().__init__(**kwargs)
        self.encoder = model if isinstance(model, CLIPEncoder) else CLIPEncoder(model, processor)
        self.variant = variant


class CLIPTextScore(_CLIPScore):
    """CLIP score of clips and texts: how well the frames show what the text says.

    - "corrected": `100 max(cos, 0)` of each frame and the text, mean over frames (Hessel et al. 2021 with a weight of
      100, as torchmetrics has it; 0 to 100). Papers that print 0.30, EmoVid among them, leave the 100 out.
    - "evalcrafter": EvalCrafter's code (Liu et al., CVPR 2024): mean cosine, -1 to 1, of frames stretched to CLIP's
      square as values 0..255 without CLIP's normalisation.

    Scores of different CLIP models are not comparable; EvalCrafter and most papers use ViT-B/32.

    Args:
        model: a folder or Hub name of a `CLIPModel`, a model with its `processor`, or a `CLIPEncoder`.
    """

    def score(self, clips: Tensor, texts: Sequence[str]) -> Tensor:
        """CLIP score of each clip.

        Args:
            clips: `[B, F, 3, H, W]`, uint8 or float in [0, 1].
            texts: B texts.

        Returns:
            float64 `[B]`.

        Raises:
            TypeError, ValueError: not clips, or another count of texts.
        """
        check_clips(clips)
        if isinstance(texts, str) or len(texts) != len(clips):
            raise ValueError(
                f"texts must be {len(clips)} strings, one a clip, not "
                f"{'one string' if isinstance(texts, str) else len(texts)}"
            )
        frames = clips.flatten(0, 1)
        if self.variant == "evalcrafter":
            seen = self.encoder.raw_images(frames, 255.0, antialias=False)
        else:
            seen = self.encoder.images(frames)
        cosine = (seen.unflatten(0, clips.shape[:2]) * self.encoder.texts(list(texts))[:, None]).sum(-1)
        return (cosine if self.variant == "evalcrafter" else 100 * cosine.clamp_min(0)).mean(1)


class SDScore(_CLIPScore):
    """SD score: mean cosine, -1 to 1, of CLIP's embeddings of all frames with those of reference images.

    EvalCrafter (Liu et al., CVPR 2024) takes five SDXL pictures of the prompt (512 x 512, 20 steps) as references;
    for image-to-video, where the clip has to keep to its first frame, that frame is the reference.

    - "corrected": frames and references both through CLIP's own processor.
    - "evalcrafter": EvalCrafter's code, in which frames are values 0..255 and references 0..1, both stretched to CLIP's
      square without CLIP's normalisation.

    Args:
        model: a folder or Hub name of a `CLIPModel`, a model with its `processor`, or a `CLIPEncoder`.
    """

    def score(self, clips: Tensor, references: Tensor) -> Tensor:
        """SD score of each clip.

        Args:
            clips: `[B, F, 3, H, W]`, uint8 or float in [0, 1].
            references: `[B, K, 3, H', W']`, K images for each clip, in the same convention.

        Returns:
            float64 `[B]`.

        Raises:
            TypeError, ValueError: not clips, or references for another count of clips.
        """
        check_clips(clips)
        check_clips(references, what="references")
        if len(references) != len(clips):
            raise ValueError(f"there are {len(clips)} clips and references for {len(references)}")
        flat = clips.flatten(0, 1), references.flatten(0, 1)
        if self.variant == "evalcrafter":
            both = [self.encoder.raw_images(x, top, antialias=True) for x, top in zip(flat, (255.0, 1.0), strict=True)]
        else:
            both = [self.encoder.images(x) for x in flat]
        frames, images = (x.unflatten(0, y.shape[:2]) for x, y in zip(both, (clips, references), strict=True))
        return torch.einsum("bfd,bkd->bfk", frames, images).mean((1, 2))


def reference_images(folder: str | Path, clip: str, count: int = 5) -> Tensor:
    """Reference images of one clip by EvalCrafter's naming, `<clip>_0.png` to `<clip>_<count - 1>.png`.

    Returns:
        uint8 `[1, count, 3, H, W]`; concatenate those of several clips for `SDScore`.

    Raises:
        FileNotFoundError: one of them is missing; the message names it.
        ValueError: they are of different sizes.
    """
    from PIL import Image

    images = []
    for place in range(count):
        path = Path(folder) / f"{clip}_{place}.png"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such reference image; clip {clip!r} needs {count}, numbered from 0")
        with Image.open(path) as image:
            images.append(np.asarray(image.convert("RGB")))
    sizes = sorted({image.shape[:2] for image in images})
    if len(sizes) > 1:
        raise ValueError(f"{Path(folder) / clip}_*.png are of different sizes (height, width): {sizes}")
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)[None]
