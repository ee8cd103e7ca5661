"""Memory: weights in 8 bits, and weights that are elsewhere while they are not used."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import nn

from emogen.models import EmotionAdapter, get_emotion_adapter
from emogen.models.hooks import ENCODER_NAME
from emogen.pipelines.speed_options import SpeedError

_OWN_DTYPE = (r"^emotion_encoder", r"attn2\.processor")
"""Layers of the adapter, 1 % of the weights, which stay as they are."""


def cast_to_fp8(transformer: nn.Module, compute_dtype: torch.dtype) -> None:
    """diffusers' layerwise casting of the base's weights to float8_e4m3fn."""
    kept = tuple(transformer._skip_layerwise_casting_patterns or ())
    transformer._skip_layerwise_casting_patterns = (*kept, *_OWN_DTYPE)
    transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=compute_dtype)


def check_offload(how: str, device: torch.device, folder: str | None) -> None:
    """Raises:
    SpeedError: there is nothing to offload from, or no place for the files.
    """
    if how in ("model", "sequential") and device.type == "cpu":
        raise SpeedError(
            f"--offload {how} moves weights between memory and an accelerator, and this runs on the CPU; "
            "--offload group_disk saves memory there"
        )
    if folder is not None and not Path(folder).is_dir():
        raise SpeedError(f"--offload_folder {folder}: no such folder")


def offload(pipe: Any, how: str, device: torch.device, folder: str | None = None) -> None:
    """Switch on an offloading of diffusers for all components of a pipeline.

    Args:
        how: "model", "sequential", "group" or "group_disk".
        device: where the pipeline computes.
        folder: of group_disk; a folder of its own is made in there, and removed with the pipeline.
    """
    if how == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif how == "sequential":
        with contextlib.ExitStack() as kept:
            for component in pipe.components.values():
                if isinstance(component, nn.Module):
                    kept.enter_context(_adapter_kept(component, device))
            pipe.enable_sequential_cpu_offload(device=device)
    else:
        if how == "group_disk":
            pipe._offload_files = tempfile.TemporaryDirectory(prefix="emogen_offload_", dir=folder)
        for name, component in pipe.components.items():
            if isinstance(component, nn.Module):
                # A folder each: diffusers names the files by block, and takes a file that is there for its own.
                files = str(Path(pipe._offload_files.name) / name) if how == "group_disk" else None
                _offload_groups(component, device, files)


def _offload_groups(component: nn.Module, device: torch.device, files: str | None) -> None:
    if isinstance(component, AutoencoderKLWan):
        # Small, and its layers run once a latent frame: they would be copied over and over.
        component.to(device)
        return
    settings = {
        "onload_device": device,
        "offload_type": "block_level",
        "num_blocks_per_group": 1,
        "use_stream": device.type == "cuda",
        "offload_to_disk_path": files,
    }
    with _adapter_kept(component, device):
        if hasattr(component, "enable_group_offload"):
            component.enable_group_offload(**settings)
        else:
            from diffusers.hooks import apply_group_offloading

            apply_group_offloading(component, **settings)


@contextlib.contextmanager
def _adapter_kept(component: nn.Module, device: torch.device) -> Iterator[None]:
    """Keep from being offloaded what is used or changed outside of a forward, and let it stay on the device.

    The encoder makes the tokens before the transformer runs, when its weights would not be there; and a group would
    bring back the `scale` of each processor as it was, in place of the one that is set for the call.
    """
    adapter: EmotionAdapter | None = get_emotion_adapter(component)
    if adapter is None:
        yield
        return
    name = next(name for name, transformer in adapter.transformers.items() if transformer is component)
    for processor in adapter.processors[name].values():
        scale = processor._buffers.pop("scale", None)
        if scale is not None:
            object.__setattr__(processor, "scale", scale.to(device))
    encoder = component._modules.pop(ENCODER_NAME)
    try:
        yield
    finally:
        setattr(component, ENCODER_NAME, encoder.to(device))
