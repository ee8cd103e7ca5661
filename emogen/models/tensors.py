"""Emotions as tensors: what the encoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from emogen.emotion import EmotionArc, EmotionState


class EmotionTensors(NamedTuple):
    """A batch of emotions, constant or one for each latent frame.

    distribution: [B, 8] or [B, F, 8], weights of Mikels' eight in EmoGen's order, summing to 1, or all 0.
    valence_arousal: [B, 2] or [B, F, 2] in [-1, 1].
    intensity: [B] or [B, F]; 0 is no emotion, 1 full, more exaggerates, negative turns it around.
    """

    distribution: torch.Tensor
    valence_arousal: torch.Tensor
    intensity: torch.Tensor

    @classmethod
    def from_states(cls, states: Sequence[EmotionState], device: torch.device | str | None = None) -> EmotionTensors:
        """Constant emotions, one for each clip of the batch."""
        return cls(
            torch.tensor([state.distribution for state in states], dtype=torch.float32, device=device),
            torch.tensor([(s.valence, s.arousal) for s in states], dtype=torch.float32, device=device),
            torch.tensor([state.intensity for state in states], dtype=torch.float32, device=device),
        )

    @classmethod
    def from_arcs(
        cls, arcs: Sequence[EmotionArc], times: Sequence[float], device: torch.device | str | None = None
    ) -> EmotionTensors:
        """Emotions over time, read at `times` in [0, 1] (see `latent_frame_times`); tensors have an axis of
        `len(times)` after the batch's."""
        rows = [cls.from_states([arc.at(time) for time in times], device) for arc in arcs]
        return cls(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def over_time(self, frames: int) -> EmotionTensors:
        """Constant emotions repeated for each of `frames` latent frames: an axis after the batch's."""
        return EmotionTensors(*(value.unsqueeze(1).repeat(1, frames, *[1] * (value.ndim - 1)) for value in self))

    def mean_over_time(self) -> EmotionTensors:
        """One emotion a clip; of one that changes, the mean intensity, and shares and places weighted by it."""
        if self.intensity.ndim == 1:
            return self
        weights = self.intensity / self.intensity.sum(1, keepdim=True).clamp_min(1e-6)
        blended = ((value * weights[..., None]).sum(1) for value in self[:2])
        return EmotionTensors(*blended, self.intensity.mean(1))

    def to(self, device: torch.device | str) -> EmotionTensors:
        return EmotionTensors(*(value.to(device) for value in self))
