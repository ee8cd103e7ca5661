"""Stage 4 of the recipe: train the base text-to-video model, images first and then clips.

The transformer is a plain `WanTransformer3DModel` and the objective Wan's flow matching. Two exact savings:

* the pipeline attends to 512 text positions of which all but a dozen are the same zero vector; training folds those
  into one position (`emogen.training.fold`);
* a clip's first latent frame is encoded like an image, so layout, shape and colour are learned on single latent
  frames at a seventh of the cost before any motion.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from diffusers import WanTransformer3DModel
from torch import nn

from emogen.training.fold import fold_padding

from .text import tokenize, with_emotion_word

TRANSFORMER_CONFIG = dict(
    patch_size=(1, 4, 4), num_attention_heads=5, attention_head_dim=64, in_channels=16, out_channels=16, text_dim=128,
    freq_dim=256, ffn_dim=960, num_layers=6, cross_attn_norm=True, qk_norm="rms_norm_across_heads",
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


@dataclass(frozen=True)
class Phase:
    """A stretch of training: how many latent frames, how many clips a step and rank, for how long."""

    name: str
    latent_frames: int
    batch: int
    minutes: float
    peak_lr: float
    floor: float = 0.0


def caption_of(record: dict, rng: np.random.Generator, emotion_words: float) -> str:
    """A training caption: short or full, and on a share of the expressive clips with an emotion word."""
    text = record["short"] if rng.random() < 0.6 else record["caption"]
    if record["emotion"] != "neutral" and rng.random() < emotion_words:
        text = with_emotion_word(text, record["emotion"], rng)
    return text


def draw_batch(sources: list[Source], rng: np.random.Generator, size: int, frames: int, emotion_words: float,
               drop_text: float) -> tuple[torch.Tensor, list[str]]:
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


def flow_loss(transformer, latents: torch.Tensor, text: torch.Tensor, times: torch.Tensor,
              noise: torch.Tensor) -> torch.Tensor:
    """Flow matching: `x = (1 - s) x0 + s e`, target `e - x0`, timestep `1000 s`; loss a sample, `[B]`."""
    s = times.view(-1, 1, 1, 1, 1)
    noisy = (1 - s) * latents + s * noise
    out = transformer(hidden_states=noisy, timestep=1000 * times, encoder_hidden_states=text, return_dict=False)[0]
    return (out.float() - (noise - latents)).pow(2).mean(dim=(1, 2, 3, 4))


def train(sources: list[Source], tokenizer, encoder, folder: Path, phases: list[Phase], *, seed: int = 0,
          emotion_words: float = 0.25, drop_text: float = 0.1, ema_decay: float = 0.998, compile_blocks: bool = True,
          save_every: float = 90.0) -> None:
    """Train transformer and text encoder jointly; under `torchrun` the ranks average their gradients.

    Goes on from `folder/base_state.pt` when it exists. Leaves the averaged (EMA) weights in `folder/base_ema.pt`.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("gloo")
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // world))
    torch.manual_seed(seed)
    transformer = WanTransformer3DModel(**TRANSFORMER_CONFIG)
    with torch.no_grad():
        transformer.proj_out.weight.zero_()  # starts by predicting nothing instead of noise
    fold_padding(transformer, PIPELINE_TEXT_LENGTH, TEXT_LENGTH + 1)
    modules = nn.ModuleDict({"transformer": transformer, "text_encoder": encoder})
    parameters = [p for p in modules.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.97), weight_decay=0.01, fused=True)
    average = copy.deepcopy(modules).eval()
    progress = {"phase": 0, "spent": 0.0, "step": 0}
    state = folder / "base_state.pt"
    if state.exists():
        saved = torch.load(state, weights_only=True)
        modules.load_state_dict(saved["modules"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        progress = saved["progress"]
    if compile_blocks:
        transformer.compile_repeated_blocks(fullgraph=True)
    log = (folder / "base_log.jsonl").open("a") if rank == 0 else None
    for number in range(progress["phase"], len(phases)):
        phase = phases[number]
        if progress["phase"] < number:
            progress.update(phase=number, spent=0.0)
        budget, losses = phase.minutes * 60, []
        clock = last_save = time.time()
        phase_step = 0
        while progress["spent"] < budget:
            rng = np.random.default_rng([seed, progress["step"], rank])  # a resumed run draws what it would have
            done = progress["spent"] / budget
            warm = min(1.0, (phase_step + 1) / 100)
            lr = warm * (phase.floor + (phase.peak_lr - phase.floor) * 0.5 * (1 + math.cos(math.pi * done)))
            for group in optimizer.param_groups:
                group["lr"] = lr
            latents, texts = draw_batch(sources, rng, phase.batch, phase.latent_frames, emotion_words, drop_text)
            times = shifted_timesteps(rng, phase.batch)
            noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
            with torch.autocast("cpu", torch.bfloat16):
                loss = flow_loss(transformer, latents, encode_text(encoder, tokenizer, texts), times, noise).mean()
            loss.backward()
            if world > 1:
                flat = torch.cat([p.grad.view(-1) for p in parameters])
                dist.all_reduce(flat)
                flat.div_(world)
                for p, piece in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
                    p.grad.copy_(piece.view_as(p))
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            decay = min(ema_decay, (progress["step"] + 1) / (progress["step"] + 10))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(modules.parameters()), 1 - decay)
            losses.append(loss.item())
            progress["step"] += 1
            phase_step += 1
            now = time.time()
            spent = torch.tensor([progress["spent"] + now - clock])
            if world > 1:
                dist.broadcast(spent, 0)  # all ranks must leave the loop at the same step
            progress["spent"], clock = spent.item(), now
            if log and progress["step"] % 25 == 0:
                entry = {"phase": phase.name, "step": progress["step"], "loss": round(float(np.mean(losses[-25:])), 4),
                         "lr": round(lr, 6), "spent": round(progress["spent"], 1), "of": budget}
                log.write(json.dumps(entry) + "\n")
                log.flush()
            if rank == 0 and (now - last_save > save_every or progress["spent"] >= budget):
                torch.save({"modules": _plain(modules), "average": average.state_dict(),
                            "optimizer": optimizer.state_dict(), "progress": progress}, state.with_suffix(".tmp"))
                state.with_suffix(".tmp").replace(state)
                torch.save(average.state_dict(), folder / "base_ema.tmp")
                (folder / "base_ema.tmp").replace(folder / "base_ema.pt")
                last_save = clock = time.time()
    if world > 1:
        dist.barrier()


def _plain(modules: nn.Module) -> dict[str, torch.Tensor]:
    return {k.replace("._orig_mod", ""): v for k, v in modules.state_dict().items()}
