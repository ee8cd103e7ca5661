"""The cached clips as training reads them, and the order they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from emogen.data.records import ClipRecord
from emogen.models import EmotionTensors
from emogen.training.cache import LatentCache
from emogen.training.objective import generator


@dataclass
class Batch:
    """B clips."""

    latents: torch.Tensor
    """[B, C, F, h, w] normalised latents, float32."""
    text: torch.Tensor
    """[B, L, text_dim] text embeddings, zero-padded."""
    emotion: EmotionTensors
    """Constant emotions; intensity 0 is none."""
    names: list[str]

    def to(self, device: torch.device) -> Batch:
        return Batch(self.latents.to(device), self.text.to(device), self.emotion.to(device), self.names)


class CachedClips:
    """Latents, text and emotions of a list of records, all of them encoded already.

    Args:
        preload: hold everything in memory; otherwise read a clip's two small files when it is asked for.

    `text_length` is the padded length of the text; set it to train on a shorter one (see `fold`).
    """

    def __init__(self, records: Sequence[ClipRecord], cache: LatentCache, preload: bool = True):
        if not records:
            raise ValueError("no clips to train on: every record was dropped or belongs to another split")
        self.records = list(records)
        self._cache = cache
        self.text_length = cache.text_length
        self._empty = cache.read_text("")
        self._text: dict[str, torch.Tensor] = {}
        self._latents: list[torch.Tensor] | None = None
        if preload:
            self._latents = [cache.read_latents(record) for record in self.records]
            for record in self.records:
                if record.caption not in self._text:
                    self._text[record.caption] = cache.read_text(record.caption)
        emotion = EmotionTensors.from_states([record.emotion for record in self.records])
        neutral = torch.tensor([record.emotion.is_neutral for record in self.records])
        self._emotion = emotion._replace(intensity=emotion.intensity.masked_fill(neutral, 0.0))

    def __len__(self) -> int:
        return len(self.records)

    def longest_text(self) -> int:
        """Tokens of the longest caption."""
        return max(len(self._caption(caption)) for caption in {"", *(r.caption for r in self.records)})

    def batch(
        self,
        indices: Sequence[int],
        drop_text: torch.Tensor | None = None,
        drop_emotion: torch.Tensor | None = None,
    ) -> Batch:
        """Gather clips; `drop_text` and `drop_emotion` are [B] bool (see `objective.Draw`)."""
        rows = torch.as_tensor(list(indices))
        text = torch.zeros(len(rows), self.text_length, self._empty.shape[1], dtype=self._empty.dtype)
        for j, index in enumerate(indices):
            dropped = drop_text is not None and bool(drop_text[j])
            tokens = self._empty if dropped else self._caption(self.records[index].caption)
            text[j, : len(tokens)] = tokens
        emotion = EmotionTensors(*(values[rows] for values in self._emotion))
        if drop_emotion is not None:
            emotion = emotion._replace(intensity=emotion.intensity.masked_fill(drop_emotion, 0.0))
        return Batch(
            latents=torch.stack([self._latent(index) for index in indices]).float(),
            text=text,
            emotion=emotion,
            names=[self.records[index].file_name for index in indices],
        )

    def _latent(self, index: int) -> torch.Tensor:
        return self._latents[index] if self._latents else self._cache.read_latents(self.records[index])

    def _caption(self, caption: str) -> torch.Tensor:
        return self._text[caption] if caption in self._text else self._cache.read_text(caption)


class ClipOrder:
    """Which clip stands at position p of an endless run of shuffled epochs, as a function of (seed, p).

    Args:
        labels: the label of every clip.
        balance: 0 shows every clip once an epoch; 1 shows every label equally often, repeating the clips of
            rare labels and skipping some of frequent ones; in between, clips weigh count ** -balance.
    """

    def __init__(self, labels: Sequence[str], seed: int, balance: float = 0.0):
        counts = {label: labels.count(label) for label in set(labels)}
        self._weights = torch.tensor([counts[label] ** -balance for label in labels], dtype=torch.float64)
        self._balanced = balance > 0
        self._seed = seed
        self._epoch = (-1, torch.empty(0, dtype=torch.long))

    def __call__(self, position: int) -> int:
        size = len(self._weights)
        number = position // size
        if self._epoch[0] != number:
            self._epoch = (number, self._draw(number))
        return int(self._epoch[1][position % size])

    def _draw(self, epoch: int) -> torch.Tensor:
        """A shuffled epoch. Balanced, by systematic resampling: clip i appears floor or ceil of its share."""
        random = generator("order", self._seed, epoch)
        size = len(self._weights)
        shuffled = torch.randperm(size, generator=random)
        if not self._balanced:
            return shuffled
        edges = self._weights[shuffled].cumsum(0)
        start = torch.rand(1, generator=random, dtype=torch.float64)
        ticks = (torch.arange(size, dtype=torch.float64) + start) / size * edges[-1]
        picks = torch.searchsorted(edges, ticks).clamp_max(size - 1)
        return shuffled[picks][torch.randperm(size, generator=random)]
