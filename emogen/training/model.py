"""The frozen base dressed with what is trained: its storage, a LoRA through peft and the emotion adapter.

All of it is diffusers' own machinery, applied in the order it needs: storage, folding, LoRA, adapter, recomputation,
compile. What is a model family's own is asked of its `Family`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn
from torch.utils.checkpoint import checkpoint

from emogen.models import EmotionAdapter, EmotionAdapterConfig
from emogen.models.lora import read_lora
from emogen.models.weights import LORA_NAMES, WEIGHTS_NAME
from emogen.training.config import ConfigError, LoraSettings, ModelConfig, TrainingConfig
from emogen.training.families import EmotionModel, Expert, Family

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# Backends of diffusers' dispatcher whose operators are differentiable; the quantised and forward-only ones are not.
TRAINABLE_BACKENDS = (
    "native", "_native_cudnn", "_native_efficient", "_native_flash", "_native_math", "flash", "flash_varlen",
    "flash_hub", "flash_varlen_hub", "flex", "xformers",
)  # fmt: skip


def load_transformers(family: Family, config: ModelConfig) -> list[ModelMixin]:
    """The frozen base of every expert, stored as configured.

    Raises:
        ConfigError: the storage or the attention backend cannot be had.
    """
    dtype = DTYPES[config.base_dtype]
    extra: dict[str, Any] = {}
    if config.base_storage in ("int8", "nf4"):
        extra["quantization_config"] = _bitsandbytes(config.base_storage, dtype)
    transformers = family.load_transformers(dtype, **extra)
    for transformer in transformers:
        transformer.requires_grad_(False)
        if config.base_storage == "fp8":
            transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
        set_backend(transformer, config.attention_backend)
    return transformers


def build_model(
    family: Family,
    transformers: ModelMixin | Sequence[ModelMixin],
    config: TrainingConfig,
    text_length: int,
    folded: int | None = None,
) -> EmotionModel:
    """Dress the base with a LoRA and the emotion adapter, both in float32.

    Args:
        transformers: the base of every expert, or of the only one, on any device, "meta" included.
        text_length: text tokens at inference, padding included.
        folded: text tokens at training, the padding beyond them folded into the last one (`Family.fold_text`); None
            trains on `text_length` tokens.

    Raises:
        ConfigError: weights to go on from do not fit.
        ModelFolderError: the family has no adapter, or cannot fold.
    """
    torch.manual_seed(config.run.seed)  # the initial weights are part of what a seed fixes
    if isinstance(transformers, ModelMixin):
        transformers = [transformers]
    for transformer, expert in zip(transformers, family.experts, strict=True):
        transformer.requires_grad_(False)
        transformer.train()
        if folded is not None:
            family.fold_text(transformer, text_length, folded)
        if config.lora.rank:
            add_lora(family, transformer, config.lora, expert)
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
        adapter = family.attach_adapter(transformers[0], sizes)
        for transformer, expert in zip(transformers[1:], family.experts[1:], strict=True):
            adapter.add(transformer, expert.name)
        adapter.requires_grad_(True)
        if config.adapter.adapter_weights is not None:
            _continue_adapter(adapter, Path(config.adapter.adapter_weights))
        if folded is not None:
            adapter.text_length = folded
    for transformer in transformers:
        recompute_blocks(family, transformer, config.model.gradient_checkpointing)
        if config.model.compile:
            transformer.compile_repeated_blocks(fullgraph=False)
    return family.wrap(transformers[0], adapter, *transformers[1:])


def base_name(path: str) -> str:
    """How to call the base model in files that travel: a hub id as it is, a folder by its name."""
    return Path(path).name if Path(path).is_dir() else path


def folded_length(longest: int, text_length: int) -> int:
    """Text positions that are left when captions have at most `longest` tokens of `text_length`: those, and
    one for the padding beyond."""
    return min(longest + 1, text_length)


def _bitsandbytes(storage: str, dtype: torch.dtype) -> Any:
    try:
        import bitsandbytes  # noqa: F401
        from diffusers import BitsAndBytesConfig
    except ImportError as error:
        raise ConfigError(f"model.base_storage: {storage} needs bitsandbytes (pip install bitsandbytes)") from error
    if storage == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def set_backend(transformer: ModelMixin, name: str | None) -> None:
    """Make every attention use a backend of diffusers' dispatcher; attach the emotion adapter afterwards.

    Raises:
        ConfigError: it has no backward pass, is unknown, or is not installed.
    """
    if name is None:
        return
    if name.lower() not in TRAINABLE_BACKENDS:
        raise ConfigError(
            f"model.attention_backend: {name} is not known to have a backward pass; use one of "
            f"{', '.join(TRAINABLE_BACKENDS)}"
        )
    try:
        transformer.set_attention_backend(name.lower())
    except (RuntimeError, ValueError, ImportError) as error:
        raise ConfigError(f"model.attention_backend: {name} cannot be used here: {error}") from error


def recompute_blocks(family: Family, transformer: ModelMixin, every: bool | int) -> None:
    """Recompute the activations of blocks in the backward pass: of none (False, 0), all (True, 1) or, for N, of the
    N-1 blocks out of N that follow each kept one.

    Keeping one block's activations in N costs memory and saves that block's second forward, a third of its time.
    """
    if not every:
        return
    if every is True or every == 1:
        transformer.enable_gradient_checkpointing()
        return
    kept = {id(block) for index, block in enumerate(family.blocks(transformer)) if index % every == 0}

    def recompute(block: nn.Module, *args: Any) -> Any:
        return block(*args) if id(block) in kept else checkpoint(block, *args, use_reentrant=False)

    transformer.enable_gradient_checkpointing(recompute)


def add_lora(family: Family, transformer: ModelMixin, lora: LoraSettings, expert: Expert | None = None) -> None:
    """Add a LoRA in float32, untrained (it changes nothing) or with the weights of `lora.lora_weights`.

    Args:
        expert: which one the transformer is.

    Raises:
        ConfigError: no layer has a target's name, or the given weights have other layers or ranks.
    """
    names = [name for name, module in transformer.named_modules() if isinstance(module, nn.Linear)]
    for target in lora.target_modules:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            inside = family.blocks(transformer).named_modules()
            known = sorted({name.partition(".")[2] for name, module in inside if isinstance(module, nn.Linear)})
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
        _continue_lora(transformer, lora, _lora_file(Path(lora.lora_weights), expert or family.experts[0], family))


def _lora_file(path: Path, expert: Expert, family: Family) -> Path:
    """Where the weights for an expert are: each has a file of its own in the folder that a run leaves."""
    if path.is_dir():
        return path / LORA_NAMES[expert.name]
    if len(family.experts) > 1:
        names = " and ".join(LORA_NAMES.values())
        raise ConfigError(f"lora.lora_weights: {path}: a model of two transformers takes a folder with {names}")
    return path


def _continue_lora(transformer: ModelMixin, lora: LoraSettings, path: Path) -> None:
    """Copy a LoRA in, whatever its form and strength: B takes up what alpha / rank differ by."""
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
