"""Attention backends: switched on for the transformer alone, after a trial with the shapes that the emotion needs."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend, dispatch_attention_fn
from torch import nn

from emogen.pipelines.speed_options import SpeedError

_TOLERANCE = 0.1  # relative; sage computes in 8 bits
_NEEDS = {  # part of a name -> what it takes; the first that fits
    "xformers": 'pip install "emogen[xformers]", and a CUDA device',
    "hub": "pip install kernels, a CUDA device, and the model hub in reach",
    "npu": "torch_npu and an Ascend device",
    "xla": "torch_xla and its device",
    "native": "a device that PyTorch has this kernel for (cudnn and efficient: CUDA)",
    "flash": "the package flash-attn, a CUDA device of the Ampere generation or later, and bfloat16 or float16",
    "sage": "the package sageattention, a CUDA device, and bfloat16 or float16",
    "flex": "a PyTorch with flex attention for this device",
}
_CUDA = ("xformers", "flash", "sage", "aiter", "_flash", "_sage", "_native_cudnn", "_native_efficient")


def check_backend(name: str, transformer: nn.Module, device: torch.device, adapter: Any | None) -> None:
    """Try a backend on the attentions of the text and of the emotion before anything is changed.

    Args:
        name: of the backend.
        device: where the model will run.
        adapter: the transformer's emotion adapter, if any.

    Raises:
        SpeedError: its package or device is missing, or it does not compute what the native one does.
    """
    if name.startswith(_CUDA) and device.type != "cuda":
        raise SpeedError(f"--attention_backend {name} needs a CUDA device, and this runs on {device}: {_needs(name)}")
    config = transformer.config
    shapes = {"self-attention": (config.num_attention_heads, config.attention_head_dim, 64, transformer.dtype)}
    if adapter is not None:
        sizes = adapter.config
        shapes["emotion's attention"] = (
            sizes.rank // sizes.head_dim,
            sizes.head_dim,
            sizes.num_tokens,
            adapter.encoder.null.dtype,
        )
    try:
        with attention_backend(name):  # looks for the package, and fetches a kernel of the hub
            pass
    except (RuntimeError, ImportError, OSError) as error:
        raise SpeedError(f"--attention_backend {name}: {error} It needs: {_needs(name)}") from error
    for what, (heads, width, keys, dtype) in shapes.items():
        _try(name, what, heads, width, keys, dtype, device)


def set_backend(transformer: nn.Module, name: str) -> None:
    """`transformer.set_attention_backend`, which also changes the process's default for every other model; that is put
    back."""
    with attention_backend(AttentionBackendName.NATIVE):
        transformer.set_attention_backend(name)


@torch.no_grad()
def _try(name: str, what: str, heads: int, width: int, keys: int, dtype: torch.dtype, device: torch.device) -> None:
    random = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(2, length, heads, width, generator=random).to(device, dtype) for length in (64, keys, keys)
    )
    expected = dispatch_attention_fn(query, key, value, backend=AttentionBackendName.NATIVE).float()
    try:
        found = dispatch_attention_fn(query, key, value, backend=AttentionBackendName(name)).float()
    except Exception as error:  # each backend raises its own kinds
        hint = "; try --dtype bfloat16" if dtype == torch.float32 else ""
        raise SpeedError(
            f"--attention_backend {name} cannot compute the {what} ({heads} heads of {width}, {keys} keys, {dtype}) on "
            f"{device}{hint}: {error}. It needs: {_needs(name)}"
        ) from error
    difference = ((found - expected).norm() / expected.norm()).item()
    if not difference <= _TOLERANCE:
        raise SpeedError(
            f"--attention_backend {name} computes the {what} ({heads} heads of {width}, {keys} keys) wrongly: off by "
            f"{difference:.0%} from the native one. Use another backend"
        )


def _needs(name: str) -> str:
    return next((need for part, need in _NEEDS.items() if part in name), "see diffusers' guide to attention backends")
