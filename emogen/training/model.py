"""The frozen base dressed with what is trained: a LoRA through peft and the emotion adapter."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

from emogen.models import EmotionAdapter, EmotionAdapterConfig, attach_emotion_adapter
from emogen.models.lora import read_lora
from emogen.models.storage import WEIGHTS_NAME
from emogen.training.config import ConfigError, LoraSettings, TrainingConfig
from emogen.training.data.batch import Batch
from emogen.training.families.fold import fold_padding
from emogen.training.families.loading import recompute_blocks
from emogen.training.families.wan import WanSpecification, base_name


class WanEmotionModel(nn.Module):
    """What is trained, under one root, so that distributed wrappers see every parameter.

    Args:
        specification: how to call the transformer.
        transformer: frozen but for its LoRA and its emotion adapter.
        adapter: the emotion adapter it carries, or None when only a LoRA is trained.
    """

    def __init__(
        self, specification: WanSpecification, transformer: WanTransformer3DModel, adapter: EmotionAdapter | None
    ):
        super().__init__()
        self.specification = specification
        self.transformer = transformer
        self.adapter = adapter

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Velocity [B, C, F, h, w] at noise level sigma [B] for noisy latents [B, C, F, h, w]."""
        return self.specification.forward(self.transformer, noisy, sigma, batch, self.adapter is not None)

    def trainable(self) -> dict[str, nn.Parameter]:
        """Name -> parameter of everything that is trained, in a fixed order."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The LoRA's and the adapter's parameters, which have learning rates of their own."""
        groups: dict[str, list[nn.Parameter]] = {"lora": [], "adapter": []}
        for name, value in self.trainable().items():
            groups["lora" if ".lora_" in name else "adapter"].append(value)
        return {name: values for name, values in groups.items() if values}


def build_model(
    specification: WanSpecification,
    transformer: WanTransformer3DModel,
    config: TrainingConfig,
    text_length: int,
    folded: int | None = None,
) -> WanEmotionModel:
    """Dress the base with a LoRA and the emotion adapter, both in float32.

    Args:
        transformer: the base, on any device, "meta" included.
        text_length: text tokens at inference, padding included.
        folded: text tokens at training, the padding beyond them folded into the last one (see `fold`); None
            trains on `text_length` tokens.

    Raises:
        ConfigError: weights to go on from do not fit.
    """
    torch.manual_seed(config.run.seed)  # the initial weights are part of what a seed fixes
    transformer.requires_grad_(False)
    transformer.train()
    if folded is not None:
        fold_padding(transformer, text_length, folded)
    if config.lora.rank:
        add_lora(transformer, config.lora)
    adapter = None
    if config.adapter.train_adapter:
        sizes = EmotionAdapterConfig(
            num_tokens=config.adapter.num_tokens,
            hidden_dim=config.adapter.hidden_dim,
            rank=config.adapter.adapter_rank,
            head_dim=config.adapter.adapter_head_dim,
            text_length=text_length,
            base_model=base_name(config.model.pretrained_model_name_or_path),
        )
        adapter = attach_emotion_adapter(transformer, sizes, dtype=torch.float32).requires_grad_(True)
        if config.adapter.adapter_weights is not None:
            _continue_adapter(adapter, Path(config.adapter.adapter_weights))
        if folded is not None:
            adapter.text_length = folded
    recompute_blocks(transformer, config.model.gradient_checkpointing)
    if config.model.compile:
        transformer.compile_repeated_blocks(fullgraph=False)
    return WanEmotionModel(specification, transformer, adapter)


def add_lora(transformer: WanTransformer3DModel, lora: LoraSettings) -> None:
    """Add a LoRA in float32, untrained (it changes nothing) or with the weights of `lora.lora_weights`.

    Raises:
        ConfigError: no layer has a target's name, or the given weights have other layers or ranks.
    """
    names = [name for name, module in transformer.named_modules() if isinstance(module, nn.Linear)]
    for target in lora.target_modules:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            known = sorted({name.split(".", 2)[2] for name in names if name.startswith("blocks.")})
            raise ConfigError(f"lora.target_modules: no layer ends in {target!r}; the blocks have {', '.join(known)}")
    transformer.add_adapter(
        LoraConfig(
            r=lora.rank,
            lora_alpha=lora.lora_alpha or lora.rank,
            target_modules=lora.target_modules,
            use_dora=lora.use_dora,
            use_rslora=lora.use_rslora,
            init_lora_weights="gaussian",
        )
    )
    for name, value in transformer.named_parameters():
        if ".lora_" in name:
            value.data = value.data.float()
    if lora.lora_weights is not None:
        _continue_lora(transformer, lora)


def _continue_lora(transformer: WanTransformer3DModel, lora: LoraSettings) -> None:
    """Copy a LoRA in, whatever its form and strength: B takes up what alpha / rank differ by."""
    path = Path(lora.lora_weights)
    try:
        stored = read_lora(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"lora.lora_weights: {error}") from error
    strength = (lora.lora_alpha or lora.rank) / (math.sqrt(lora.rank) if lora.use_rslora else lora.rank)
    given = {}
    for name, value in stored.weights.items():
        layer = name.removeprefix("transformer.").partition(".lora_")[0]
        factor = stored.scales[layer] / strength if ".lora_B." in name else 1.0
        given[name.removeprefix("transformer.")] = value.float() * factor
    shapes = {name: value.shape for name, value in get_peft_model_state_dict(transformer).items()}
    for name in sorted(shapes.keys() | given.keys()):
        if name not in given or name not in shapes:
            where = "the configured LoRA" if name not in shapes else str(path)
            raise ConfigError(f"lora.lora_weights: {where} has no {name}; set lora.target_modules as it was trained")
        if given[name].shape != shapes[name]:
            raise ConfigError(
                f"lora.lora_weights: {path}: {name} is {tuple(given[name].shape)} where lora.rank makes it "
                f"{tuple(shapes[name])}"
            )
    set_peft_model_state_dict(transformer, given)


def _continue_adapter(adapter: EmotionAdapter, path: Path) -> None:
    file = path / WEIGHTS_NAME if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"adapter.adapter_weights: {file}: no such file")
    try:
        adapter.load_state_dict(load_file(file), source=str(file))
    except ValueError as error:
        raise ConfigError(f"adapter.adapter_weights: {error}") from error
