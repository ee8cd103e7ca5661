"""The text-to-video base: a plain `WanTransformer3DModel`, trained by Wan's flow matching.

Two exact savings:

* the pipeline attends to 512 text positions of which all but a dozen are the same zero vector; training folds those
  into one position (`emogen.training.families.wan`);
* a clip's first latent frame is encoded like an image, so layout, shape and colour are learned on single latent
  frames at a fraction of a clip's cost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from torch import nn

from emogen.training.families.wan import fold_padding
from recipe.config import Base, Phase, Recipe
from recipe.store import Store
from recipe.text import encode, with_emotion_word

TEXT_POSITIONS = 512
"""Text positions of the pipeline; the same number must be used in training and in sampling."""
HELD_OUT = 32


def transformer_config(recipe: Recipe) -> dict:
    """Arguments of the text-to-video transformer."""
    size = recipe.transformer
    return dict(
        patch_size=(1, size.patch, size.patch),
        num_attention_heads=size.heads,
        attention_head_dim=size.head_dim,
        in_channels=recipe.autoencoder.channels,
        out_channels=recipe.autoencoder.channels,
        text_dim=recipe.text.width,
        freq_dim=256,
        ffn_dim=size.ffn,
        num_layers=size.layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
    )


def build(recipe: Recipe) -> WanTransformer3DModel:
    """The transformer at its start; it predicts nothing instead of noise."""
    torch.manual_seed(recipe.base.schedule.seed)
    transformer = WanTransformer3DModel(**transformer_config(recipe))
    nn.init.zeros_(transformer.proj_out.weight)
    return transformer


def caption_of(record: dict, rng: np.random.Generator, emotion_words: float) -> str:
    """One of a record's captions, and on a share of the clips that show one emotion with a word for it."""
    text = str(rng.choice(record["captions"]))
    if record["emotion"] in _WORDED and rng.random() < emotion_words:
        text = with_emotion_word(text, record["emotion"], rng)
    return text


_WORDED = frozenset(
    ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness"),
)


def noise_levels(rng: np.random.Generator, size: int, shift: float) -> torch.Tensor:
    """Stratified logit-normal levels in (0, 1), `[size]`, shifted to `s = shift u / (1 + (shift - 1) u)`."""
    strata = torch.from_numpy((rng.permutation(size) + rng.random(size)) / size).clamp(1e-4, 1 - 1e-4)
    u = torch.sigmoid(torch.special.ndtri(strata))
    return (shift * u / (1 + (shift - 1) * u)).float()


def flow_loss(
    transformer: nn.Module,
    latents: torch.Tensor,
    text: torch.Tensor,
    levels: torch.Tensor,
    condition: torch.Tensor | None = None,
    image: torch.Tensor | None = None,
) -> torch.Tensor:
    """Flow matching with fresh noise: `x = (1 - s) x0 + s e`, target `e - x0`, timestep `1000 s`; the mean loss.

    Args:
        condition: channels beside the noisy latents, `[B, C, F, h, w]`. image: embedded, `[B, N, D]`.
    """
    noise = torch.randn_like(latents)
    s = levels.view(-1, 1, 1, 1, 1)
    noisy = (1 - s) * latents + s * noise
    if condition is not None:
        noisy = torch.cat([noisy, condition], dim=1)
    out = transformer(
        hidden_states=noisy,
        timestep=1000 * levels,
        encoder_hidden_states=text,
        encoder_hidden_states_image=image,
        return_dict=False,
    )[0]
    return (out.float() - (noise - latents)).square().mean()


class BaseTask:
    """See `recipe.loop.Task`: transformer and text encoder, trained together.

    Args:
        stores: latents (`clips`, `images`), and how often each is drawn from. held_out: latents never trained on.
    """

    def __init__(
        self,
        recipe: Recipe,
        transformer: WanTransformer3DModel,
        encoder: nn.Module,
        tokenizer,
        stores: Sequence[tuple[Store, float]],
        held_out: Store,
    ):
        self._config: Base = recipe.base
        self._length = recipe.text.length
        self._tokenizer, self._held_out = tokenizer, held_out
        self._stores = [store for store, _ in stores]
        self._weights = np.array([weight for _, weight in stores]) / sum(weight for _, weight in stores)
        fold_padding(transformer, TEXT_POSITIONS, self._length + 1)
        self.modules = nn.ModuleDict({"transformer": transformer, "text_encoder": encoder})

    def loss(self, rng: np.random.Generator, phase: Phase) -> torch.Tensor:
        single = rng.random() < phase.images
        count = phase.image_batch if single else phase.batch
        latents, texts = [], []
        for which in rng.choice(len(self._stores), count, p=self._weights):
            store = self._stores[which]
            index = int(rng.integers(len(store)))
            clip = store.read("images" if single else "clips", index)
            latents.append(clip[:, : phase.frames or None])
            drop = rng.random() < self._config.drop_text
            texts.append("" if drop else caption_of(store.records[index], rng, self._config.emotion_words))
        return self._loss(self.modules, rng, torch.from_numpy(np.stack(latents)).float(), texts)

    @torch.no_grad()
    def held_out(self, average: nn.ModuleDict) -> dict[str, float]:
        """The loss of single frames and of clips, at levels and with noise that are always the same."""
        figures = {}
        for name in ("images", "clips"):
            rng = np.random.default_rng(0)
            torch.manual_seed(0)
            indices = range(min(HELD_OUT, len(self._held_out)))
            latents = torch.from_numpy(self._held_out.read_all(name, indices)).float()
            texts = [self._held_out.records[i]["captions"][0] for i in indices]
            with torch.autocast("cpu", torch.bfloat16):
                figures[f"loss of {name}"] = self._loss(average, rng, latents, texts).item()
        return figures

    def _loss(
        self, modules: nn.ModuleDict, rng: np.random.Generator, latents: torch.Tensor, texts: list[str]
    ) -> torch.Tensor:
        levels = noise_levels(rng, len(texts), self._config.shift)
        text = encode(modules["text_encoder"], self._tokenizer, texts, self._length)
        return flow_loss(modules["transformer"], latents, text, levels)
