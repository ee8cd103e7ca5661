"""Stage 4 of the recipe: train the base text-to-video model, images first and then clips.

The transformer is a plain `WanTransformer3DModel` and the objective Wan's flow matching. Two exact savings:

* the pipeline attends to 512 text positions of which all but a dozen are the same zero vector; training folds those
  into one position (`emogen.training.families.wan`);
* a clip's first latent frame is encoded like an image, so layout, shape and colour are learned on single latent
  frames at a seventh of the cost before any motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from torch import nn

from emogen.training.families.wan import fold_padding
from recipe import loop
from recipe.loop import Phase
from recipe.text import tokenize, with_emotion_word

TRANSFORMER_CONFIG = dict(
    patch_size=(1, 4, 4),
    num_attention_heads=5,
    attention_head_dim=64,
    in_channels=16,
    out_channels=16,
    text_dim=128,
    freq_dim=256,
    ffn_dim=960,
    num_layers=6,
    cross_attn_norm=True,
    qk_norm="rms_norm_across_heads",
)
PIPELINE_TEXT_LENGTH = 512
TEXT_LENGTH = 24
SHIFT = 2.0
"""Timestep shift of training and of the shipped scheduler."""


def encode_text(encoder, tokenizer, texts: list[str], length: int = TEXT_LENGTH) -> torch.Tensor:
    """`[B, length + 1, D]`, zero beyond each text as the pipeline pads it; the last position is the folded rest."""
    ids, mask = tokenize(tokenizer, texts, length)
    hidden = encoder(ids, mask).last_hidden_state.float() * mask[..., None]
    return nn.functional.pad(hidden, (0, 0, 0, 1))


@dataclass
class Source:
    """One store's latents and records, and how often it is drawn."""

    clips: np.ndarray | None  # float16 [N, 16, T, h, w], normalised; perhaps only of the first records
    images: np.ndarray  # float16 [N, 16, 1, h, w], a frame of each clip encoded alone
    records: list[dict]
    weight: float


def caption_of(record: dict, rng: np.random.Generator, emotion_words: float) -> str:
    """A training caption: short or full, and on a share of the expressive clips with an emotion word."""
    text = record["short"] if rng.random() < 0.6 else record["caption"]
    if record["emotion"] != "neutral" and rng.random() < emotion_words:
        text = with_emotion_word(text, record["emotion"], rng)
    return text


def draw_batch(
    sources: list[Source], rng: np.random.Generator, size: int, frames: int, emotion_words: float, drop_text: float
) -> tuple[torch.Tensor, list[str]]:
    weights = np.array([s.weight for s in sources])
    picks = rng.choice(len(sources), size=size, p=weights / weights.sum())
    latents, texts = [], []
    for pick in picks:
        source = sources[pick]
        store = source.images if frames == 1 else source.clips
        index = int(rng.integers(len(store)))
        latents.append(store[index][:, :frames])
        texts.append("" if rng.random() < drop_text else caption_of(source.records[index], rng, emotion_words))
    return torch.from_numpy(np.stack(latents)).float(), texts


def shifted_timesteps(rng: np.random.Generator, size: int, shift: float = SHIFT) -> torch.Tensor:
    """Stratified logit-normal times in (0, 1), shifted towards noise: `s = shift u / (1 + (shift - 1) u)`."""
    strata = torch.from_numpy((rng.permutation(size) + rng.random(size)) / size).clamp(1e-4, 1 - 1e-4)
    u = torch.sigmoid(torch.special.ndtri(strata))
    return (shift * u / (1 + (shift - 1) * u)).float()


def flow_loss(
    transformer,
    latents: torch.Tensor,
    text: torch.Tensor,
    times: torch.Tensor,
    noise: torch.Tensor,
    condition: torch.Tensor | None = None,
    image: torch.Tensor | None = None,
) -> torch.Tensor:
    """Flow matching: `x = (1 - s) x0 + s e`, target `e - x0`, timestep `1000 s`; loss a sample, `[B]`.

    Args:
        condition: channels beside the noisy latents, `[B, C, F, h, w]`. image: embedded, `[B, N, D]`.
    """
    s = times.view(-1, 1, 1, 1, 1)
    noisy = (1 - s) * latents + s * noise
    if condition is not None:
        noisy = torch.cat([noisy, condition], dim=1)
    out = transformer(
        hidden_states=noisy,
        timestep=1000 * times,
        encoder_hidden_states=text,
        encoder_hidden_states_image=image,
        return_dict=False,
    )[0]
    return (out.float() - (noise - latents)).pow(2).mean(dim=(1, 2, 3, 4))


def train(
    sources: list[Source],
    tokenizer,
    encoder,
    folder: Path,
    phases: list[Phase],
    *,
    seed: int = 0,
    emotion_words: float = 0.25,
    drop_text: float = 0.1,
    ema_decay: float = 0.998,
) -> None:
    """Train transformer and text encoder jointly (see `loop.train`); leaves the average in `folder/base_ema.pt`."""
    torch.manual_seed(seed)
    transformer = WanTransformer3DModel(**TRANSFORMER_CONFIG)
    with torch.no_grad():
        transformer.proj_out.weight.zero_()  # starts by predicting nothing instead of noise
    fold_padding(transformer, PIPELINE_TEXT_LENGTH, TEXT_LENGTH + 1)

    def loss(rng: np.random.Generator, phase: Phase) -> torch.Tensor:
        latents, texts = draw_batch(sources, rng, phase.batch, phase.latent_frames, emotion_words, drop_text)
        times = shifted_timesteps(rng, phase.batch)
        noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
        return flow_loss(transformer, latents, encode_text(encoder, tokenizer, texts), times, noise).mean()

    modules = nn.ModuleDict({"transformer": transformer, "text_encoder": encoder})
    loop.train(modules, loss, folder, "base", phases, seed=seed, ema_decay=ema_decay)
