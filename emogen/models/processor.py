"""The emotion branch of one cross-attention."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import nn
from torch.nn import functional

from emogen.models.layout import TailLayout


class LayoutHolder:
    """The layout of a transformer's running forward, which all its processors share."""

    def __init__(self, num_tokens: int, text_length: int):
        self.num_tokens = num_tokens
        self.text_length = text_length
        self.layout = TailLayout(num_tokens, 0, text_length)


class EmotionWanAttnProcessor(nn.Module, WanAttnProcessor):
    """Wan's own cross-attention on the text (and image) tokens, plus a small attention to the emotion tokens.

    The emotion tokens come at the end of the context and are taken off before the stock processor runs. The
    branch reads their difference from the reference token that ends the context, has no biases and starts
    from a zero output matrix: it adds exactly zero without an emotion, and before any training.

    Args:
        inner_dim: width of the transformer.
        rank: width of the branch.
        head_dim: width of one of its heads.
        holder: the layout, shared among the processors of a transformer.
        inner: the processor that stood here before, when it was not Wan's own; it is called in its place.
    """

    def __init__(
        self,
        inner_dim: int,
        rank: int,
        head_dim: int,
        holder: LayoutHolder,
        inner: Any = None,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        self.holder = holder
        self.inner = inner
        self.heads = rank // head_dim
        self.emo_q = nn.Linear(inner_dim, rank, bias=False, **factory)
        self.emo_k = nn.Linear(inner_dim, rank, bias=False, **factory)
        self.emo_v = nn.Linear(inner_dim, rank, bias=False, **factory)
        self.emo_o = nn.Linear(rank, inner_dim, bias=False, **factory)
        self.norm_q = nn.RMSNorm(head_dim, eps=1e-6, **factory)
        self.norm_k = nn.RMSNorm(head_dim, eps=1e-6, **factory)
        nn.init.zeros_(self.emo_o.weight)
        # A tensor, because a changed Python float would make a compiled block compile anew.
        self.register_buffer("scale", torch.ones((), device=device, dtype=torch.float32), persistent=False)

    def forward(
        self,
        attn: nn.Module,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """The attention's output [B, S, inner_dim].

        Args:
            hidden_states: [B, S, inner_dim], frame after frame.
            encoder_hidden_states: [B, L, inner_dim], laid out as `TailLayout` says.

        Raises:
            ValueError: the context's length is not the layout's.
        """
        layout = self.holder.layout
        if encoder_hidden_states is None or encoder_hidden_states.shape[1] != layout.total_length:
            given = "none" if encoder_hidden_states is None else encoder_hidden_states.shape[1]
            raise ValueError(
                f"the context has {given} tokens where the emotion adapter's layout has "
                f"{layout.total_length} ({layout}). Call the transformer, not its blocks, and let no other "
                "forward of the same transformer with another layout come between a checkpointed forward and "
                "its backward"
            )
        if layout.frames == 0:
            return self._text(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        # Contiguous, as without a tail: products of strided tensors round differently.
        context = encoder_hidden_states[:, : -layout.tail_length].contiguous()
        tokens = encoder_hidden_states[:, -layout.tail_length : -1]
        reference = encoder_hidden_states[:, -1:]
        output = self._text(attn, hidden_states, context, attention_mask, rotary_emb)
        branch = self.scale * self._emotion(hidden_states, tokens - reference, layout.frames)
        return output + branch.to(output.dtype)

    def _text(self, attn: nn.Module, *args: Any) -> torch.Tensor:
        if self.inner is not None:
            return self.inner(attn, *args)
        return WanAttnProcessor.__call__(self, attn, *args)

    def _emotion(self, hidden_states: torch.Tensor, delta: torch.Tensor, frames: int) -> torch.Tensor:
        """[B, S, inner_dim] from hidden states and delta [B, frames*N, inner_dim]; with more than one frame
        each frame's positions see their own N tokens alone, by folding the frames into the batch."""
        weight = self.emo_q.weight
        # Under autocast the linears cast for themselves; a weight below 16 bits is only stored that way.
        if weight.dtype.itemsize > 1 and not _autocasting(hidden_states):
            hidden_states, delta = hidden_states.to(weight.dtype), delta.to(weight.dtype)
        batch = hidden_states.shape[0]
        value = self.emo_v(delta).unflatten(2, (self.heads, -1))
        key = _normed(self.norm_k, self.emo_k(delta).unflatten(2, (self.heads, -1)))
        query = _normed(self.norm_q, self.emo_q(hidden_states).unflatten(2, (self.heads, -1)))
        if frames > 1:
            self._check_foldable(query.shape[1], frames)
            query, key, value = (x.unflatten(1, (frames, -1)).flatten(0, 1) for x in (query, key, value))
        out = dispatch_attention_fn(query, key, value, backend=self._attention_backend)
        out = out.flatten(2, 3)
        if frames > 1:
            out = out.unflatten(0, (batch, frames)).flatten(1, 2)
        return self.emo_o(out)

    def _check_foldable(self, positions: int, frames: int) -> None:
        if self._parallel_config is not None:
            raise NotImplementedError(
                "an emotion that changes over the clip cannot run under context parallelism, where a rank's "
                "share of the sequence does not begin with a frame; give one constant emotion, or one device"
            )
        if positions % frames:
            raise ValueError(f"{positions} positions do not divide into the emotion's {frames} latent frames")


def _normed(norm: nn.RMSNorm, values: torch.Tensor) -> torch.Tensor:
    # Under autocast the values are 16-bit and the weight is not, for which there is no fused kernel.
    return functional.rms_norm(values, norm.normalized_shape, norm.weight.to(values.dtype), norm.eps)


def _autocasting(tensor: torch.Tensor) -> bool:
    kind = tensor.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
