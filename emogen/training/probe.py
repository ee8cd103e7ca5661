"""An auxiliary loss: a small probe reads the emotion of the predicted clean latent.

The probe is trained first, on the clean latents of the run's own training clips, and then frozen. It knows nothing of
pixels or of any judge, so a judge's agreement stays an independent measure. Off by default (`objective.probe_weight`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from emogen.emotion import MIKELS
from emogen.files import atomic
from emogen.made import note_made, why_not_made
from emogen.models import EmotionTensors
from emogen.training.data.batches import CachedClips
from emogen.training.objective import generator

_CLASSES = len(MIKELS) + 1  # the last is neutral


class LatentProbe(nn.Module):
    """Latents [B, C, F, h, w] to logits [B, 9]: Mikels' eight, then neutral."""

    def __init__(self, channels: int, width: int = 32):
        super().__init__()
        sizes = [channels, width, 2 * width, 2 * width]
        self.layers = nn.ModuleList(nn.Conv3d(a, b, 3, stride=(1, 2, 2), padding=1) for a, b in pairwise(sizes))
        self.head = nn.Linear(sizes[-1], _CLASSES)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        hidden = latents.float()
        for layer in self.layers:
            hidden = functional.silu(layer(hidden))
        return self.head(hidden.mean(dim=(2, 3, 4)))


def targets(emotion: EmotionTensors) -> torch.Tensor:
    """[B, 9] shares that sum to 1: the blend, and neutral for what is missing from full intensity."""
    emotion = emotion.mean_over_time()
    strength = emotion.intensity.clamp(0, 1)[:, None]
    return torch.cat([emotion.distribution * strength, 1 - emotion.distribution.sum(1, keepdim=True) * strength], dim=1)


def probe_loss(probe: LatentProbe, clean: torch.Tensor, emotion: EmotionTensors, sigma: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of what the probe reads off predicted clean latents [B, C, F, h, w], for every clip, [B].

    Weighted by 1 - sigma, for at high noise the prediction is an average of many clips; 0 where the emotion was taken
    away, for there the model was not told what to show.
    """
    loss = functional.cross_entropy(probe(clean), targets(emotion), reduction="none")
    return loss * (1 - sigma) * (emotion.mean_over_time().intensity != 0)


def train_probe(clips: CachedClips, seed: int, steps: int = 300, batch: int = 32, device: str = "cpu") -> LatentProbe:
    """A probe of the clips' own latents, frozen. Deterministic in the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = LatentProbe(clips.batch([0]).latents.shape[1]).to(device)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=3e-3, weight_decay=0.01)
    by_size: dict[object, list[int]] = {}
    for index, bucket in enumerate(clips.buckets):
        by_size.setdefault(bucket, []).append(index)
    sizes = [torch.tensor(rows) for rows in by_size.values()]
    shares = torch.tensor([float(len(rows)) for rows in sizes])
    for step in range(steps):
        random = generator("probe", seed, step)
        rows = sizes[int(torch.multinomial(shares, 1, generator=random))]
        chosen = rows[torch.randint(len(rows), (min(batch, len(rows)),), generator=random)].tolist()
        one = clips.batch(chosen).to(torch.device(device))
        loss = functional.cross_entropy(probe(one.latents), targets(one.emotion))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return probe.requires_grad_(False).eval()


@torch.no_grad()
def probe_accuracy(probe: LatentProbe, clips: CachedClips, device: str = "cpu") -> float:
    """How often the probe's first choice is the clip's label, in [0, 1]."""
    right = 0.0
    for index in range(len(clips)):
        one = clips.batch([index]).to(torch.device(device))
        right += float((probe(one.latents).argmax(1) == targets(one.emotion).argmax(1)).float())
    return right / len(clips)


def made_probe(
    path: Path, clips: CachedClips, held_out: CachedClips | None, recipe: dict[str, Any], device: str,
    say: Callable[[str], None],
) -> LatentProbe:  # fmt: skip
    """Train a probe into a file, or leave the one that lies there if it was made by an equal recipe.

    Args:
        recipe: what the encoders are and the seed; which clips with which labels is added to it.
    """
    recipe = {**recipe, "clips": clips.labelled(), "classes": _CLASSES}
    why = why_not_made(path, recipe)
    if why is not None:
        if path.is_file():
            say(f"{path.name} is made again: {why}")
        probe = train_probe(clips, recipe["seed"], device=device)
        with atomic(path) as temporary:
            save_file({name: value.cpu().contiguous() for name, value in probe.state_dict().items()}, temporary)
        note_made(path, recipe)
        if held_out is not None:
            right = probe_accuracy(probe, held_out, device)
            say(f"probe: {right:.0%} of {len(held_out)} held-out clips read as labelled")
    return load_probe(path, clips.batch([0]).latents.shape[1])


def load_probe(path: Path, channels: int) -> LatentProbe:
    probe = LatentProbe(channels)
    probe.load_state_dict(load_file(path))
    return probe.requires_grad_(False).eval()
