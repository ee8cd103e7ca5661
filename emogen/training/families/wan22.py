"""Wan2.2: what its checkpoints do otherwise than Wan2.1's.

A14B (text or image to video) has two transformers of one size. The first denoises the levels from `boundary_ratio` up
(high noise), the second those below (low noise); a step of training is of one of them, at levels of its side. TI2V
(5B) has one transformer over the latents of an autoencoder of its own. It takes a first frame as a clean latent frame
at noise level 0 among the noisy ones, so every token is told a level of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DiffusionPipeline, WanTransformer3DModel
from torch import nn

from emogen.models import EmotionAdapter, EmotionAdapterConfig
from emogen.training.families.base import Expert, ModelFolderError
from emogen.training.families.wan import WanFamily, WanModel, read_json

if TYPE_CHECKING:
    from emogen.training.data.batches import Batch

_TI2V_CHANNELS, _TI2V_SPATIAL = 48, 16  # of the autoencoder that only TI2V has
_EXPANDS = "_expand_timesteps"  # in `described`, for what has no folder to look into
_CHOICES = {"both": ("transformer", "transformer_2"), "high": ("transformer",), "low": ("transformer_2",)}


class Wan22Model(WanModel):
    """One or two Wan2.2 transformers in training."""

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor, batch: Batch) -> torch.Tensor:
        """As `EmotionModel` says; the transformer is that of `batch.expert`, and where a clip's first latent frame is
        given (`batch.given`), what is predicted for it means nothing."""
        transformer = self.transformers.get(batch.expert, self.transformer)
        if not self.family.expands:
            return self.predict(transformer, noisy, 1000.0 * sigma, batch)
        frames, height, width = noisy.shape[2:]
        level = sigma.view(-1, 1).repeat(1, frames)
        if batch.given is not None:
            noisy = batch.with_given_frame(noisy)
            level[:, 0] = level[:, 0].masked_fill(batch.given, 0.0)
        patch = self.family.patch
        tokens = (height // patch[1]) * (width // patch[2])
        level = level[:, :: patch[0]].repeat_interleave(tokens, dim=1)
        return self.predict(transformer, noisy, 1000.0 * level, batch)

    def pipeline(self, device: torch.device, with_text: bool) -> DiffusionPipeline:
        second = getattr(self, "transformer_2", None)
        return self.family.pipeline(self.transformer, device, with_text, transformer_2=second)


@dataclass(frozen=True, kw_only=True)
class Wan22Family(WanFamily):
    """A Wan2.2 checkpoint.

    Attributes:
        boundary: the noise level at which the two transformers of an A14B meet; None for a TI2V.
        expands: whether it is a TI2V.
        trained: the folders of the transformers that are trained.
    """

    boundary: float | None = None
    expands: bool = False
    trained: tuple[str, ...] = ("transformer",)

    @classmethod
    def takes(cls, config: Mapping[str, Any], folder: Path | None = None) -> bool:
        if not super().takes(config):
            return False
        if config.get(_EXPANDS) or config.get("in_channels") == _TI2V_CHANNELS:
            return True
        if folder is None:  # an A14B's transformer looks like one of Wan2.1
            return False
        index = folder / "model_index.json"
        return (folder / "transformer_2").is_dir() or (
            index.is_file() and bool(read_json(index).get("expand_timesteps"))
        )

    @classmethod
    def from_folder(cls, folder: Path) -> Wan22Family:
        found = super().from_folder(folder)
        if not (folder / "transformer_2").is_dir():
            return replace(found, expands=True)
        boundary = read_json(folder / "model_index.json").get("boundary_ratio")
        if not isinstance(boundary, float) or not 0 < boundary < 1:
            raise ModelFolderError(
                f"{folder}/model_index.json: boundary_ratio is {boundary!r}; a model of two transformers needs the "
                "noise level at which they meet, such as 0.875 (T2V) or 0.9 (I2V)"
            )
        first, second = (_sizes(read_json(folder / name / "config.json")) for name in _CHOICES["both"])
        if first != second:
            raise ModelFolderError(f"{folder}: transformer and transformer_2 differ in size, so they are no pair")
        return replace(found, boundary=boundary, trained=_CHOICES["both"])

    @classmethod
    def from_config(cls, config: Mapping[str, Any], folder: Path = Path("no folder")) -> Wan22Family:
        published = config.get("in_channels") == _TI2V_CHANNELS
        spatial = {"spatial": _TI2V_SPATIAL} if published else {}
        return replace(super().from_config(config, folder), expands=True, **spatial)

    def described(self) -> dict[str, Any]:
        return {**super().described(), **({_EXPANDS: True} if self.expands else {})}

    @property
    def published(self) -> dict[str, Any]:
        size = {"height": 704, "width": 1280, "num_frames": 121, "fps": 24.0} if self.expands else {}
        return super().published | size

    @property
    def experts(self) -> tuple[Expert, ...]:
        if self.boundary is None:
            return (Expert(),)
        both = (
            Expert("transformer", self.boundary, 1.0, "high_noise"),
            Expert("transformer_2", 0.0, self.boundary, "low_noise"),
        )
        return tuple(expert for expert in both if expert.name in self.trained)

    @property
    def gives_first_frame(self) -> bool:
        return self.expands

    @property
    def samples(self) -> bool:
        return self.boundary is None or self.trained == _CHOICES["both"]

    def choosing(self, experts: str) -> Wan22Family:
        return super().choosing(experts) if self.boundary is None else replace(self, trained=_CHOICES[experts])

    def load_transformers(self, dtype: torch.dtype, **extra: Any) -> list[WanTransformer3DModel]:
        return [self.load_transformer(dtype, name, **extra) for name in self.trained]

    def attach_adapter(self, transformer: WanTransformer3DModel, config: EmotionAdapterConfig) -> EmotionAdapter:
        if self.boundary is None or len(self.trained) > 1:
            return super().attach_adapter(transformer, config)
        return super().attach_adapter(transformer, replace(config, expert=self.trained[0]))

    def wrap(
        self,
        transformer: WanTransformer3DModel,
        adapter: EmotionAdapter | None,
        transformer_2: WanTransformer3DModel | None = None,
    ) -> Wan22Model:
        return Wan22Model(self, transformer, adapter, transformer_2)

    def pipeline(
        self, transformer: nn.Module, device: torch.device, with_text: bool, **extra: Any
    ) -> DiffusionPipeline:
        extra |= {"boundary_ratio": self.boundary, "expand_timesteps": self.expands}
        return super().pipeline(transformer, device, with_text, **extra)


def _sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not name.startswith("_")}
