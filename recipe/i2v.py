"""The image-to-video base: Wan2.1's image branch and first-frame channels on what the text-to-video base has learned.

It begins as the text-to-video model without some of its blocks: the new input channels and the image branch's output
start at zero. The text encoder stays the text-to-video model's; the image encoder, a small CLIP vision model, is
trained with the transformer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from emogen.training.families.wan import fold_padding
from recipe import loop
from recipe.base import (
    PIPELINE_TEXT_LENGTH,
    TEXT_LENGTH,
    TRANSFORMER_CONFIG,
    caption_of,
    encode_text,
    flow_loss,
    shifted_timesteps,
)
from recipe.clips import SIZE
from recipe.loop import Phase

BLOCKS = (0, 1, 3, 5)
"""Blocks kept of the text-to-video base: the first frame is given, so fewer do, and the package stays small."""
TEMPORAL = 2
IMAGE_DIM = 96
CONFIG = TRANSFORMER_CONFIG | {
    "num_layers": len(BLOCKS),
    "in_channels": 2 * TRANSFORMER_CONFIG["out_channels"] + TEMPORAL,
    "image_dim": IMAGE_DIM,
    "added_kv_proj_dim": TRANSFORMER_CONFIG["num_attention_heads"] * TRANSFORMER_CONFIG["attention_head_dim"],
}


@dataclass
class Source:
    """One store's latents, conditions, first frames and records, and how often it is drawn."""

    clips: np.ndarray  # float16 [N, 16, T, h, w], normalised
    conditions: np.ndarray  # the same shape: the first frame and grey, encoded
    frames: np.ndarray  # uint8 [N, H, W, 3], the first frames
    records: list[dict]
    weight: float


def build_transformer(base: WanTransformer3DModel) -> WanTransformer3DModel:
    """An image-to-video transformer that predicts what `base`, without the blocks left out, does."""
    transformer = WanTransformer3DModel(**CONFIG)
    own = transformer.state_dict()
    for name, value in base.state_dict().items():
        parts = name.split(".")
        if parts[0] == "blocks":
            if int(parts[1]) not in BLOCKS:
                continue
            parts[1] = str(BLOCKS.index(int(parts[1])))
        target = own[".".join(parts)]
        if name == "patch_embedding.weight":
            target.zero_()
            target[:, : value.shape[1]] = value
        else:
            target.copy_(value)
    for block in transformer.blocks:
        nn.init.zeros_(block.attn2.add_v_proj.weight)
        nn.init.zeros_(block.attn2.add_v_proj.bias)
    return transformer


def build_image_encoder() -> CLIPVisionModel:
    """A CLIP vision model of which the pipeline reads the last hidden states but one, as Wan2.1's does."""
    return CLIPVisionModel(CLIPVisionConfig(
        hidden_size=IMAGE_DIM, intermediate_size=2 * IMAGE_DIM, num_hidden_layers=3, num_attention_heads=3,
        image_size=SIZE, patch_size=16, projection_dim=IMAGE_DIM,
    ))  # fmt: skip


def build_image_processor() -> CLIPImageProcessor:
    return CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})


def embed(encoder: CLIPVisionModel, frames: np.ndarray, processor: CLIPImageProcessor) -> torch.Tensor:
    """uint8 `[B, H, W, 3]` of the processor's own size -> `[B, N, D]` as `WanImageToVideoPipeline.encode_image`."""
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    pixels = ((torch.from_numpy(frames).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    return encoder(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]


def first_frame_channels(conditions: torch.Tensor) -> torch.Tensor:
    """Mask and latents of the first frame, `[B, TEMPORAL + 16, T, h, w]`, from `[B, 16, T, h, w]`."""
    mask = conditions.new_zeros(conditions.shape[0], TEMPORAL, *conditions.shape[2:])
    mask[:, :, 0] = 1
    return torch.cat([mask, conditions], dim=1)


def train(
    sources: list[Source],
    base: WanTransformer3DModel,
    tokenizer,
    text_encoder,
    folder: Path,
    phases: list[Phase],
    *,
    seed: int = 0,
    emotion_words: float = 0.25,
    drop_text: float = 0.1,
) -> None:
    """Train transformer and image encoder (see `loop.train`); leaves the average in `folder/i2v_ema.pt`."""
    torch.manual_seed(seed)
    transformer, image_encoder = build_transformer(base), build_image_encoder()
    fold_padding(transformer, PIPELINE_TEXT_LENGTH, TEXT_LENGTH + 1)
    text_encoder.requires_grad_(False)
    for name, parameter in image_encoder.named_parameters():
        if "layers.2." in name or "post_layernorm" in name:  # the last layer's output is read by nobody
            parameter.requires_grad_(False)
    processor = build_image_processor()
    weights = np.array([source.weight for source in sources])

    def loss(rng: np.random.Generator, phase: Phase) -> torch.Tensor:
        picks = rng.choice(len(sources), size=phase.batch, p=weights / weights.sum())
        drawn = [(sources[pick], int(rng.integers(len(sources[pick].clips)))) for pick in picks]
        texts = ["" if rng.random() < drop_text else caption_of(s.records[i], rng, emotion_words) for s, i in drawn]
        latents, conditions = (torch.from_numpy(np.stack([getattr(s, name)[i] for s, i in drawn])).float()
                               for name in ("clips", "conditions"))  # fmt: skip
        times = shifted_timesteps(rng, phase.batch)
        noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
        image = embed(image_encoder, np.stack([s.frames[i] for s, i in drawn]), processor)
        with torch.no_grad():
            text = encode_text(text_encoder, tokenizer, texts)
        return flow_loss(transformer, latents, text, times, noise, first_frame_channels(conditions), image).mean()

    modules = nn.ModuleDict({"transformer": transformer, "image_encoder": image_encoder})
    loop.train(modules, loss, folder, "i2v", phases, seed=seed)
