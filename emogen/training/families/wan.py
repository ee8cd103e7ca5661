"""Wan2.1: everything that training has to know of it. `wan22.py` adds what Wan2.2 does otherwise.

Text-to-video and image-to-video differ only here: image-to-video sees, beside the noisy latents, the mask and latents
of the first frame, and in models with an image branch the CLIP embedding of it. What the encoders make is what
diffusers' own pipelines make: text through `WanPipeline.encode_prompt`, the first frame's embedding, latents and mask
through `WanImageToVideoPipeline.encode_image` and `prepare_latents`.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import diffusers
import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from PIL import Image
from torch import nn
from transformers import AutoTokenizer, UMT5EncoderModel

from emogen.models import EmotionAdapter, EmotionAdapterConfig, attach_emotion_adapter
from emogen.models.compat import BACKEND, kept_in_float32
from emogen.models.text_limit import TextLimit
from emogen.pipelines.defaults import GenerationDefaults
from emogen.training.families.base import EmotionModel, Family, ModelFolderError

if TYPE_CHECKING:
    from emogen.training.data.batches import Batch

_IMAGE_MODEL_TEXT_LENGTH = 512
_IMAGE_TOKENS = 257  # of the CLIP model of the image-to-video checkpoints
# Wan2.1 at 480p, for a model whose folder does not say what it was made for
_PUBLISHED = {"height": 480, "width": 832, "num_frames": 81, "fps": 16.0, "max_sequence_length": 512}
_SPATIAL, _TEMPORAL = 8, 4  # of the published autoencoder


class WanModel(EmotionModel):
    """A Wan transformer in training."""

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Velocity [B, C, F, h, w] at noise level sigma [B] for noisy latents [B, C, F, h, w]."""
        return self.predict(self.transformer, noisy, 1000.0 * sigma, batch)

    def predict(
        self, transformer: WanTransformer3DModel, noisy: torch.Tensor, timestep: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """The same of one transformer, at timesteps in 0..1000, [B] or [B, tokens]."""
        dtype = transformer.dtype
        extra: dict[str, Any] = {"emotion": batch.emotion} if self.adapter is not None else {}
        if batch.condition is not None:
            noisy = torch.cat([noisy, batch.condition.to(noisy)], dim=1)
        if batch.image is not None:
            extra["encoder_hidden_states_image"] = batch.image.to(dtype)
        return transformer(
            hidden_states=noisy.to(dtype),
            timestep=timestep,
            encoder_hidden_states=batch.text.to(dtype),
            return_dict=False,
            **extra,
        )[0]


@dataclass(frozen=True, kw_only=True)
class WanFamily(Family):
    """A Wan2.1 checkpoint."""

    transformer_class: ClassVar[str] = WanTransformer3DModel.__name__

    config: Mapping[str, Any]
    """The transformer's."""

    @classmethod
    def from_folder(cls, folder: Path) -> WanFamily:
        for part in ("transformer", "vae", "text_encoder", "tokenizer"):
            if not (folder / part).is_dir():
                raise ModelFolderError(f"{folder}: has no folder {part!r}; expected a Wan model in diffusers' format")
        transformer, vae = (read_json(folder / part / "config.json") for part in ("transformer", "vae"))
        if transformer.get("_class_name") != cls.transformer_class:
            raise ModelFolderError(f"{folder}/transformer is not a {cls.transformer_class}")
        if transformer.get("pos_embed_seq_len"):
            raise ModelFolderError(f"{folder}: takes a first and a last frame (FLF2V), which is not trained here")
        levels = vae.get("temperal_downsample", [False, True, True])
        temporal = vae.get("scale_factor_temporal") or 2 ** sum(levels)
        spatial = vae.get("scale_factor_spatial") or 2 ** len(levels)
        found = cls._sized(transformer, folder, spatial, temporal)
        if found.kind == "i2v" and found.image_dim and not (folder / "image_encoder").is_dir():
            raise ModelFolderError(f"{folder}: its transformer has an image branch but there is no image_encoder")
        return found

    @classmethod
    def from_config(cls, config: Mapping[str, Any], folder: Path = Path("no folder")) -> WanFamily:
        inside = config.get("in_channels", 16)
        mask = inside - 2 * (config.get("out_channels") or inside)  # of an image-to-video model: a channel a frame
        return cls._sized(config, folder, _SPATIAL, mask if mask > 0 else _TEMPORAL)

    @classmethod
    def _sized(cls, config: Mapping[str, Any], folder: Path, spatial: int, temporal: int) -> WanFamily:
        inside = config.get("in_channels", 16)
        outside = config.get("out_channels") or inside
        if inside not in (outside, 2 * outside + temporal):
            raise ModelFolderError(
                f"{folder}/transformer takes {inside} channels for {outside}: neither text-to-video ({outside}) nor "
                f"image-to-video ({2 * outside + temporal}); VACE, Fun and camera models are not trained here"
            )
        image = config.get("image_dim") or 0
        return cls(
            folder=folder,
            kind="t2v" if inside == outside else "i2v",
            spatial=spatial,
            temporal=temporal,
            patch=tuple(config.get("patch_size", (1, 2, 2))),
            channels=outside,
            condition_channels=inside - outside,
            text_dim=config.get("text_dim", 4096),
            image_tokens=_IMAGE_TOKENS if image else 0,
            image_dim=image,
            layers=config.get("num_layers", 40),
            heads=config.get("num_attention_heads", 40),
            config={name: value for name, value in config.items() if not name.startswith("_")},
        )

    def described(self) -> dict[str, Any]:
        return {**self.config, "_class_name": self.transformer_class}

    @property
    def clip_defaults(self) -> dict[str, Any]:
        made_for = GenerationDefaults.from_pretrained(self.folder)
        return {name: value if (value := getattr(made_for, name)) is not None else published
                for name, published in self.published.items()}  # fmt: skip

    @property
    def published(self) -> dict[str, Any]:
        """What the published model of this kind was made for."""
        return _PUBLISHED

    def check_text_length(self, length: int) -> None:
        if self.image_dim and length != _IMAGE_MODEL_TEXT_LENGTH:
            raise ModelFolderError(
                f"{self.folder}: Wan's attention with an image branch takes {_IMAGE_MODEL_TEXT_LENGTH} text tokens; "
                f"set data.max_sequence_length to that, not {length} (model.fold_padding makes short captions cheap)"
            )

    # Encoding

    @property
    def encoder_folders(self) -> dict[str, list[Path]]:
        clips = ["vae", *(["image_encoder", "image_processor"] if self.image_dim else [])]
        names = {"text": ["text_encoder", "tokenizer"], "clips": clips}
        return {what: [self.folder / name for name in parts] for what, parts in names.items()}

    def text_encoder(self, device: torch.device, length: int) -> Callable[[Sequence[str]], list[torch.Tensor]]:
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        encoder = UMT5EncoderModel.from_pretrained(self.folder / "text_encoder", dtype=dtype).to(device).eval()
        tokenizer = AutoTokenizer.from_pretrained(self.folder / "tokenizer")
        pipeline = WanPipeline(tokenizer=tokenizer, text_encoder=encoder, vae=None, scheduler=None)

        def encode(captions: Sequence[str]) -> list[torch.Tensor]:
            embeds, _ = pipeline.encode_prompt(
                list(captions), do_classifier_free_guidance=False, max_sequence_length=length, device=device
            )
            # the pipeline pads with exact zeros
            return [row[: int(row.ne(0).any(-1).sum())] for row in embeds]

        return encode

    def text_limit(self, length: int) -> TextLimit:
        return TextLimit.from_folder(self.folder, length)

    def clip_encoder(self, device: torch.device) -> WanClipEncoder:
        return WanClipEncoder(self, device)

    # The transformer

    def load_transformer(self, dtype: torch.dtype, name: str = "transformer", **extra: Any) -> WanTransformer3DModel:
        return WanTransformer3DModel.from_pretrained(self.folder, subfolder=name, torch_dtype=dtype, **extra)

    def empty_transformer(self, layers: int | None = None) -> WanTransformer3DModel:
        return WanTransformer3DModel.from_config({**self.config, "num_layers": layers or self.layers})

    def blocks(self, transformer: nn.Module) -> nn.ModuleList:
        return transformer.blocks

    def keeps_float32(self, name: str) -> bool:
        return bool(set(kept_in_float32(WanTransformer3DModel)).intersection(name.split(".")))

    def attach_adapter(self, transformer: WanTransformer3DModel, config: EmotionAdapterConfig) -> EmotionAdapter:
        return attach_emotion_adapter(transformer, config, dtype=torch.float32)

    def wrap(self, transformer: WanTransformer3DModel, adapter: EmotionAdapter | None) -> WanModel:
        return WanModel(self, transformer, adapter)

    def fold_text(self, transformer: WanTransformer3DModel, text_length: int, folded: int) -> None:
        fold_padding(transformer, text_length, folded)

    @contextlib.contextmanager
    def unfolded(self, transformer: nn.Module, adapter: EmotionAdapter | None) -> Iterator[None]:
        folded = [(one, one.count, one.text_length) for one in map(_folding, transformer.modules()) if one is not None]
        try:
            for processor, count, length in folded:
                processor.count, processor.text_length = 1, length + count - 1
                if adapter is not None:
                    adapter.text_length = processor.text_length
            yield
        finally:
            for processor, count, length in folded:
                processor.count, processor.text_length = count, length
            if adapter is not None and folded:
                adapter.text_length = folded[0][2]

    # Sampling

    @property
    def pipeline_class(self) -> type[diffusers.DiffusionPipeline]:
        from emogen.pipelines import EmotionWanImageToVideoPipeline, EmotionWanPipeline

        return EmotionWanPipeline if self.kind == "t2v" else EmotionWanImageToVideoPipeline

    @property
    def stock_pipeline_class(self) -> type[diffusers.DiffusionPipeline]:
        return WanPipeline if self.kind == "t2v" else WanImageToVideoPipeline

    def pipeline(
        self, transformer: nn.Module, device: torch.device, with_text: bool, **extra: Any
    ) -> diffusers.DiffusionPipeline:
        scheduler = read_json(self.folder / "model_index.json")["scheduler"][1]  # Wan2.1's is UniPC
        parts: dict[str, Any] = {
            "vae": AutoencoderKLWan.from_pretrained(self.folder / "vae").to(device).eval(),
            "scheduler": getattr(diffusers, scheduler).from_pretrained(self.folder, subfolder="scheduler"),
            "transformer": transformer,
            "tokenizer": None,
            "text_encoder": None,
        }
        if with_text:
            parts["tokenizer"] = AutoTokenizer.from_pretrained(self.folder / "tokenizer")
            encoder = UMT5EncoderModel.from_pretrained(self.folder / "text_encoder")
            parts["text_encoder"] = encoder.to(device).eval()
        if self.image_dim:
            parts |= _image_encoder(self.folder, device)
        pipe = self.pipeline_class(**parts, **extra)
        pipe.generation_defaults = GenerationDefaults.from_pretrained(self.folder)
        return pipe


class WanClipEncoder:
    """Pixels to what training reads of a clip."""

    def __init__(self, family: WanFamily, device: torch.device):
        self._family = family
        vae = AutoencoderKLWan.from_pretrained(family.folder / "vae", torch_dtype=torch.float32)
        self.vae = vae.to(device).eval()
        self._pipeline = None
        if family.kind == "i2v":
            images = _image_encoder(family.folder, device) if family.image_dim else {}
            self._pipeline = WanImageToVideoPipeline(
                tokenizer=None, text_encoder=None, vae=self.vae, scheduler=FlowMatchEulerDiscreteScheduler(), **images
            )

    @torch.no_grad()
    def __call__(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """As `Family.clip_encoder` says; latents are the mode of the posterior."""
        latents = self.vae.encode(pixels.to(self.vae.dtype)).latent_dist.mode()
        mean, std = (torch.tensor(getattr(self.vae.config, name), device=latents.device, dtype=latents.dtype)
                     .view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std"))  # fmt: skip
        found = {"latents": (latents - mean) / std}
        if self._pipeline is None:
            return found
        frames, height, width = pixels.shape[2:]
        size = (1, self._family.channels, height, width, frames, torch.float32, pixels.device)
        found["condition"] = torch.cat(
            [self._pipeline.prepare_latents(first[None], *size)[1] for first in pixels[:, :, 0]]
        )
        if self._family.image_dim:
            shown = ((pixels[:, :, 0] + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
            images = [Image.fromarray(picture) for picture in shown]
            found["image"] = self._pipeline.encode_image(images, pixels.device)
        return found


def _image_encoder(folder: Path, device: torch.device) -> dict[str, Any]:
    from transformers import CLIPImageProcessor, CLIPVisionModel

    encoder = CLIPVisionModel.from_pretrained(folder / "image_encoder", dtype=torch.float32).to(device).eval()
    processor = CLIPImageProcessor.from_pretrained(folder / "image_processor")
    return {"image_encoder": encoder, "image_processor": processor}


class FoldedTextProcessor(WanAttnProcessor):
    """A cheaper but equal cross-attention to padded text: the last text position stands for `count` equal ones.

    Wan attends, without a mask, to its text padded with zeros to a fixed length, so all padding positions have the
    same key and value. m equal keys with logit a weigh `m exp(a) = exp(a + log m)` in the softmax: one of them with
    log m added to its logit stands for all. With short captions this removes nearly all of the text's cost, which for
    a small model is a good part of a step.

    Attributes:
        count: 1 where nothing is folded.
        text_length: text positions taken, in image-to-video models after those of the image.
    """

    def __init__(self, count: int, text_length: int):
        super().__init__()
        self.count = count
        self.text_length = text_length

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        mask = hidden_states.new_zeros(1, 1, 1, self.text_length)
        mask[..., -1] = math.log(self.count)
        if attn.add_k_proj is not None:
            return self._beside_image(attn, hidden_states, encoder_hidden_states, mask)
        return super().__call__(attn, hidden_states, encoder_hidden_states, mask, rotary_emb)

    def _beside_image(
        self, attn: nn.Module, hidden_states: torch.Tensor, context: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """The stock processor's sum of two attentions, to the text and to the image, which it would split at 512."""
        image, text = context.tensor_split([context.shape[1] - self.text_length], dim=1)
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))

        def attend(key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
            heads = (x.unflatten(2, (attn.heads, -1)) for x in (key, value))
            out = dispatch_attention_fn(query, *heads, attn_mask=mask, backend=getattr(self, BACKEND))
            return out.flatten(2, 3).type_as(query)

        to_text = attend(attn.norm_k(attn.to_k(text)), attn.to_v(text), mask)
        to_image = attend(attn.norm_added_k(attn.add_k_proj(image)), attn.add_v_proj(image), None)
        return attn.to_out[1](attn.to_out[0](to_text + to_image))


def fold_padding(transformer: WanTransformer3DModel, text_length: int, folded: int) -> None:
    """Make the transformer take `folded` text positions, the last of them zero, for `text_length` of them.
    Attach the emotion adapter afterwards; it calls these processors for the text."""
    for block in transformer.blocks:
        block.attn2.set_processor(FoldedTextProcessor(text_length - folded + 1, folded))


def _folding(module: nn.Module) -> FoldedTextProcessor | None:
    """The folding text processor of an attention, also inside an emotion processor."""
    processor = getattr(module, "processor", None)
    inner = getattr(processor, "inner", None) or processor
    return inner if isinstance(inner, FoldedTextProcessor) else None


def read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ModelFolderError(f"{path}: cannot be read: {error}") from error
