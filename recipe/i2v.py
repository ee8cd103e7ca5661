"""The image-to-video base: Wan2.1's image branch and first-frame channels on what the text-to-video base has learned.

It shares the text-to-video model's weights: its own are the new input channels, the image branch, a small CLIP vision
model, and a low-rank change of the shared matrices, which is all that has to be shipped. The new channels and the image
branch's output start at zero, so that it begins as the text-to-video model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from emogen.training.families.wan import fold_padding
from recipe.base import TEXT_POSITIONS, caption_of, flow_loss, noise_levels, transformer_config
from recipe.config import ImageToVideo, Phase, Recipe
from recipe.store import Store
from recipe.text import encode

SHARED_CHANGES = ("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2")
OWN = ("patch_embedding", "image_embedder", "add_k_proj", "add_v_proj", "norm_added_k", "lora_")
HELD_OUT = 24


def config(recipe: Recipe) -> dict:
    """Arguments of the image-to-video transformer."""
    plain = transformer_config(recipe)
    return plain | {
        "in_channels": 2 * recipe.autoencoder.channels + recipe.autoencoder.time,
        "image_dim": recipe.i2v.image_width,
        "added_kv_proj_dim": plain["num_attention_heads"] * plain["attention_head_dim"],
    }


def build_transformer(recipe: Recipe, base: WanTransformer3DModel) -> WanTransformer3DModel:
    """An image-to-video transformer that predicts what `base` does; only its own weights want gradients."""
    torch.manual_seed(recipe.i2v.schedule.seed)
    transformer = WanTransformer3DModel(**config(recipe))
    own = transformer.state_dict()
    for name, value in base.state_dict().items():
        if name == "patch_embedding.weight":
            own[name].zero_()
            own[name][:, : value.shape[1]] = value
        else:
            own[name].copy_(value)
    for block in transformer.blocks:
        nn.init.zeros_(block.attn2.add_v_proj.weight)
        nn.init.zeros_(block.attn2.add_v_proj.bias)
    rank = recipe.i2v.rank
    transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(SHARED_CHANGES)))
    for name, parameter in transformer.named_parameters():
        parameter.requires_grad_(any(part in name for part in OWN))
    return transformer


def merge(transformer: WanTransformer3DModel) -> WanTransformer3DModel:
    """The plain transformer that computes the same."""
    transformer.fuse_lora()
    transformer.unload_lora()
    return transformer


def build_image_encoder(recipe: Recipe) -> CLIPVisionModel:
    """A CLIP vision model of which the pipeline reads the last hidden states but one, as Wan2.1's does."""
    width = recipe.i2v.image_width
    encoder = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=recipe.i2v.image_layers,
            num_attention_heads=recipe.i2v.image_heads,
            image_size=recipe.clips.size,
            patch_size=16,
            projection_dim=width,
        )
    )
    last = f"layers.{recipe.i2v.image_layers - 1}."
    for name, parameter in encoder.named_parameters():
        if last in name or "post_layernorm" in name:  # nobody reads the last layer's output
            parameter.requires_grad_(False)
    return encoder


def build_image_processor(size: int) -> CLIPImageProcessor:
    return CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size})


def embed(encoder: CLIPVisionModel, frames: np.ndarray, processor: CLIPImageProcessor) -> torch.Tensor:
    """uint8 `[B, H, W, 3]` of the processor's own size -> `[B, N, D]` as `WanImageToVideoPipeline.encode_image`."""
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    pixels = ((torch.from_numpy(frames).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    return encoder(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]


def first_frame_channels(conditions: torch.Tensor, temporal: int) -> torch.Tensor:
    """Mask and latents of the first frame, `[B, temporal + z, T, h, w]`, from `[B, z, T, h, w]`."""
    mask = conditions.new_zeros(conditions.shape[0], temporal, *conditions.shape[2:])
    mask[:, :, 0] = 1
    return torch.cat([mask, conditions], dim=1)


class ImageToVideoTask:
    """See `recipe.loop.Task`: the transformer's own weights and the image encoder; the text encoder stays.

    Args:
        stores: `clips`, `conditions` and `first`, and how often each is drawn from.
    """

    def __init__(
        self,
        recipe: Recipe,
        base: WanTransformer3DModel,
        text_encoder: nn.Module,
        tokenizer,
        stores: Sequence[tuple[Store, float]],
        held_out: Store,
    ):
        self._config: ImageToVideo = recipe.i2v
        self._words = (recipe.base.emotion_words, recipe.base.drop_text, recipe.text.length, recipe.base.shift)
        self._temporal = recipe.autoencoder.time
        transformer = build_transformer(recipe, base)
        fold_padding(transformer, TEXT_POSITIONS, recipe.text.length + 1)
        self.modules = nn.ModuleDict({"transformer": transformer, "image_encoder": build_image_encoder(recipe)})
        self._text_encoder, self._tokenizer = text_encoder.eval().requires_grad_(False), tokenizer
        self._processor = build_image_processor(recipe.clips.size)
        self._stores = [store for store, _ in stores]
        self._weights = np.array([weight for _, weight in stores]) / sum(weight for _, weight in stores)
        self._held_out = held_out

    def loss(self, rng: np.random.Generator, phase: Phase) -> torch.Tensor:
        chosen = []
        for which in rng.choice(len(self._stores), phase.batch, p=self._weights):
            store = self._stores[which]
            chosen.append((store, int(rng.integers(len(store)))))
        emotion_words, drop_text = self._words[:2]
        texts = ["" if rng.random() < drop_text else caption_of(s.records[i], rng, emotion_words) for s, i in chosen]
        return self._loss(self.modules, rng, chosen, texts)

    @torch.no_grad()
    def held_out(self, average: nn.ModuleDict) -> dict[str, float]:
        rng = np.random.default_rng(0)
        torch.manual_seed(0)
        chosen = [(self._held_out, i) for i in range(min(HELD_OUT, len(self._held_out)))]
        texts = [store.records[i]["captions"][0] for store, i in chosen]
        with torch.autocast("cpu", torch.bfloat16):
            return {"loss of clips": self._loss(average, rng, chosen, texts).item()}

    def _loss(
        self, modules: nn.ModuleDict, rng: np.random.Generator, chosen: list[tuple[Store, int]], texts: list[str]
    ) -> torch.Tensor:
        latents, conditions = (
            torch.from_numpy(np.stack([store.read(name, i) for store, i in chosen])).float()
            for name in ("clips", "conditions")
        )
        length, shift = self._words[2:]
        image = embed(
            modules["image_encoder"], np.stack([store.read("first", i) for store, i in chosen]), self._processor
        )
        with torch.no_grad():
            text = encode(self._text_encoder, self._tokenizer, texts, length)
        condition = first_frame_channels(conditions, self._temporal)
        levels = noise_levels(rng, len(texts), shift)
        return flow_loss(modules["transformer"], latents, text, levels, condition, image)
