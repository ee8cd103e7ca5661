"""What the feature networks of a video distance have in common."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emogen.eval.metrics.pixels import check_clips, to_unit


class VideoFeatures(nn.Module):
    """A frozen network that reads clips: `[B, F, 3, H, W]`, uint8 or float in [0, 1], to features `[B, d]`.

    Subclasses set `name`, by which distances of these features are called, and `least_frames`, and read pixels in
    [0, 1] in `read`. The network stays in evaluation mode whatever `train` says.

    Attributes:
        settings: what else decides the features' values, for reports.
    """

    name: str
    least_frames: int = 2

    def __init__(self) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {}

    def _freeze(self) -> None:
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> VideoFeatures:
        """Stays in evaluation mode: dropout in a feature network would make distances random."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, clips: Tensor) -> Tensor:
        """Features of clips.

        Raises:
            TypeError, ValueError: not clips, or fewer than `least_frames` frames.
        """
        first = next(iter(self.parameters()), None)
        pixels = to_unit(check_clips(clips, self.least_frames, f"clips for {self.name}")).float()
        return self.read(pixels if first is None else pixels.to(first.device))

    def read(self, pixels: Tensor) -> Tensor:
        """float32 `[B, F, 3, H, W]` in [0, 1] to `[B, d]`."""
        raise NotImplementedError


def resize(pixels: Tensor, size: tuple[int, int], antialias: bool) -> Tensor:
    """Frames of `[B, F, 3, H, W]` stretched to (height, width), bilinear."""
    b, f = pixels.shape[:2]
    frames = F.interpolate(pixels.flatten(0, 1), size, mode="bilinear", align_corners=False, antialias=antialias)
    return frames.unflatten(0, (b, f))
