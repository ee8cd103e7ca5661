"""What the trainer has to know of a Wan checkpoint: its kind, its sizes, its conditions, its forward.

A trainer for another model family would replace this file and `encode.py`. Text-to-video and image-to-video differ
only here: image-to-video sees, beside the noisy latents, the mask and latents of the first frame, and in models with
an image branch the CLIP embedding of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import nn

from emogen.training.data.batch import Batch

_IMAGE_MODEL_TEXT_LENGTH = 512


class ModelFolderError(ValueError):
    """A folder is not a Wan checkpoint that this trainer can train."""


@dataclass(frozen=True)
class WanSpecification:
    """A Wan2.1 checkpoint in diffusers' format.

    Attributes:
        folder: where it lies.
        kind: "t2v" or "i2v".
        image_branch: whether the cross-attention also sees a CLIP embedding of the first frame.
        spatial, temporal: pixels and frames a latent stands for.
        patch: latents a token stands for, (frames, height, width).
        channels: of the latents.
    """

    folder: Path
    kind: str
    image_branch: bool
    spatial: int
    temporal: int
    patch: tuple[int, int, int]
    channels: int

    @classmethod
    def from_folder(cls, folder: Path) -> WanSpecification:
        """Raises ModelFolderError: parts are missing, or it is of another family."""
        for part in ("transformer", "vae", "text_encoder", "tokenizer"):
            if not (folder / part).is_dir():
                raise ModelFolderError(f"{folder}: has no folder {part!r}; expected a Wan model in diffusers' format")
        transformer, vae = (_read(folder / part / "config.json") for part in ("transformer", "vae"))
        if transformer.get("_class_name") != WanTransformer3DModel.__name__:
            name = transformer.get("_class_name")
            raise ModelFolderError(f"{folder}/transformer is a {name}; a WanTransformer3DModel is needed")
        if (folder / "transformer_2").is_dir():
            raise ModelFolderError(f"{folder}: has two transformers (Wan2.2), which this trainer does not know")
        levels = vae.get("temperal_downsample", [False, True, True])
        temporal = vae.get("scale_factor_temporal") or 2 ** sum(levels)
        spatial = vae.get("scale_factor_spatial") or 2 ** len(levels)
        inside, outside = transformer["in_channels"], transformer["out_channels"]
        if inside == outside:
            kind = "t2v"
        elif inside == 2 * outside + temporal:
            kind = "i2v"
        else:
            raise ModelFolderError(
                f"{folder}/transformer takes {inside} channels for {outside}: neither text-to-video ({outside}) nor "
                f"image-to-video ({2 * outside + temporal}); VACE, Fun and camera models are not trained here"
            )
        branch = transformer.get("image_dim") is not None
        if kind == "i2v" and branch and not (folder / "image_encoder").is_dir():
            raise ModelFolderError(f"{folder}: its transformer has an image branch but there is no image_encoder")
        return cls(folder, kind, branch, spatial, temporal, tuple(transformer["patch_size"]), outside)

    @property
    def size_multiple(self) -> int:
        """Heights and widths in pixels must be multiples of this."""
        return self.spatial * max(self.patch[1:])

    def tokens(self, num_frames: int, height: int, width: int) -> int:
        """Tokens of one clip in the transformer."""
        frames = (num_frames - 1) // self.temporal + 1
        return frames * height * width // (self.patch[0] * self.spatial**2 * self.patch[1] * self.patch[2])

    def check_text_length(self, length: int) -> None:
        """Raises ModelFolderError: an image branch with another length than the one Wan's attention splits at."""
        if self.image_branch and length != _IMAGE_MODEL_TEXT_LENGTH:
            raise ModelFolderError(
                f"{self.folder}: Wan's attention with an image branch takes {_IMAGE_MODEL_TEXT_LENGTH} text tokens; "
                f"set data.max_sequence_length to that, not {length} (model.fold_padding makes short captions cheap)"
            )

    def forward(
        self, transformer: nn.Module, noisy: torch.Tensor, sigma: torch.Tensor, batch: Batch, use_emotion: bool
    ) -> torch.Tensor:
        """Velocity [B, C, F, h, w] at noise level sigma [B] for noisy latents [B, C, F, h, w]."""
        dtype = transformer.dtype
        extra: dict[str, Any] = {"emotion": batch.emotion} if use_emotion else {}
        if batch.condition is not None:
            noisy = torch.cat([noisy, batch.condition.to(noisy)], dim=1)
        if batch.image is not None:
            extra["encoder_hidden_states_image"] = batch.image.to(dtype)
        return transformer(
            hidden_states=noisy.to(dtype),
            timestep=1000.0 * sigma,
            encoder_hidden_states=batch.text.to(dtype),
            return_dict=False,
            **extra,
        )[0]


def resolve_model(path: str, revision: str | None = None) -> Path:
    """The local folder of a model: a folder, "embedded", "embedded_i2v", or a hub id (downloaded on first use).

    Raises:
        FileNotFoundError: it is none of these.
    """
    if path in ("embedded", "embedded_i2v"):
        from emogen.embedded import embedded_i2v_model, embedded_model

        return Path(embedded_model() if path == "embedded" else embedded_i2v_model())
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        unused = ["*.bin", "*.pth", "*.msgpack"]
        return Path(snapshot_download(path, revision=revision, ignore_patterns=unused))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise FileNotFoundError(
            f'model.pretrained_model_name_or_path: {path!r} is neither a folder, nor "embedded", nor a model on the '
            f"hub: {error}"
        ) from error


def base_name(path: str) -> str:
    """How to call the base model in files that travel: a hub id as it is, a folder by its name."""
    return Path(path).name if Path(path).is_dir() else path


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ModelFolderError(f"{path}: cannot be read: {error}") from error
