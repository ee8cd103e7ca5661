"""What an attached adapter adds to a transformer besides its processors.

* A pre-forward hook that reads the layout off the given lengths, refuses wrong ones, and encodes an `emotion`
  argument inside the transformer's own call (so that FSDP and DDP see the encoder used under their root).
* A hook that embeds text and tail in separate calls. Matrix products of other shapes round differently, so only
  this keeps the text's embedding, and with it a neutral clip, equal to the base model's to the last bit.
* A `save_pretrained` that leaves the adapter out of the transformer's weights.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Iterator
from typing import Any

import torch
from diffusers import ModelMixin
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import nn

from emogen.models.config import cross_attentions
from emogen.models.layout import TailLayout, frames_of_tail
from emogen.models.processor import EmotionWanAttnProcessor, LayoutHolder
from emogen.models.tensors import EmotionTensors

ENCODER_NAME = "emotion_encoder"
LINK_NAME = "_emotion_link"


class AdapterLink:
    """What a transformer knows of its adapter: the object, the shared layout, the cross-attentions it
    dressed."""

    def __init__(self, adapter: Any, holder: LayoutHolder, attentions: list[nn.Module]):
        self.adapter = adapter
        self.holder = holder
        self.attentions = attentions


def prepare_emotion(
    transformer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Pre-forward hook: fix the layout of this forward, and turn `emotion=EmotionTensors(...)` into a
    tail."""
    link: AdapterLink = getattr(transformer, LINK_NAME)
    kwargs = dict(kwargs)
    emotion = kwargs.pop("emotion", None)
    hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
    positional = "encoder_hidden_states" not in kwargs
    context = args[2] if positional else kwargs["encoder_hidden_states"]
    image = kwargs.get("encoder_hidden_states_image", args[3] if len(args) > 3 else None)
    if emotion is not None:
        tail = getattr(transformer, ENCODER_NAME).tail(*EmotionTensors(*emotion))
        context = torch.cat([context, tail.to(context)], dim=1)
        if positional:
            args = (*args[:2], context, *args[3:])
        else:
            kwargs["encoder_hidden_states"] = context
    holder = link.holder
    latent_frames = hidden.shape[2] // transformer.config.patch_size[0]
    frames = frames_of_tail(context.shape[1], holder.text_length, holder.num_tokens, latent_frames)
    if frames and not all(isinstance(a.processor, EmotionWanAttnProcessor) for a in link.attentions):
        raise RuntimeError(
            "this transformer was given an emotion, but its emotion processors are gone: set_attn_processor "
            "replaces them. Call adapter.restore_processors() (pipe.emotion_adapter.restore_processors()), "
            "or detach_emotion_adapter(transformer)"
        )
    # Set without looking at the layout before: a compiled forward would compile anew for every change of it.
    image_length = _image_tokens(transformer, image)
    holder.layout = TailLayout(holder.num_tokens, frames, holder.text_length, image_length)
    return args, kwargs


def embed_apart(text_embedder: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
    """Forward hook of the text embedder: [B, L + tail, inner_dim] whose text is embedded as without a tail,
    and whose tokens that equal the reference token come out equal to it."""
    holder: LayoutHolder = getattr(text_embedder, LINK_NAME).holder
    if holder.layout.frames == 0:
        return None
    text, tail = args[0].split([holder.text_length, holder.layout.tail_length], dim=1)
    text = text.contiguous()
    embedded = text_embedder.forward(tail)
    null = (tail == tail[:, -1:]).all(dim=-1, keepdim=True)
    embedded = torch.where(null, embedded[:, -1:], embedded)
    return torch.cat([text_embedder.forward(text), embedded], dim=1)


def _image_tokens(transformer: nn.Module, image: torch.Tensor | None) -> int:
    if image is None:
        return 0
    embedder = transformer.condition_embedder.image_embedder
    # With a position embedding (first and last frame) the embedder joins pairs of images into one sequence.
    return image.shape[1] * (2 if embedder.pos_embed is not None else 1)


@contextlib.contextmanager
def without_adapter_modules(transformer: nn.Module) -> Iterator[None]:
    """The transformer as if no adapter were there: encoder and processors out of its module tree."""
    attentions = list(cross_attentions(transformer).values())
    kept = [attention.processor for attention in attentions]
    encoder = transformer._modules.pop(ENCODER_NAME, None)
    for attention in attentions:
        restore_stock_processor(attention)
    try:
        yield
    finally:
        for attention, processor in zip(attentions, kept, strict=True):
            attention.set_processor(processor)
        if encoder is not None:
            setattr(transformer, ENCODER_NAME, encoder)


def restore_stock_processor(attention: nn.Module) -> None:
    """Put back what stood before an emotion processor, with its attention backend; others are left alone."""
    emotion = attention.processor
    if not isinstance(emotion, EmotionWanAttnProcessor):
        return
    before = emotion.inner
    if before is None:
        before = WanAttnProcessor()
        before._attention_backend = emotion._attention_backend
        before._parallel_config = emotion._parallel_config
    del attention.processor
    attention.set_processor(before)


@functools.wraps(ModelMixin.save_pretrained)
def _save_without_adapter(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
    with without_adapter_modules(self):
        return type(self).save_pretrained(self, *args, **kwargs)


def install(transformer: nn.Module, link: AdapterLink, encoder: nn.Module) -> None:
    """Register encoder, link, hook and `save_pretrained`."""
    setattr(transformer, ENCODER_NAME, encoder)
    setattr(transformer, LINK_NAME, link)
    text_embedder = transformer.condition_embedder.text_embedder
    setattr(text_embedder, LINK_NAME, link)
    transformer._emotion_hook = transformer.register_forward_pre_hook(prepare_emotion, with_kwargs=True)
    text_embedder._emotion_hook = text_embedder.register_forward_hook(embed_apart)
    # A bound method, not a closure, so that a deep copy of the transformer saves the copy.
    transformer.save_pretrained = types.MethodType(_save_without_adapter, transformer)


def uninstall(transformer: nn.Module) -> None:
    """Undo `install` and restore every stock processor."""
    for attention in cross_attentions(transformer).values():
        restore_stock_processor(attention)
    delattr(transformer, ENCODER_NAME)
    for module in (transformer, transformer.condition_embedder.text_embedder):
        module._emotion_hook.remove()
        delattr(module, LINK_NAME)
        del module._emotion_hook
    del transformer.__dict__["save_pretrained"]
