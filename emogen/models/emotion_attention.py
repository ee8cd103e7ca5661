"""What emotion tokens do in a transformer: embedded by its text embedder, then attended to beside the text.

Only torch is needed here, so that every program that runs Wan's transformer can run the same branch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional


def embed_tail(embed: Callable[[torch.Tensor], torch.Tensor], tail: torch.Tensor) -> torch.Tensor:
    """Tokens [B, T*N + 1, text_dim] -> [B, T*N + 1, inner_dim]; those that equal the reference, which is the last, come
    out equal to it. `embed` is the transformer's text embedder."""
    embedded = embed(tail)
    null = (tail == tail[:, -1:]).all(dim=-1, keepdim=True)
    return torch.where(null, embedded[:, -1:], embedded)


class EmotionAttention(nn.Module):
    """A small attention from hidden states to emotion tokens, as differences from the reference token.

    It has no biases and starts from a zero output matrix: it adds exactly zero without an emotion, and before any
    training.

    Args:
        inner_dim: width of the transformer.
        rank: width of the attention.
        head_dim: width of one of its heads.
        layers: where `Linear` and `RMSNorm` are taken from: `torch.nn`, or what a program that moves weights itself has
            in its place.
    """

    def __init__(
        self,
        inner_dim: int,
        rank: int,
        head_dim: int,
        layers: Any = nn,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        self.heads = rank // head_dim
        self.emo_q = layers.Linear(inner_dim, rank, bias=False, **factory)
        self.emo_k = layers.Linear(inner_dim, rank, bias=False, **factory)
        self.emo_v = layers.Linear(inner_dim, rank, bias=False, **factory)
        self.emo_o = layers.Linear(rank, inner_dim, bias=False, **factory)
        self.norm_q = layers.RMSNorm(head_dim, eps=1e-6, **factory)
        self.norm_k = layers.RMSNorm(head_dim, eps=1e-6, **factory)
        nn.init.zeros_(self.emo_o.weight)

    def branch(self, hidden_states: torch.Tensor, delta: torch.Tensor, frames: int) -> torch.Tensor:
        """What is added to the text's attention, [B, S, inner_dim].

        Args:
            hidden_states: [B, S, inner_dim], frame after frame.
            delta: [B, frames*N, inner_dim], embedded tokens less the reference.
            frames: with more than one, each frame's positions see their own N tokens alone, by folding the frames into
                the batch.

        Raises:
            ValueError: the positions do not divide into the frames.
        """
        weight = self.emo_q.weight
        # Under autocast the linears cast for themselves; a weight below 16 bits is only stored that way.
        if weight.dtype.itemsize > 1 and not _autocasting(hidden_states):
            hidden_states, delta = hidden_states.to(weight.dtype), delta.to(weight.dtype)
        batch = hidden_states.shape[0]
        value = self.emo_v(delta).unflatten(2, (self.heads, -1))
        key = _normed(self.norm_k, self.emo_k(delta).unflatten(2, (self.heads, -1)))
        query = _normed(self.norm_q, self.emo_q(hidden_states).unflatten(2, (self.heads, -1)))
        if frames > 1:
            self.check_foldable(query.shape[1], frames)
            query, key, value = (x.unflatten(1, (frames, -1)).flatten(0, 1) for x in (query, key, value))
        out = self.attend(query, key, value).flatten(2, 3)
        if frames > 1:
            out = out.unflatten(0, (batch, frames)).flatten(1, 2)
        return self.emo_o(out)

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """[B, S, heads, head_dim] from query and [B, tokens, heads, head_dim]."""
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)

    def check_foldable(self, positions: int, frames: int) -> None:
        if positions % frames:
            raise ValueError(f"{positions} positions do not divide into the emotion's {frames} latent frames")


def _normed(norm: nn.RMSNorm, values: torch.Tensor) -> torch.Tensor:
    # Under autocast the values are 16-bit and the weight is not, for which there is no fused kernel; and the weight may
    # wait on another device.
    return functional.rms_norm(values, norm.normalized_shape, norm.weight.to(values), norm.eps)


def _autocasting(tensor: torch.Tensor) -> bool:
    kind = tensor.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
