"""Frozen encoders of clips for the linear probe: any image or video model of transformers, or none at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emogen.eval.judges.base import pick_frames
from emogen.eval.judges.classifier import ClipClassifier
from emogen.eval.judges.embedded import to_tensor
from emogen.eval.judges.spec import JudgeError

VIDEO_MODELS = ("videomae", "vivit", "timesformer")
"""Model types that take `pixel_values` `[B, F, 3, H, W]`; all others see frame by frame."""


class Encoder(Protocol):
    """Clips uint8 `[B, F, H, W, 3]` in, features float `[B, d]` out."""

    name: str

    def __call__(self, clips: np.ndarray) -> Tensor: ...


def load_encoder(name: str, frames: int = 8, device: str | torch.device = "cpu") -> Encoder:
    """An encoder by its name.

    Args:
        name: "embedded" (the embedded classifier's last hidden layer, 192 wide), "pixels" (no network: coarse colours
            and their change), or a folder or Hub name of an image or video model of transformers.
        frames: of each clip, evenly spaced; a video model may ask for its own number.

    Raises:
        JudgeError: no such model, or it takes no pixels.
    """
    if name == "embedded":
        return EmbeddedEncoder(device)
    if name == "pixels":
        return PixelEncoder(frames)
    return TransformersEncoder(name, frames, device)


class EmbeddedEncoder:
    """What the embedded classifier's heads are read from. A probe on it shares its training data."""

    name = "embedded"

    def __init__(self, device: str | torch.device = "cpu"):
        from emogen.embedded import embedded_judge

        self.network = ClipClassifier.from_pretrained(embedded_judge()).to(device)
        self.device = device
        self._hidden: list[Tensor] = []
        self.network.mix.register_forward_hook(lambda module, given, out: self._hidden.append(out))

    @torch.no_grad()
    def __call__(self, clips: np.ndarray) -> Tensor:
        self._hidden.clear()
        for part in to_tensor(clips).split(32):
            self.network(part.to(self.device))
        return torch.cat(self._hidden).float().cpu()


class PixelEncoder:
    """A clip's mean frame, its deviation over time and its mean change, at 12 x 12 pixels: 1296 numbers, no weights.

    The least that a judge can see; what it reads is tint, layout and amount of motion.
    """

    name = "pixels"
    side = 12

    def __init__(self, frames: int = 8):
        self.frames = frames

    def __call__(self, clips: np.ndarray) -> Tensor:
        x = to_tensor(pick_frames(clips, self.frames))
        small = F.adaptive_avg_pool2d(x.flatten(0, 1), self.side).unflatten(0, x.shape[:2]).flatten(2)
        change = (small[:, 1:] - small[:, :-1]).abs().mean(1) if small.shape[1] > 1 else torch.zeros_like(small[:, 0])
        return torch.cat([small.mean(1), small.std(1, unbiased=False), change], -1)


class TransformersEncoder:
    """The pooled output of a frozen model, mean over frames.

    Of models with `get_image_features` (CLIP, SigLIP) the projected image embedding; of others the pooler's output, or
    where there is none the mean of the last tokens. Video models see the clip at once.

    Raises:
        JudgeError: no such model, no image processor, or a model that takes no pixels.
    """

    def __init__(self, model: str | Path, frames: int = 8, device: str | torch.device = "cpu"):
        self.name = str(model)
        self.model, self.processor = _load(self.name)
        config = self.model.config
        self.video = config.model_type in VIDEO_MODELS
        self.frames = config.num_frames if self.video else frames
        self.model.requires_grad_(False).eval().to(device)

    @torch.no_grad()
    def __call__(self, clips: np.ndarray) -> Tensor:
        chosen = pick_frames(clips, self.frames)
        if self.video and chosen.shape[1] < self.frames:
            chosen = chosen[:, np.linspace(0, chosen.shape[1] - 1, self.frames).round().astype(int)]
        if self.video:
            return torch.cat([self._read(list(clip)) for clip in chosen])
        parts = [self._read(list(clip)) for clip in chosen]
        return torch.stack([part.mean(0) for part in parts])

    def _read(self, frames: list[np.ndarray]) -> Tensor:
        made = self.processor([frames] if self.video else frames, return_tensors="pt")
        pixels = made["pixel_values"].to(self.model.device, self.model.dtype)
        if hasattr(self.model, "get_image_features"):
            out: Any = self.model.get_image_features(pixel_values=pixels)
        else:
            out = self.model(pixel_values=pixels)
        if not isinstance(out, Tensor):  # transformers 4 gives get_image_features as a plain tensor
            pooled = getattr(out, "pooler_output", None)
            out = pooled if pooled is not None else out.last_hidden_state.mean(1)
        return out.flatten(1).float().cpu()


def _load(name: str) -> tuple[nn.Module, Any]:
    from transformers import AutoImageProcessor, AutoModel

    try:
        processor = AutoImageProcessor.from_pretrained(name)
        model = AutoModel.from_pretrained(name, use_safetensors=True)
    except ImportError as error:
        raise JudgeError(f"encoder {name}: needs a package that is not installed: {error}") from error
    except OSError as error:
        raise JudgeError(f"encoder {name}: neither embedded, pixels, a model's folder with its image processor, nor "
                         f"reachable on the Hub ({str(error).splitlines()[0]})") from error  # fmt: skip
    except ValueError as error:
        raise JudgeError(f"encoder {name}: is no image or video model ({str(error).splitlines()[0]})") from error
    if getattr(model, "main_input_name", "") != "pixel_values" and not hasattr(model, "get_image_features"):
        raise JudgeError(f"encoder {name}: a {model.config.model_type} model takes no pixel_values")
    return model, processor
