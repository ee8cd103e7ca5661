"""What an attached adapter does in a forward of the transformer.

* `TailLayout` says where the emotion tokens sit in the context.
* `prepare_emotion`, before the forward, reads the layout off the given lengths, refuses wrong ones, and encodes an
  `emotion` argument inside the transformer's own call (so that FSDP and DDP see the encoder used under their root).
* `embed_apart` embeds text and tail in separate calls. Matrix products of other shapes round differently, so only this
  keeps the text's embedding, and with it a neutral clip, equal to the base model's to the last bit.
* `EmotionWanAttnProcessor` adds the emotion branch to one cross-attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import nn

from emogen.models.compat import BACKEND, PARALLEL
from emogen.models.emotion_attention import EmotionAttention, embed_tail
from emogen.models.encoder import EmotionTensors

ENCODER_NAME = "emotion_encoder"
LINK_NAME = "_emotion_link"


@dataclass(frozen=True)
class TailLayout:
    """Layout `[image_length | text_length | frames * num_tokens | 1 reference]` of a cross-attention's
    context.

    Args:
        num_tokens: emotion tokens for one moment.
        frames: 0 no tail at all, 1 one emotion for the whole clip, F one emotion for each latent frame.
        text_length: (padded) text tokens.
        image_length: image tokens that the transformer itself puts before the text (Wan2.1 image-to-video).
    """

    num_tokens: int
    frames: int
    text_length: int
    image_length: int = 0

    @property
    def tail_length(self) -> int:
        """Tokens after the text; 0 without a tail."""
        return self.frames * self.num_tokens + 1 if self.frames else 0

    @property
    def total_length(self) -> int:
        return self.image_length + self.text_length + self.tail_length


def frames_of_tail(length: int, text_length: int, num_tokens: int, latent_frames: int) -> int:
    """The `frames` of a layout from the length of a sequence `[text | tail]`.

    Args:
        length: tokens given.
        latent_frames: (patched) latent frames of the video that is denoised.

    Returns:
        0, 1 or `latent_frames`.

    Raises:
        ValueError: the length is none of the three that are possible.
    """
    for frames in (0, 1, latent_frames):
        if length == text_length + TailLayout(num_tokens, frames, text_length).tail_length:
            return frames
    constant = text_length + num_tokens + 1
    arc = text_length + latent_frames * num_tokens + 1
    raise ValueError(
        f"this transformer carries an emotion adapter and was given {length} tokens of "
        f"encoder_hidden_states. It takes {text_length} (text alone, no emotion), {constant} (one emotion: "
        f"{num_tokens} tokens and a reference) or {arc} (one emotion for each of {latent_frames} latent "
        f"frames). Pad the text to {text_length} tokens (max_sequence_length={text_length}), set "
        "adapter.text_length to the length in use, or call detach_emotion_adapter(transformer)"
    )


def latent_frame_count(num_frames: int, temporal_factor: int = 4) -> int:
    """Latent frames of a video of `num_frames`, rounded as Wan's pipelines do: 80, 81 -> 21."""
    return max(num_frames, 1) // temporal_factor + 1 if temporal_factor > 1 else max(num_frames, 1)


class LayoutHolder:
    """The layout of a transformer's running forward, which all its processors share."""

    def __init__(self, num_tokens: int, text_length: int):
        self.num_tokens = num_tokens
        self.text_length = text_length
        self.layout = TailLayout(num_tokens, 0, text_length)


class AdapterLink:
    """What a transformer knows of its adapter: the object, the shared layout, the cross-attentions it
    dressed."""

    def __init__(self, adapter: Any, holder: LayoutHolder, attentions: list[nn.Module]):
        self.adapter = adapter
        self.holder = holder
        self.attentions = attentions


class EmotionWanAttnProcessor(EmotionAttention, WanAttnProcessor):
    """Wan's own cross-attention on the text (and image) tokens, plus a small attention to the emotion tokens.

    The emotion tokens come at the end of the context and are taken off before the stock processor runs. The
    branch (`EmotionAttention`) reads their difference from the reference token that ends the context.

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
        super().__init__(inner_dim, rank, head_dim, device=device, dtype=dtype)
        self.holder = holder
        self.inner = inner
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
        branch = self.scale * self.branch(hidden_states, tokens - reference, layout.frames)
        return output + branch.to(output.dtype)

    def _text(self, attn: nn.Module, *args: Any) -> torch.Tensor:
        if self.inner is not None:
            return self.inner(attn, *args)
        return WanAttnProcessor.__call__(self, attn, *args)

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return dispatch_attention_fn(query, key, value, backend=getattr(self, BACKEND))

    def check_foldable(self, positions: int, frames: int) -> None:
        if getattr(self, PARALLEL) is not None:
            raise NotImplementedError(
                "an emotion that changes over the clip cannot run under context parallelism, where a rank's "
                "share of the sequence does not begin with a frame; give one constant emotion, or one device"
            )
        super().check_foldable(positions, frames)


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
    embedded = embed_tail(text_embedder.forward, tail)
    return torch.cat([text_embedder.forward(text), embedded], dim=1)


def _image_tokens(transformer: nn.Module, image: torch.Tensor | None) -> int:
    if image is None:
        return 0
    embedder = transformer.condition_embedder.image_embedder
    # With a position embedding (first and last frame) the embedder joins pairs of images into one sequence.
    return image.shape[1] * (2 if embedder.pos_embed is not None else 1)
