"""The seam between the trainer and Wan: what is frozen, what is trained, and one forward.

A trainer for another model family would replace this file alone.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig
from torch import nn

from emogen.models import EmotionAdapter, EmotionAdapterConfig, attach_emotion_adapter
from emogen.training.config import ModelConfig, TrainingConfig
from emogen.training.dataset import Batch
from emogen.training.fold import fold_padding

_FFN = ["ffn.net.0.proj", "ffn.net.2"]
_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class WanEmotionModel(nn.Module):
    """What is trained, under one root, so that distributed wrappers see every parameter.

    Args:
        transformer: frozen but for its LoRA and its emotion adapter.
        adapter: the emotion adapter it carries, or None when only a LoRA is trained.
    """

    def __init__(self, transformer: WanTransformer3DModel, adapter: EmotionAdapter | None):
        super().__init__()
        self.transformer = transformer
        self.adapter = adapter

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Velocity [B, C, F, h, w] at noise level sigma [B] for noisy latents [B, C, F, h, w]."""
        dtype = self.transformer.dtype
        extra = {} if self.adapter is None else {"emotion": batch.emotion}
        return self.transformer(
            hidden_states=noisy.to(dtype),
            timestep=1000.0 * sigma,
            encoder_hidden_states=batch.text.to(dtype),
            return_dict=False,
            **extra,
        )[0]

    def trainable(self) -> dict[str, nn.Parameter]:
        """Name -> parameter of everything that is trained, in a fixed order."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The LoRA's and the adapter's parameters, which have learning rates of their own."""
        groups: dict[str, list[nn.Parameter]] = {"lora": [], "adapter": []}
        for name, value in self.trainable().items():
            groups["lora" if ".lora_" in name else "adapter"].append(value)
        return {name: values for name, values in groups.items() if values}


def resolve_model(path: str) -> Path:
    """The local folder of a model: a folder, "embedded", or a hub id (downloaded on first use)."""
    if path == "embedded":
        from emogen.embedded import embedded_model

        return Path(embedded_model())
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(path, ignore_patterns=["*.bin", "*.pth", "*.msgpack"]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise FileNotFoundError(
            f'model.path: {path!r} is neither a folder, nor "embedded", nor a model on the hub: {error}'
        ) from error


def load_transformer(folder: Path, config: ModelConfig) -> WanTransformer3DModel:
    return WanTransformer3DModel.from_pretrained(folder, subfolder="transformer", torch_dtype=_DTYPES[config.dtype])


def build_model(
    transformer: WanTransformer3DModel, config: TrainingConfig, text_length: int, folded: int | None = None
) -> WanEmotionModel:
    """Freeze the base and dress it with a LoRA and the emotion adapter, both in float32.

    Args:
        transformer: the base, on any device, "meta" included.
        text_length: text tokens at inference, padding included.
        folded: text tokens at training, the padding beyond them folded into the last one (see `fold`); None
            trains on `text_length` tokens.
    """
    torch.manual_seed(config.run.seed)  # the initial weights are part of what a seed fixes
    transformer.requires_grad_(False)
    transformer.train()
    if folded is not None:
        fold_padding(transformer, text_length, folded)
    if config.lora.rank:
        transformer.add_adapter(
            LoraConfig(
                r=config.lora.rank,
                lora_alpha=config.lora.alpha or config.lora.rank,
                target_modules=config.lora.targets + (_FFN if config.lora.ffn else []),
                init_lora_weights="gaussian",
            )
        )
        for name, value in transformer.named_parameters():
            if ".lora_" in name:
                value.data = value.data.float()
    adapter = None
    if config.adapter.enabled:
        sizes = EmotionAdapterConfig(
            num_tokens=config.adapter.num_tokens,
            hidden_dim=config.adapter.hidden_dim,
            rank=config.adapter.rank,
            head_dim=config.adapter.head_dim,
            text_length=text_length,
            base_model=base_name(config.model.path),
        )
        adapter = attach_emotion_adapter(transformer, sizes, dtype=torch.float32).requires_grad_(True)
        if folded is not None:
            adapter.text_length = folded
    if config.model.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    return WanEmotionModel(transformer, adapter)


def base_name(path: str) -> str:
    """How to call the base model in files that travel: a hub id as it is, a folder by its name."""
    return Path(path).name if Path(path).is_dir() else path
