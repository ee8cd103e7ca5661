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
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import nn


class FoldedTextProcessor(WanAttnProcessor):
    """Wan's cross-attention where the last text position stands for `count` equal ones.

    Attributes:
        count: 1 where nothing is folded.
        text_length: text positions taken, in image-to-video models after those of the image.
    """

    def __init__(self, count: int, text_length: int):
        super().__init__()
        self.count = count
        self.text_length = text_length

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        mask = hidden_states.new_zeros(1, 1, 1, self.text_length)
        mask[..., -1] = math.log(self.count)
        if attn.add_k_proj is not None:
            return self._beside_image(attn, hidden_states, encoder_hidden_states, mask)
        return super().__call__(attn, hidden_states, encoder_hidden_states, mask, rotary_emb)

    def _beside_image(
        self, attn: nn.Module, hidden_states: torch.Tensor, context: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """The stock processor's sum of two attentions, to the text and to the image, which it would split at 512."""
        image, text = context.tensor_split([context.shape[1] - self.text_length], dim=1)
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))

        def attend(key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
            heads = (x.unflatten(2, (attn.heads, -1)) for x in (key, value))
            out = dispatch_attention_fn(query, *heads, attn_mask=mask, backend=self._attention_backend)
            return out.flatten(2, 3).type_as(query)

        to_text = attend(attn.norm_k(attn.to_k(text)), attn.to_v(text), mask)
        to_image = attend(attn.norm_added_k(attn.add_k_proj(image)), attn.add_v_proj(image), None)
        return attn.to_out[1](attn.to_out[0](to_text + to_image))


def folded_length(longest: int, text_length: int) -> int:
    """Text positions that are left when captions have at most `longest` tokens of `text_length`: those, and
    one for the padding beyond."""
    return min(longest + 1, text_length)


def fold_padding(transformer: WanTransformer3DModel, text_length: int, folded: int) -> None:
    """Make the transformer take `folded` text positions, the last of them zero, for `text_length` of them.
    Attach the emotion adapter afterwards; it calls these processors for the text."""
    for block in transformer.blocks:
        block.attn2.set_processor(FoldedTextProcessor(text_length - folded + 1, folded))
