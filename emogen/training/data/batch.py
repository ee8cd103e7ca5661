"""What one forward of training reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from emogen.models import EmotionTensors


@dataclass
class Batch:
    """B clips of one size."""

    latents: torch.Tensor
    """[B, C, F, h, w] normalised latents, float32."""
    text: torch.Tensor
    """[B, L, text_dim] text embeddings, zero-padded."""
    emotion: EmotionTensors
    """One emotion a clip, or one a latent frame; intensity 0 is none."""
    names: list[str]
    condition: torch.Tensor | None = None
    """[B, temporal + C, F, h, w]: mask and latents of the first frame, for image-to-video."""
    image: torch.Tensor | None = None
    """[B, tokens, dim]: CLIP embedding of the first frame, for models with an image branch."""

    def to(self, device: torch.device) -> Batch:
        moved = [None if value is None else value.to(device) for value in (self.condition, self.image)]
        return Batch(self.latents.to(device), self.text.to(device), self.emotion.to(device), self.names, *moved)
