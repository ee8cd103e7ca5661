"""From an emotion to tensors, and from these to tokens of the text encoder's width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from emogen.emotion import MIKELS, EmotionArc, EmotionState, latent_frame_times
from emogen.emotion.given import Emotion


class EmotionTensors(NamedTuple):
    """A batch of emotions, constant or one for each latent frame.

    distribution: [B, E] or [B, F, E], weights of the taxonomy's E categories in its order, summing to 1, or all 0.
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


def emotion_tensors(
    emotions: Sequence[Emotion], latent_frames: int, temporal_factor: int, moving: bool
) -> EmotionTensors:
    """A batch for the encoder: with an axis of `latent_frames` if `moving` (and more than one), else constant."""
    if moving and latent_frames > 1:
        arcs = [e if isinstance(e, EmotionArc) else EmotionArc.constant(e) for e in emotions]
        return EmotionTensors.from_arcs(arcs, latent_frame_times(latent_frames, temporal_factor))
    return EmotionTensors.from_states([e.at(0.0) if isinstance(e, EmotionArc) else e for e in emotions])


class EmotionEncoder(nn.Module):
    """Turns a distribution over emotions, valence-arousal and an intensity into N tokens.

    `tokens = null + intensity * (mixture(distribution) + mlp(fourier(valence, arousal)) - null)`: a blend of
    emotions is the blend of their learned tokens, valence and arousal move it continuously, and the intensity
    walks the line from the learned null token, so that intensity 0 is the null token exactly.

    The Fourier features are those of Tancik et al., 2020 (https://arxiv.org/abs/2006.10739) with fixed
    octaves.

    Args:
        num_tokens: N, tokens for one moment.
        text_dim: D, width of a token.
        hidden_dim: width of the network for valence and arousal.
        fourier_bands: octaves at which valence and arousal are read, from half a period over [-1, 1].
        num_emotions: width of the distribution.
    """

    def __init__(
        self,
        num_tokens: int = 4,
        text_dim: int = 4096,
        hidden_dim: int = 256,
        fourier_bands: int = 4,
        num_emotions: int = len(MIKELS),
    ):
        super().__init__()
        self.num_tokens, self.num_emotions, self.fourier_bands = num_tokens, num_emotions, fourier_bands
        # Token entries start at unit scale, as the normalised text features beside them; null starts at zero,
        # which is what Wan pads its text with.
        self.null = nn.Parameter(torch.zeros(text_dim))
        self.emotions = nn.Parameter(torch.randn(num_emotions, num_tokens, text_dim))
        self.fourier_to_hidden = nn.Linear(2 + 4 * fourier_bands, hidden_dim)
        self.hidden_to_tokens = nn.Linear(hidden_dim, num_tokens * text_dim)
        nn.init.normal_(self.hidden_to_tokens.weight, std=1 / math.sqrt(hidden_dim))
        nn.init.zeros_(self.hidden_to_tokens.bias)

    def forward(
        self, distribution: torch.Tensor, valence_arousal: torch.Tensor, intensity: torch.Tensor
    ) -> torch.Tensor:
        """Tokens [B, N, D], or [B, T*N, D] (moment after moment) for inputs with an axis of T moments.

        Args:
            distribution: [B, E] or [B, T, E], E is `num_emotions`.
            valence_arousal: [B, 2] or [B, T, 2], in [-1, 1].
            intensity: [B] or [B, T].

        Raises:
            ValueError: the shapes do not belong together.
        """
        lead = intensity.shape
        if (
            distribution.shape != (*lead, self.num_emotions)
            or valence_arousal.shape != (*lead, 2)
            or len(lead) not in (1, 2)
        ):
            raise ValueError(
                f"distribution {tuple(distribution.shape)}, valence_arousal {tuple(valence_arousal.shape)} "
                f"and intensity {tuple(lead)} do not fit; give [B, {self.num_emotions}], [B, 2] and "
                "[B], or each with an axis of moments after the batch"
            )
        dtype = self.emotions.dtype
        blend = torch.einsum("...e,end->...nd", distribution.to(dtype), self.emotions)
        hidden = nn.functional.silu(self.fourier_to_hidden(self._fourier(valence_arousal).to(dtype)))
        place = self.hidden_to_tokens(hidden).unflatten(-1, (self.num_tokens, -1))
        tokens = self.null + intensity.to(dtype)[..., None, None] * (blend + place - self.null)
        return tokens.flatten(1, -2)

    def tail(self, distribution: torch.Tensor, valence_arousal: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
        """`forward` and the null token as a reference after it: [B, T*N + 1, D], to be put after the text."""
        tokens = self(distribution, valence_arousal, intensity)
        return torch.cat([tokens, self.null.to(tokens.dtype).expand(tokens.shape[0], 1, -1)], dim=1)

    def null_tail(self, batch: int, frames: int = 1) -> torch.Tensor:
        """The tail of no emotion, [batch, frames*N + 1, D]: every token is null."""
        return self.null.expand(batch, frames * self.num_tokens + 1, -1)

    def _fourier(self, valence_arousal: torch.Tensor) -> torch.Tensor:
        """[..., 2] -> [..., 2 + 4 * bands] in float32: the values, then sine and cosine of each octave."""
        values = valence_arousal.float()
        octaves = 2.0 ** torch.arange(self.fourier_bands, device=values.device, dtype=torch.float32)
        angles = (values[..., None] * (math.pi / 2 * octaves)).flatten(-2)
        return torch.cat([values, angles.sin(), angles.cos()], dim=-1)
