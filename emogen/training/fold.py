"""A cheaper but equal cross-attention to padded text.

Wan attends, without a mask, to its text padded with zeros to a fixed length, so all padding positions have
the same key and value. m equal keys with logit a weigh `m exp(a) = exp(a + log m)` in the softmax: one of them
with log m added to its logit stands for all. With short captions this removes nearly all of the text's cost,
which for a small model is a good part of a step.
"""

from __future__ import annotations

import math

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import nn


class FoldedTextProcessor(WanAttnProcessor):
    """Wan's cross-attention where the last text position stands for `count` equal ones."""

    def __init__(self, count: int):
        super().__init__()
        self.count = count

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        mask = hidden_states.new_zeros(1, 1, 1, encoder_hidden_states.shape[1])
        mask[..., -1] = math.log(self.count)
        return super().__call__(attn, hidden_states, encoder_hidden_states, mask, rotary_emb)


def folded_length(longest: int, text_length: int) -> int:
    """Text positions that are left when captions have at most `longest` tokens of `text_length`: those, and
    one for the padding beyond."""
    return min(longest + 1, text_length)


def fold_padding(transformer: WanTransformer3DModel, text_length: int, folded: int) -> None:
    """Make the transformer take `folded` text positions, the last of them zero, for `text_length` of them.
    Attach the emotion adapter afterwards; it calls these processors for the text."""
    for block in transformer.blocks:
        block.attn2.set_processor(FoldedTextProcessor(text_length - folded + 1))
