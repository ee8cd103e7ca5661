"""The cached clips as training reads them: batches of one size, with what is dropped taken out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from emogen.models import EmotionTensors, latent_frame_times
from emogen.training.data.cache import LatentCache
from emogen.training.data.clips import PlannedClip, moments_in_clip


@dataclass
class Batch:
    """What one forward of training reads: B clips of one size."""

    latents: torch.Tensor
    """[B, C, F, h, w] normalised latents, float32."""
    text: torch.Tensor
    """[B, L, text_dim] text embeddings, zero-padded."""
    emotion: EmotionTensors
    """One emotion a clip, or one a latent frame; intensity 0 is none."""
    names: list[str]
    condition: torch.Tensor | None = None
    """[B, temporal + C, F, h, w]: mask and latents of the first frame, for image-to-video."""
    image: torch.Tensor | None = None
    """[B, tokens, dim]: CLIP embedding of the first frame, for models with an image branch."""
    given: torch.Tensor | None = None
    """[B] bool: the first latent frame is given clean, for models that make clips from text or from a first frame."""
    expert: str = "transformer"
    """Which of a model's transformers denoises (see `Expert`)."""

    def to(self, device: torch.device) -> Batch:
        """On a device; nothing waits for the copies of what is `pinned`."""
        return self._each(lambda value: value.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """In memory from which a copy to a GPU needs no waiting."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        optional = [None if value is None else change(value) for value in (self.condition, self.image, self.given)]
        emotion = EmotionTensors(*map(change, self.emotion))
        return Batch(change(self.latents), change(self.text), emotion, self.names, *optional, self.expert)

    def with_given_frame(self, noisy: torch.Tensor) -> torch.Tensor:
        """A copy of `noisy` [B, C, F, h, w] with the clean first latent frame where it is `given`."""
        first = self.given.view(-1, 1, 1, 1)
        noisy = noisy.clone()
        noisy[:, :, 0] = torch.where(first, self.latents[:, :, 0].to(noisy), noisy[:, :, 0])
        return noisy


class CachedClips:
    """Latents, text and emotions of a list of clips, all of them encoded already.

    Args:
        preload: hold everything in memory; otherwise read a clip's two small files when it is asked for.
        soft_labels: spread an emotion over the others as far as its annotators disagree (see `ClipRecord.soft_target`);
            an emotion that changes over its clip is taken as it is written.
        temporal_factor: video frames a latent frame stands for.

    `text_length` is the padded length of the text; set it to train on a shorter one (see `Family.fold_text`).
    """

    def __init__(
        self,
        clips: Sequence[PlannedClip],
        cache: LatentCache,
        preload: bool = True,
        soft_labels: bool = True,
        temporal_factor: int = 4,
    ):
        if not clips:
            raise ValueError("no clips to train on: every record was dropped or belongs to another split")
        self.clips = list(clips)
        self.records = [clip.record for clip in clips]
        self.labels = [record.label for record in self.records]
        self.buckets = [clip.bucket for clip in clips]
        self.sizes = [(bucket.height, bucket.width) for bucket in self.buckets]
        self._cache = cache
        self.text_length = cache.text_length
        self._empty = cache.read_text("")
        self._text: dict[str, torch.Tensor] = {}
        self._tensors: list[dict[str, torch.Tensor]] | None = None
        if preload:
            self._tensors = [cache.read_clip(clip) for clip in self.clips]
            for record in self.records:
                if record.caption not in self._text:
                    self._text[record.caption] = cache.read_text(record.caption)
        states = [record.soft_target() if soft_labels else record.emotion for record in self.records]
        emotion = EmotionTensors.from_states(states)
        neutral = torch.tensor([record.emotion.is_neutral for record in self.records])
        self._emotion = emotion._replace(intensity=emotion.intensity.masked_fill(neutral, 0.0))
        self._arcs = {row: record.arc for row, record in enumerate(self.records) if record.arc is not None}
        self._read_arcs: dict[tuple[int, int], EmotionTensors] = {}
        self._temporal_factor = temporal_factor

    def __len__(self) -> int:
        return len(self.clips)

    def labelled(self) -> list[list[str]]:
        """What can be learned from them: each clip's name, size, and emotion as it is trained on."""
        shares = zip(*(values.tolist() for values in self._emotion), strict=True)
        return [[record.file_name, str(bucket), str(record.arc or list(own))]
                for record, bucket, own in zip(self.records, self.buckets, shares, strict=True)]  # fmt: skip

    def longest_text(self) -> int:
        """Tokens of the longest caption."""
        return max(len(self._caption(caption)) for caption in {"", *(r.caption for r in self.records)})

    def batch(
        self,
        indices: Sequence[int],
        drop_text: torch.Tensor | None = None,
        drop_emotion: torch.Tensor | None = None,
    ) -> Batch:
        """Gather clips of one size; `drop_text` and `drop_emotion` are [B] bool (see `objective.Draw`)."""
        text = torch.zeros(len(indices), self.text_length, self._empty.shape[1], dtype=self._empty.dtype)
        for j, index in enumerate(indices):
            dropped = drop_text is not None and bool(drop_text[j])
            tokens = self._empty if dropped else self._caption(self.records[index].caption)
            text[j, : len(tokens)] = tokens
        stored = [self._stored(index) for index in indices]
        tensors = {name: torch.stack([one[name] for one in stored]).float() for name in stored[0]}
        emotion = self.emotions(indices, tensors["latents"].shape[2])
        if drop_emotion is not None:
            dropped = drop_emotion.view(-1, *[1] * (emotion.intensity.ndim - 1))
            emotion = emotion._replace(intensity=emotion.intensity.masked_fill(dropped, 0.0))
        return Batch(
            latents=tensors["latents"],
            text=text,
            emotion=emotion,
            names=[self.records[index].file_name for index in indices],
            condition=tensors.get("condition"),
            image=tensors.get("image"),
        )

    def emotions(self, indices: Sequence[int], latent_frames: int = 1) -> EmotionTensors:
        """What the clips are labelled with; a neutral clip has intensity 0.

        One emotion a clip, or one a latent frame if any of the clips changes.
        """
        rows = torch.as_tensor(list(indices))
        constant = EmotionTensors(*(values[rows] for values in self._emotion))
        changing = [row for row, index in enumerate(indices) if index in self._arcs]
        if not changing:
            return constant
        moving = constant.over_time(latent_frames)
        for row in changing:
            for values, given in zip(moving, self._arc(indices[row], latent_frames), strict=True):
                values[row] = given[0]
        return moving

    def _arc(self, index: int, latent_frames: int) -> EmotionTensors:
        """Read once: blending states is slow beside a small model's step."""
        key = index, latent_frames
        if key not in self._read_arcs:
            times = latent_frame_times(latent_frames, self._temporal_factor)
            times = moments_in_clip(self.clips[index], times, self._cache.fps, self._cache.short_clips)
            self._read_arcs[key] = EmotionTensors.from_arcs([self._arcs[index]], times)
        return self._read_arcs[key]

    def _stored(self, index: int) -> dict[str, torch.Tensor]:
        return self._tensors[index] if self._tensors else self._cache.read_clip(self.clips[index])

    def _caption(self, caption: str) -> torch.Tensor:
        return self._text[caption] if caption in self._text else self._cache.read_text(caption)
