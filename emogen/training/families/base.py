"""The seam between training and a model family: what a family's file has to answer, and the model that is trained.

Everything else in `emogen.training` calls a `Family`. To train another family, write a file beside `wan.py` with a
`Family` and an `EmotionModel` of its own, and add it to `emogen.training.families.FAMILIES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline, ModelMixin

    from emogen.models import EmotionAdapter, EmotionAdapterConfig
    from emogen.models.text_limit import TextLimit


class ModelFolderError(ValueError):
    """A folder is not a checkpoint that can be trained here."""


@dataclass(frozen=True)
class Expert:
    """One transformer of a checkpoint, and the noise levels that it denoises.

    Attributes:
        name: its folder in the checkpoint, and its name in a pipeline.
        lowest, highest: of its levels, in 0..1.
        label: what users of other programs call it ("high_noise", "low_noise"); empty for the only one.
    """

    name: str = "transformer"
    lowest: float = 0.0
    highest: float = 1.0
    label: str = ""


class EmotionModel(nn.Module):
    """What is trained, under one root, so that distributed wrappers see every parameter.

    A family's subclass has the `forward(noisy, sigma, batch)`: velocity [B, C, F, h, w] at noise level sigma [B] for
    noisy latents [B, C, F, h, w] and the rest of a `Batch`.

    Args:
        family: how the transformer is called and read.
        transformer: frozen but for its LoRA and its emotion adapter.
        adapter: the emotion adapter it carries, or None when only a LoRA is trained.
        transformer_2: of a family of two experts, the second's, which carries the same adapter.
    """

    def __init__(
        self,
        family: Family,
        transformer: ModelMixin,
        adapter: EmotionAdapter | None,
        transformer_2: ModelMixin | None = None,
    ):
        super().__init__()
        self.family = family
        self.transformer = transformer
        if transformer_2 is not None:
            self.transformer_2 = transformer_2
        self.adapter = adapter

    @property
    def transformers(self) -> dict[str, ModelMixin]:
        """Every expert's, by the name it has in a pipeline."""
        modules = (self.transformer, getattr(self, "transformer_2", None))
        return {expert.name: module for expert, module in zip(self.family.experts, modules, strict=False)}

    def parameter_prefix(self, name: str) -> str:
        """How the names of an expert's parameters begin in `trainable`."""
        module = self.transformers[name]
        return "transformer." if module is self.transformer else "transformer_2."

    def pipeline(self, device: torch.device, with_text: bool) -> DiffusionPipeline:
        """A pipeline that samples from what is being trained (see `Family.pipeline`)."""
        return self.family.pipeline(self.transformer, device, with_text)

    def trainable(self) -> dict[str, nn.Parameter]:
        """Name -> parameter of everything that is trained, in a fixed order."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The LoRA's and the adapter's parameters, which have learning rates of their own."""
        groups: dict[str, list[nn.Parameter]] = {"lora": [], "adapter": []}
        for name, value in self.trainable().items():
            groups["lora" if ".lora_" in name else "adapter"].append(value)
        return {name: values for name, values in groups.items() if values}


