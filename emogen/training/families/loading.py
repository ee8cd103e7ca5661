"""What trades time for memory: how the frozen base is stored, what is recomputed, which attention runs.

All of it is diffusers' own machinery, applied in the order it needs: storage, LoRA, adapter, recomputation, compile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import nn
from torch.utils.checkpoint import checkpoint

from emogen.training.config import ConfigError, ModelConfig

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
BYTES_PER_PARAMETER = {"same": None, "fp8": 1.0, "int8": 1.0, "nf4": 0.5}
# Backends of diffusers' dispatcher whose operators are differentiable; the quantised and forward-only ones are not.
TRAINABLE_BACKENDS = (
    "native", "_native_cudnn", "_native_efficient", "_native_flash", "_native_math", "flash", "flash_varlen",
    "flash_hub", "flash_varlen_hub", "flex", "xformers",
)  # fmt: skip


def load_transformer(folder: Path, config: ModelConfig) -> WanTransformer3DModel:
    """The frozen base, stored as configured.

    Raises:
        ConfigError: the storage or the attention backend cannot be had.
    """
    dtype = DTYPES[config.base_dtype]
    extra: dict[str, Any] = {}
    if config.base_storage in ("int8", "nf4"):
        extra["quantization_config"] = _bitsandbytes(config.base_storage, dtype)
    transformer = WanTransformer3DModel.from_pretrained(folder, subfolder="transformer", torch_dtype=dtype, **extra)
    transformer.requires_grad_(False)
    if config.base_storage == "fp8":
        transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
    set_backend(transformer, config.attention_backend)
    return transformer


def _bitsandbytes(storage: str, dtype: torch.dtype) -> Any:
    try:
        import bitsandbytes  # noqa: F401
        from diffusers import BitsAndBytesConfig
    except ImportError as error:
        raise ConfigError(f"model.base_storage: {storage} needs bitsandbytes (pip install bitsandbytes)") from error
    if storage == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def set_backend(transformer: WanTransformer3DModel, name: str | None) -> None:
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


def recompute_blocks(transformer: WanTransformer3DModel, every: bool | int) -> None:
    """Recompute the activations of blocks in the backward pass: of none (False, 0), all (True, 1) or, for N, of the
    N-1 blocks out of N that follow each kept one.

    Keeping one block's activations in N costs memory and saves that block's second forward, a third of its time.
    """
    if not every:
        return
    if every is True or every == 1:
        transformer.enable_gradient_checkpointing()
        return
    kept = {id(block) for index, block in enumerate(transformer.blocks) if index % every == 0}

    def recompute(block: nn.Module, *args: Any) -> Any:
        return block(*args) if id(block) in kept else checkpoint(block, *args, use_reentrant=False)

    transformer.enable_gradient_checkpointing(recompute)
