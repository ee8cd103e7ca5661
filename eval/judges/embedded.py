"""The judge: reads a clip and says which emotion it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from emogen.emotion import MIKELS
from emogen.eval.judges.classifier import ClipClassifier


@dataclass(frozen=True)
class Verdict:
    """What a judge says of a batch of clips.

    Attributes:
        distribution: `[B, 8]` over Mikels' eight in the order of `emogen.emotion.MIKELS`, rows sum to 1.
        valence_arousal: `[B, 2]` in [-1, 1].
        confidence: `[B]` in [0, 1]: the probability that the clip shows any emotion at all.
    """

    distribution: np.ndarray
    valence_arousal: np.ndarray
    confidence: np.ndarray

    @property
    def labels(self) -> list[str]:
        """The most probable of the eight, a clip."""
        return [MIKELS[i] for i in self.distribution.argmax(1)]


class Judge(Protocol):
    """Anything that reads clips: uint8 `[B, F, H, W, 3]` in, a `Verdict` out."""

    name: str

    def __call__(self, clips: np.ndarray) -> Verdict: ...


def to_tensor(clips: np.ndarray) -> torch.Tensor:
    """uint8 `[B, F, H, W, 3]` or float in [0, 1] -> float tensor `[B, F, 3, H, W]` in [0, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(clips))
    tensor = tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor.float()
    return tensor.permute(0, 1, 4, 2, 3)


class EmbeddedJudge:
    """The small classifier shipped with emogen, for stickers only; see its card for what it was trained on."""

    def __init__(self, folder: str | None = None, device: str = "cpu"):
        from emogen.embedded import embedded_judge

        self.network = ClipClassifier.from_pretrained(folder or embedded_judge()).eval().to(device)
        self.device = device
        self.name = "embedded sticker judge"

    @torch.no_grad()
    def __call__(self, clips: np.ndarray) -> Verdict:
        parts = [self.network(part.to(self.device)) for part in to_tensor(clips).split(32)]
        logits = torch.cat([p["emotion"] for p in parts]).float().cpu()
        va = torch.cat([p["valence_arousal"] for p in parts]).float().cpu()
        full = logits.softmax(-1)
        return Verdict(logits[:, :8].softmax(-1).numpy(), va.clamp(-1, 1).numpy(), (1 - full[:, 8]).numpy())


class ContentReader:
    """Reads shape, colour, background and accessory of a sticker: does the clip still show what the prompt names?"""

    def __init__(self, folder: str | None = None):
        from emogen.embedded import embedded_judge

        self.network = ClipClassifier.from_pretrained(folder or embedded_judge("content")).eval()

    @torch.no_grad()
    def __call__(self, clips: np.ndarray) -> list[dict[str, str]]:
        """One dict a clip: head name -> class name."""
        parts = [self.network(part) for part in to_tensor(clips).split(32)]
        read = {n: torch.cat([p[n] for p in parts]).argmax(-1).tolist() for n in self.network.config.heads}
        names = self.network.config.heads
        return [{n: names[n][read[n][i]] for n in names} for i in range(len(clips))]