@dataclass(frozen=True, kw_only=True)
class Family(ABC):
    """A checkpoint, read by its family.

    Attributes:
        folder: where it lies, in diffusers' format.
        kind: "t2v" (text to video) or "i2v" (a first frame and text to video).
        spatial, temporal: pixels and frames a latent stands for.
        patch: latents a token stands for, (frames, height, width).
        channels: of the latents.
        condition_channels: of what the transformer sees beside the noisy latents; 0 for text to video.
        text_dim: of a text token.
        image_tokens, image_dim: of the first frame's embedding; 0 where the transformer sees none.
        layers, heads: of the transformer.
    """

    transformer_class: ClassVar[str]
    """The `_class_name` of the transformer's `config.json` by which a folder is known as this family's."""

    folder: Path
    kind: str
    spatial: int
    temporal: int
    patch: tuple[int, int, int]
    channels: int
    condition_channels: int = 0
    text_dim: int
    image_tokens: int = 0
    image_dim: int = 0
    layers: int
    heads: int

    @classmethod
    def takes(cls, config: Mapping[str, Any], folder: Path | None = None) -> bool:
        """Whether a checkpoint is of this family, by its transformer's configuration and, if there is one, its
        folder."""
        return config.get("_class_name") == cls.transformer_class

    @classmethod
    @abstractmethod
    def from_folder(cls, folder: Path) -> Family:
        """Read a checkpoint's sizes; load no weight.

        Raises:
            ModelFolderError: parts are missing, or it is a kind that is not trained here.
        """

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any], folder: Path = Path("no folder")) -> Family:
        """The same of a transformer's configuration alone (its `config.json`), for what needs no encoder."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """The configuration of the transformer, as `from_config` takes it, with its `_class_name`."""

    @property
    @abstractmethod
    def clip_defaults(self) -> dict[str, Any]:
        """`height`, `width`, `num_frames`, `fps` and `max_sequence_length` that the model was made for."""

    @property
    @abstractmethod
    def encoder_folders(self) -> dict[str, list[Path]]:
        """ "text" and "clips": the folders whose contents decide what captions and clips are encoded to."""

    @abstractmethod
    def text_encoder(self, device: torch.device, length: int) -> Callable[[Sequence[str]], list[torch.Tensor]]:
        """Load what turns captions into embeddings [tokens, text_dim], without padding, of at most `length` tokens."""

    @abstractmethod
    def text_limit(self, length: int) -> TextLimit:
        """Counts the tokens of captions, of which `length` are read."""

    @abstractmethod
    def clip_encoder(self, device: torch.device) -> Callable[[torch.Tensor], dict[str, torch.Tensor]]:
        """Load what turns pixels [B, 3, F, H, W] in [-1, 1] into `latents` [B, C, f, h, w], normalised, and for i2v
        `condition` [B, condition_channels, f, h, w] and, where there are image tokens, `image` [B, tokens, dim]."""

    @abstractmethod
    def load_transformer(self, dtype: torch.dtype, **extra: Any) -> ModelMixin:
        """The base with its weights; `extra` goes to `from_pretrained`."""

    @abstractmethod
    def empty_transformer(self, layers: int | None = None) -> ModelMixin:
        """The base without weights, on the default device, with so many blocks instead of its own."""

    @abstractmethod
    def blocks(self, transformer: nn.Module) -> nn.ModuleList:
        """The repeated blocks."""

    @abstractmethod
    def keeps_float32(self, name: str) -> bool:
        """Whether a parameter stays float32 when the model is loaded in fewer bits."""

    @abstractmethod
    def wrap(self, transformer: ModelMixin, adapter: EmotionAdapter | None) -> EmotionModel:
        """The model that is trained."""

    @property
    @abstractmethod
    def pipeline_class(self) -> type[DiffusionPipeline]:
        """What samples from the model with an emotion: previews, `sample.py`, the model card."""

    @property
    @abstractmethod
    def stock_pipeline_class(self) -> type[DiffusionPipeline]:
        """diffusers' own, which takes the LoRA alone."""

    @abstractmethod
    def pipeline(self, transformer: nn.Module, device: torch.device, with_text: bool) -> DiffusionPipeline:
        """A `pipeline_class` around the transformer in training; with `with_text` its text encoder is loaded too."""

    @property
    def experts(self) -> tuple[Expert, ...]:
        """The transformers that are trained, one or two."""
        return (Expert(),)

    @property
    def samples(self) -> bool:
        """Whether what is trained is all that a pipeline needs, so that samples can be drawn in between."""
        return True

    @property
    def gives_first_frame(self) -> bool:
        """Whether the model that makes clips from text takes their first frame as well (see `Batch.given`)."""
        return False

    def expert_of_step(self, step: int) -> Expert:
        """The one that an optimizer step trains: they take turns."""
        return self.experts[step % len(self.experts)]

    def expert_at(self, level: float) -> Expert:
        """The one that denoises at a noise level; the nearest of those that are trained."""
        return min(self.experts, key=lambda one: max(one.lowest - level, level - one.highest, 0.0))

    def choosing(self, experts: str) -> Family:
        """This family with the experts of `model.experts`: "both", "high" or "low".

        Raises:
            ModelFolderError: there is but one.
        """
        if experts != "both":
            raise ModelFolderError(
                f"{self.folder}: has one transformer, for all noise levels; leave model.experts at both, not {experts}"
            )
        return self

    def load_transformers(self, dtype: torch.dtype, **extra: Any) -> list[ModelMixin]:
        """The base of every expert."""
        return [self.load_transformer(dtype, **extra)]

    def attach_adapter(self, transformer: ModelMixin, config: EmotionAdapterConfig) -> EmotionAdapter:
        """Dress the transformer with an emotion adapter, in float32.

        Raises:
            ModelFolderError: there is none for this family.
        """
        raise ModelFolderError(
            f"{self.folder}: there is no emotion adapter for a {self.transformer_class}; set "
            "adapter.train_adapter: false"
        )

    def fold_text(self, transformer: ModelMixin, text_length: int, folded: int) -> None:
        """Make the transformer take `folded` text tokens for `text_length` of them, with the same result.

        Raises:
            ModelFolderError: this family cannot.
        """
        raise ModelFolderError(
            f"{self.folder}: a {self.transformer_class} cannot fold its padding; set model.fold_padding: false"
        )

    def unfolded(self, transformer: nn.Module, adapter: EmotionAdapter | None) -> AbstractContextManager[None]:
        """Inside, the transformer and the adapter it carries take their full text length again."""
        return nullcontext()

    def check_text_length(self, length: int) -> None:
        """Raises ModelFolderError: the model takes another number of text tokens."""
        return

    @property
    def size_multiple(self) -> int:
        """Heights and widths in pixels must be multiples of this."""
        return self.spatial * max(self.patch[1:])

    def latent_size(self, num_frames: int, height: int, width: int) -> tuple[int, int, int]:
        """(frames, height, width) of the latents of a clip of this size in frames and pixels."""
        return (num_frames - 1) // self.temporal + 1, height // self.spatial, width // self.spatial

    def tokens(self, num_frames: int, height: int, width: int) -> int:
        """Tokens of one clip in the transformer."""
        frames = (num_frames - 1) // self.temporal + 1
        return frames * height * width // (self.patch[0] * self.spatial**2 * self.patch[1] * self.patch[2])
