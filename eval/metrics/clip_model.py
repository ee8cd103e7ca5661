"""CLIP as two functions, of images and of texts, from any `CLIPModel` of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emogen.eval.metrics.pixels import to_bytes, to_unit


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
