"""The emotion adapter as one object: attach, detach, scale, state."""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ModelMixin
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import nn

from emogen.models.compat import BACKEND, PARALLEL, is_offloaded, submodules
from emogen.models.config import EmotionAdapterConfig, cross_attentions
from emogen.models.encoder import EmotionEncoder, EmotionTensors
from emogen.models.processor import (
    ENCODER_NAME,
    LINK_NAME,
    AdapterLink,
    EmotionWanAttnProcessor,
    LayoutHolder,
    embed_apart,
    prepare_emotion,
)
from emogen.models.weights import check_state, new_encoder

_IMAGE_MODEL_TEXT_LENGTH = 512  # Wan's own processor splits image from text tokens at this length


@dataclass(frozen=True)
class DetachedParts:
    """What `EmotionAdapter.detach` took off: the transformers, and the processors of each."""

    transformers: dict[str, nn.Module]
    processors: dict[str, dict[str, EmotionWanAttnProcessor]]


class EmotionAdapter:
    """An encoder, and one processor for each cross-attention of one transformer or two (Wan2.2).

    Made by `attach_emotion_adapter` or `load_emotion_adapter`. The modules are registered inside the
    transformer (`transformer.emotion_encoder`, `transformer.blocks.{i}.attn2.processor`), so a distributed
    wrapper around the transformer sees all of them; this object only refers to them. Dress a model in this
    order: quantise or cast layerwise, add a LoRA, attach, offload, compile. peft freezes every parameter that
    is not its own, so a LoRA that is added later must be followed by `adapter.requires_grad_(True)`; and
    peft's `target_modules="all-linear"` would take the adapter's matrices too: name the targets.

    An attached transformer takes `encoder_hidden_states` of one of three lengths: text alone (it then
    computes exactly what it did before, so stock pipelines go on working), text and `encoder.tail(...)` of
    one emotion for each clip, or of one for each latent frame. Or text alone and
    `emotion=EmotionTensors(...)`, for which it makes the tail itself.
    """

    def __init__(self, config: EmotionAdapterConfig, encoder: EmotionEncoder):
        self.config = config
        self.encoder = encoder
        self.transformers: dict[str, nn.Module] = {}
        self.processors: dict[str, dict[str, EmotionWanAttnProcessor]] = {}
        self._scale = 1.0
        self._text_length = config.text_length

    def add(self, transformer: nn.Module, name: str = "transformer") -> None:
        """Attach new processors to a transformer, such as Wan2.2's second, that shares this encoder.

        Raises:
            AdapterMismatchError: the transformer has other sizes.
            RuntimeError: it carries an adapter already, or its weights are offloaded.
        """
        if hasattr(transformer, LINK_NAME):
            raise RuntimeError("this transformer carries an emotion adapter already; detach_emotion_adapter it first")
        self.config.for_transformer(transformer)
        attentions = cross_attentions(transformer)
        self._check_text_length(self._text_length, attentions.values())
        dtype = self.encoder.null.dtype
        holder = LayoutHolder(self.config.num_tokens, self._text_length)
        processors = {}
        for layer, attention in attentions.items():
            device = next(attention.parameters()).device
            if device.type == "meta" and is_offloaded(attention.to_q):
                raise RuntimeError("the transformer is offloaded already: attach the emotion adapter before that")
            before = attention.processor
            processor = EmotionWanAttnProcessor(
                self.config.inner_dim,
                self.config.rank,
                self.config.head_dim,
                holder,
                inner=None if type(before) is WanAttnProcessor else before,
                device=device,
                dtype=dtype,
            )
            for setting in (BACKEND, PARALLEL):
                setattr(processor, setting, getattr(before, setting, None))
            processor.scale.fill_(self._scale)
            attention.set_processor(processor)
            processors[layer] = processor
        self.transformers[name], self.processors[name] = transformer, processors
        install(transformer, AdapterLink(self, holder, list(attentions.values())), self.encoder)

    def detach(self) -> DetachedParts:
        """Take the adapter off; every transformer is then as it was. What is returned keeps the processors' weights,
        and `reattach` takes them up again."""
        for transformer in self.transformers.values():
            uninstall(transformer)
        parts = DetachedParts(self.transformers, self.processors)
        self.transformers, self.processors = {}, {}
        return parts

    def reattach(self, parts: DetachedParts) -> None:
        """Put the adapter back on the transformers that `detach` took it off.

        Raises:
            RuntimeError: one of them carries another adapter by now.
        """
        for name, transformer in parts.transformers.items():
            self.add(transformer, name)
            attentions = cross_attentions(transformer)
            holder = getattr(transformer, LINK_NAME).holder
            for layer, processor in parts.processors[name].items():
                processor.holder, processor.inner = holder, attentions[layer].processor.inner
                attentions[layer].set_processor(processor)
                self.processors[name][layer] = processor

    def restore_processors(self) -> None:
        """Put the processors back after a `set_attn_processor` has replaced them; the weights are kept."""
        for name, transformer in self.transformers.items():
            attentions = cross_attentions(transformer)
            for layer, processor in self.processors[name].items():
                attentions[layer].set_processor(processor)

    @property
    def scale(self) -> float:
        """Factor on what the adapter adds; 1 as trained, 0 nothing."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._scale = float(value)
        for processors in self.processors.values():
            for processor in processors.values():
                processor.scale.fill_(self._scale)

    @property
    def text_length(self) -> int:
        """Text tokens before the tail. Change it only between a backward and the next forward."""
        return self._text_length

    @text_length.setter
    def text_length(self, value: int) -> None:
        links = [getattr(transformer, LINK_NAME) for transformer in self.transformers.values()]
        for link in links:
            self._check_text_length(value, link.attentions)
        self._text_length = value
        for link in links:
            link.holder.text_length = value

    def tail(self, emotions: EmotionTensors, device: torch.device | str | None = None) -> torch.Tensor:
        """Tokens [B, T*N + 1, text_dim] to put after the text, made on the encoder's device (or, where that
        is offloaded, on `device`)."""
        own = self.encoder.null.device
        return self.encoder.tail(*emotions.to(device if own.type == "meta" and device is not None else own))

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Every parameter under the name it is saved by."""
        for name, value in self.encoder.named_parameters():
            yield f"encoder.{name}", value
        for transformer, processors in self.processors.items():
            for layer, processor in processors.items():
                for name, value in processor.named_parameters():
                    if not name.startswith("inner."):
                        yield f"{transformer}.{layer}.{name}", value

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The parameters that require gradients.

        Raises:
            RuntimeError: none does.
        """
        found = [value for _, value in self.named_parameters() if value.requires_grad]
        if not found:
            raise RuntimeError(
                "no parameter of the emotion adapter requires gradients; peft and "
                "transformer.requires_grad_(False) freeze it with the rest: call "
                "adapter.requires_grad_(True) after them"
            )
        return found

    def requires_grad_(self, value: bool = True) -> EmotionAdapter:
        for _, parameter in self.named_parameters():
            parameter.requires_grad_(value)
        return self

    def num_parameters(self) -> int:
        return sum(value.numel() for _, value in self.named_parameters())

    def to(self, dtype: torch.dtype) -> EmotionAdapter:
        """Cast all weights. Float32 adapters work on a bfloat16 model as well, with or without autocast."""
        for _, parameter in self.named_parameters():
            parameter.data = parameter.data.to(dtype)
        return self

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {name: value.detach() for name, value in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor], source: str = "state") -> None:
        """Copy weights in; `source` names the file in errors.

        Raises:
            AdapterMismatchError: names or shapes are other ones.
        """
        own = dict(self.named_parameters())
        check_state(state, {name: value.shape for name, value in own.items()}, source)
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(state[name])

    @staticmethod
    def _check_text_length(length: int, attentions: Iterable[nn.Module]) -> None:
        for attention in attentions:
            if getattr(attention, "add_k_proj", None) is None:
                continue
            # A processor in the place of Wan's own may split image from text elsewhere, and then says where.
            processor = attention.processor
            inner = processor.inner if isinstance(processor, EmotionWanAttnProcessor) else processor
            taken = getattr(inner, "text_length", _IMAGE_MODEL_TEXT_LENGTH)
            if length not in (taken, _IMAGE_MODEL_TEXT_LENGTH):
                raise ValueError(
                    f"Wan's image-to-video transformers take {_IMAGE_MODEL_TEXT_LENGTH} text tokens, not "
                    f"{length}; set text_length (max_sequence_length) to {_IMAGE_MODEL_TEXT_LENGTH}"
                )


def attach_emotion_adapter(
    transformer: nn.Module,
    config: EmotionAdapterConfig | None = None,
    *,
    transformer_2: nn.Module | None = None,
    dtype: torch.dtype = torch.float32,
) -> EmotionAdapter:
    """Attach a new adapter, which changes nothing until it is trained.

    Args:
        transformer: a Wan transformer on any device, "meta" included.
        config: sizes; those of the transformer are filled in.
        transformer_2: Wan2.2's second transformer, which gets processors of its own and shares the encoder.
        dtype: of the adapter's weights; keep float32 for training, also over a bfloat16 transformer.

    Raises:
        AdapterMismatchError: the config was made for other sizes.
        RuntimeError: the transformer carries an adapter already.
    """
    config = (config or EmotionAdapterConfig()).for_transformer(transformer)
    with torch.device(next(transformer.condition_embedder.parameters()).device):
        encoder = new_encoder(config)
    adapter = EmotionAdapter(config, encoder).to(dtype)
    alone = transformer_2 is None and config.expert is not None
    adapter.add(transformer, config.expert if alone else "transformer")
    if transformer_2 is not None:
        adapter.add(transformer_2, "transformer_2")
    return adapter


def get_emotion_adapter(transformer: nn.Module) -> EmotionAdapter | None:
    """The adapter a transformer carries, if any."""
    link = getattr(transformer, LINK_NAME, None)
    return link.adapter if link is not None else None


def detach_emotion_adapter(transformer: nn.Module) -> None:
    """Take the adapter off this transformer and off the one it shares its encoder with, if there is one.

    Raises:
        ValueError: there is none.
    """
    adapter = get_emotion_adapter(transformer)
    if adapter is None:
        raise ValueError(f"this {type(transformer).__name__} carries no emotion adapter")
    adapter.detach()


@contextlib.contextmanager
def without_adapter_modules(transformer: nn.Module) -> Iterator[None]:
    """The transformer as if no adapter were there: encoder and processors out of its module tree."""
    attentions = list(cross_attentions(transformer).values())
    kept = [attention.processor for attention in attentions]
    encoder = submodules(transformer).pop(ENCODER_NAME, None)
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
        for setting in (BACKEND, PARALLEL):
            setattr(before, setting, getattr(emotion, setting))
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
