"""From an emotion to tokens of the text encoder's width."""

from __future__ import annotations

import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn


class EmotionEncoder(ModelMixin, ConfigMixin):
    """Turns a distribution over eight emotions, valence-arousal and an intensity into N tokens.

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

    @register_to_config
    def __init__(
        self,
        num_tokens: int = 4,
        text_dim: int = 4096,
        hidden_dim: int = 256,
        fourier_bands: int = 4,
        num_emotions: int = 8,
    ):
        super().__init__()
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
            distribution: [B, 8] or [B, T, 8].
            valence_arousal: [B, 2] or [B, T, 2], in [-1, 1].
            intensity: [B] or [B, T].

        Raises:
            ValueError: the shapes do not belong together.
        """
        lead = intensity.shape
        if (
            distribution.shape != (*lead, self.config.num_emotions)
            or valence_arousal.shape != (*lead, 2)
            or len(lead) not in (1, 2)
        ):
            raise ValueError(
                f"distribution {tuple(distribution.shape)}, valence_arousal {tuple(valence_arousal.shape)} "
                f"and intensity {tuple(lead)} do not fit; give [B, {self.config.num_emotions}], [B, 2] and "
                "[B], or each with an axis of moments after the batch"
            )
        dtype = self.emotions.dtype
        blend = torch.einsum("...e,end->...nd", distribution.to(dtype), self.emotions)
        hidden = nn.functional.silu(self.fourier_to_hidden(self._fourier(valence_arousal).to(dtype)))
        place = self.hidden_to_tokens(hidden).unflatten(-1, (self.config.num_tokens, -1))
        tokens = self.null + intensity.to(dtype)[..., None, None] * (blend + place - self.null)
        return tokens.flatten(1, -2)

    def tail(self, distribution: torch.Tensor, valence_arousal: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
        """`forward` and the null token as a reference after it: [B, T*N + 1, D], to be put after the text."""
        tokens = self(distribution, valence_arousal, intensity)
        return torch.cat([tokens, self.null.to(tokens.dtype).expand(tokens.shape[0], 1, -1)], dim=1)

    def null_tail(self, batch: int, frames: int = 1) -> torch.Tensor:
        """The tail of no emotion, [batch, frames*N + 1, D]: every token is null."""
        return self.null.expand(batch, frames * self.config.num_tokens + 1, -1)

    def _fourier(self, valence_arousal: torch.Tensor) -> torch.Tensor:
        """[..., 2] -> [..., 2 + 4 * bands] in float32: the values, then sine and cosine of each octave."""
        values = valence_arousal.float()
        octaves = 2.0 ** torch.arange(self.config.fourier_bands, device=values.device, dtype=torch.float32)
        angles = (values[..., None] * (math.pi / 2 * octaves)).flatten(-2)
        return torch.cat([values, angles.sin(), angles.cos()], dim=-1)
