"""Scores by CLIP: of clips and their texts (CLIP score), and of clips and reference images (SD score)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emogen.eval.metrics.base import ClipBatch, ClipMean, register
from emogen.eval.metrics.pixels import check_clips, to_bytes, to_unit

VARIANTS = ("corrected", "evalcrafter")


class CLIPEncoder(nn.Module):
    """Frozen CLIP embeddings of unit length.

    Args:
        model: a folder or Hub name of a `CLIPModel` with its processor, or the model itself.
        processor: a `CLIPProcessor`; needed with a model given itself.
        batch_size: images through the model at a time.

    Raises:
        FileNotFoundError: no such folder, and no such model can be reached.
        ValueError: another kind of model, or one given without its processor.
    """

    def __init__(self, model: str | Path | nn.Module, processor: Any = None, batch_size: int = 64):
        super().__init__()
        self.name = str(model) if isinstance(model, (str, Path)) else type(model).__name__
        if isinstance(model, (str, Path)):
            model, loaded = _load(model)
            processor = processor or loaded
        if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
            raise ValueError(f"{self.name} is no CLIP model: it has no get_image_features and get_text_features")
        if processor is None:
            raise ValueError("a CLIP model given itself needs its processor too: CLIPEncoder(model, processor)")
        self.model, self.processor, self.batch_size = model, processor, batch_size
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> CLIPEncoder:
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def images(self, images: Tensor) -> Tensor:
        """Checked pixels `[N, 3, H, W]` to `[N, d]`, through the processor: resized, cropped and normalised as CLIP was
        trained. Pixels are rounded to uint8 first, as the processor takes pictures."""
        parts = []
        for part in to_bytes(images).split(self.batch_size):
            made = self.processor(images=list(part.permute(0, 2, 3, 1).cpu().numpy()), return_tensors="pt")
            parts.append(self._images(made["pixel_values"]))
        return torch.cat(parts)

    @torch.no_grad()
    def raw_images(self, images: Tensor, top: float, antialias: bool) -> Tensor:
        """Checked pixels `[N, 3, H, W]` to `[N, d]` without CLIP's normalisation, as EvalCrafter feeds them: stretched
        bilinearly to the model's square, values 0 to `top`."""
        side = self.model.config.vision_config.image_size
        parts = []
        for part in images.split(self.batch_size):
            pixels = F.interpolate(to_unit(part) * top, (side, side), mode="bilinear", antialias=antialias)
            parts.append(self._images(pixels))
        return torch.cat(parts)

    @torch.no_grad()
    def texts(self, texts: list[str]) -> Tensor:
        """N texts to `[N, d]`; longer ones are cut to the model's length, their end token kept."""
        length = self.model.config.text_config.max_position_embeddings
        made = self.processor(text=texts, return_tensors="pt", padding=True, truncation=True, max_length=length)
        device = next(self.model.parameters()).device
        return _unit(
            self.model.get_text_features(
                input_ids=made["input_ids"].to(device), attention_mask=made["attention_mask"].to(device)
            )
        )

    def _images(self, pixels: Tensor) -> Tensor:
        first = next(self.model.parameters())
        return _unit(self.model.get_image_features(pixel_values=pixels.to(first.device, first.dtype)))


def _unit(features: Any) -> Tensor:
    # transformers 5 gives the projected features as `pooler_output`, 4 as a plain tensor
    features = features if isinstance(features, Tensor) else features.pooler_output
    return F.normalize(features.double(), dim=-1)


def _load(folder: str | Path) -> tuple[nn.Module, Any]:
    from transformers import AutoConfig, CLIPModel, CLIPProcessor

    try:
        config = AutoConfig.from_pretrained(folder)
        if config.model_type != "clip":
            raise ValueError(f"{folder}: is a {config.model_type} model, not CLIP")
        return CLIPModel.from_pretrained(folder, use_safetensors=True), CLIPProcessor.from_pretrained(folder)
    except OSError as error:
        raise FileNotFoundError(
            f"{folder}: neither a folder with a CLIP model and its processor here nor reachable on "
            f"the Hub ({str(error).splitlines()[0]})"
        ) from error


class _CLIPScore(ClipMean):
    higher_is_better = True

    def __init__(self, model: str | Path | nn.Module, processor: Any = None, variant: str = "corrected", **kwargs: Any):
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r} is not one of {', '.join(VARIANTS)}")
        super().__init__(**kwargs)
        self.encoder = model if isinstance(model, CLIPEncoder) else CLIPEncoder(model, processor)
        self.variant = variant


@register(
    "clip_score", heading="CLIP score", meaning="CLIP score: frames against the prompt", needs=("captions",),
    weights=("clip",),
)  # fmt: skip
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

    def read(self, batch: ClipBatch) -> list[float]:
        """The score of each clip and its prompt."""
        return self.score(batch.clips, batch.prompts).tolist()

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


@register(
    "sd_score", heading="SD score", needs=("pictures",), weights=("clip",),
    meaning="SD score: frames against reference images of the prompt",
)  # fmt: skip
class SDScore(_CLIPScore):
    """SD score: mean cosine, -1 to 1, of CLIP's embeddings of all frames with those of reference images.

    EvalCrafter (Liu et al., CVPR 2024) takes five SDXL pictures of the prompt (512 x 512, 20 steps) as references;
    for image-to-video, where the clip has to keep to its first frame, that frame is the reference.

    - "corrected": frames and references both through CLIP's own processor.
    - "evalcrafter": EvalCrafter's code, in which frames are values 0..255 and references 0..1, both stretched to CLIP's
      square without CLIP's normalisation.

    Args:
        model: a folder or Hub name of a `CLIPModel`, a model with its `processor`, or a `CLIPEncoder`.

    Attributes:
        images: for the benchmark, a folder with the reference images of every clip (see `reference_images`), or of
            every prompt, under its number: `000_0.png` to `000_4.png` serve all clips `000_...`.
    """

    images: str | Path | None = None

    @classmethod
    def open(cls, weights: Mapping[str, str]) -> SDScore:
        """With CLIP's folder and, where it is given, that of the reference images."""
        metric = cls(weights["clip"])
        metric.images = weights.get("sd_images")
        return metric

    def check(self, keys: Sequence[str]) -> None:
        """Every clip has its reference images, where there is a folder of them."""
        for key in keys if self.images is not None else ():
            _images_of(self.images, key)

    def read(self, batch: ClipBatch) -> list[float] | None:
        """The score of each clip: against its first picture if it was given one, else against reference images."""
        if batch.first_frames is not None:
            return self.score(batch.clips, batch.first_frames[:, None]).tolist()
        if self.images is None:
            return None
        pairs = zip(batch.clips, batch.keys, strict=True)
        return [float(self.score(clip[None], _images_of(self.images, key))) for clip, key in pairs]

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


def _images_of(folder: str | Path, key: str) -> Tensor:
    """The reference images of a clip; if it has none of its own, of its prompt."""
    own = (Path(folder) / f"{key}_0.png").is_file()
    return reference_images(folder, key if own else key.partition("_")[0])
