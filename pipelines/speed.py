"""Speed and memory at sampling: diffusers' own mechanisms, in the order in which they bear with the emotion adapter."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, ContextParallelConfig
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend, dispatch_attention_fn
from torch import distributed, nn

from emogen.extras import how_to_install
from emogen.models import EmotionAdapter, get_emotion_adapter
from emogen.models.compat import EXECUTION_DEVICE, buffers, keep_from_casting, submodules
from emogen.models.processor import ENCODER_NAME
from emogen.pipelines.speed_options import SpeedError, SpeedOptions, add_speed_arguments, speed_from_args
from emogen.pipelines.step_cache import cache_config, call_steps, measure_mag_ratios, reset_caches
from emogen.processes import leave_at_exit

__all__ = [
    "SpeedError", "SpeedOptions", "add_speed_arguments", "apply_speed", "check_backend", "measure_mag_ratios",
    "offload", "reset_caches", "speed_from_args",
]  # fmt: skip

_TOLERANCE = 0.1  # relative; sage computes in 8 bits
_NEEDS = {  # part of a name -> what it takes; the first that fits
    "xformers": f"{how_to_install('xformers')}, and a CUDA device",
    "hub": "pip install kernels, a CUDA device, and the model hub in reach",
    "npu": "torch_npu and an Ascend device",
    "xla": "torch_xla and its device",
    "native": "a device that PyTorch has this kernel for (cudnn and efficient: CUDA)",
    "flash": "the package flash-attn, a CUDA device of the Ampere generation or later, and bfloat16 or float16",
    "sage": "the package sageattention, a CUDA device, and bfloat16 or float16",
    "flex": "a PyTorch with flex attention for this device",
}
_CUDA = ("xformers", "flash", "sage", "aiter", "_flash", "_sage", "_native_cudnn", "_native_efficient")
_OWN_DTYPE = (r"^emotion_encoder", r"attn2\.processor")
"""Layers of the adapter, 1 % of the weights, which stay as they are."""


def apply_speed(pipe: Any, options: SpeedOptions, device: torch.device | str | None = None) -> list[str]:
    """Switch options on, once, after the adapter and all LoRAs are loaded.

    Everything is checked first; with an error, the pipeline is as it was. The order is: storage in 8 bits, attention
    backend, cache, sharing among processes, offloading, compilation, VAE.

    Args:
        pipe: an emotion pipeline, with or without an adapter.
        device: where it is to compute; by default where it is. With `options.places_model` the pipeline comes on the
            CPU and must not be moved afterwards.

    Returns:
        What was switched on, in words, one entry an option.

    Raises:
        SpeedError: an option cannot work with this model or on this device.
    """
    device = torch.device(device) if device is not None else getattr(pipe, EXECUTION_DEVICE)
    found = [getattr(pipe, name, None) for name in ("transformer", "transformer_2")]
    transformers = [transformer for transformer in found if transformer is not None]
    first = transformers[0]
    if getattr(pipe, "_speed_options", None) is not None:
        raise SpeedError("the pipeline has its speed options already; load it anew for others")
    dtype = first.dtype
    configs = _check(pipe, options, device, transformers)
    pipe._speed_options = options
    done: list[str] = []
    for transformer, config in zip(transformers, configs, strict=True):
        if options.layerwise_casting:
            cast_to_fp8(transformer, dtype)
        if options.attention_backend is not None:
            set_backend(transformer, options.attention_backend)
        if config is not None:
            transformer.enable_cache(config)
        if options.parallel > 1:
            share_sequence(transformer, options)
    if options.layerwise_casting:
        done.append(f"the transformer's weights are stored in 8 bits and computed in {str(dtype).split('.')[-1]}")
    if options.attention_backend is not None:
        done.append(f"attention by {options.attention_backend}")
    if options.cache != "none":
        done.append(f"cache {options.cache} ({_in_words(configs[0])})")
    if options.parallel > 1:
        done.append(f"each clip is shared by {options.parallel} processes")
    if options.offload != "none":
        offload(pipe, options.offload, device, options.offload_folder)
        done.append(f"offloading: {options.offload}")
    if options.compile:
        # Offloading is Python between the kernels, at which a graph has to be cut.
        whole = options.offload == "none"
        for transformer in transformers:
            transformer.compile_repeated_blocks(backend=options.compile_backend, fullgraph=whole)
        done.append(f"the transformer's blocks are compiled ({options.compile_backend}) in the first call")
    if options.vae_tiling:
        pipe.vae.enable_tiling()
        done.append("the VAE works in tiles")
    if options.vae_slicing:
        pipe.vae.enable_slicing()
        done.append("the VAE works clip by clip")
    return done


def _check(pipe: Any, options: SpeedOptions, device: torch.device, transformers: list) -> list[Any]:
    """Everything that can be refused before a change; returns the cache's configuration for each transformer."""
    first = transformers[0]
    if options.cache == "magcache" and len(transformers) > 1:
        raise SpeedError("--cache magcache counts one transformer's steps, and this model has two; use first_block")
    if options.layerwise_casting and getattr(first, "hf_quantizer", None) is not None:
        raise SpeedError("--fp8: the transformer is quantised already")
    check_offload(options.offload, device, options.offload_folder)
    configs = [None] * len(transformers)
    if options.cache != "none":
        steps = call_steps(pipe, options)
        configs = [cache_config(options, transformer, steps) for transformer in transformers]
    for transformer in transformers:
        if transformer.is_cache_enabled and options.cache != "none":
            raise SpeedError(f"--cache {options.cache}: another cache is on already; call disable_cache() first")
        if options.attention_backend is not None:
            check_backend(options.attention_backend, transformer, device, get_emotion_adapter(transformer))
    if options.parallel > 1:
        join_processes(options, first, device)
    return configs


def _in_words(config: Any) -> str:
    shown = {
        "threshold": "threshold", "cache_interval": "one step in", "disable_cache_before_step": "after step",
        "max_order": "order", "max_skip_steps": "skipping at most", "num_inference_steps": "steps",
    }  # fmt: skip
    return ", ".join(f"{word} {getattr(config, name):g}" for name, word in shown.items() if hasattr(config, name))


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


def cast_to_fp8(transformer: nn.Module, compute_dtype: torch.dtype) -> None:
    """diffusers' layerwise casting of the base's weights to float8_e4m3fn."""
    keep_from_casting(transformer, _OWN_DTYPE)
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
        scale = buffers(processor).pop("scale", None)
        if scale is not None:
            object.__setattr__(processor, "scale", scale.to(device))
    encoder = submodules(component).pop(ENCODER_NAME)
    try:
        yield
    finally:
        setattr(component, ENCODER_NAME, encoder.to(device))


def join_processes(options: SpeedOptions, transformer: nn.Module, device: torch.device) -> None:
    """See that there are as many processes as the options ask for, each with a device, and connect them.

    Raises:
        SpeedError: there are not.
    """
    asked = options.parallel
    how = f"torchrun --nproc_per_node {asked} sample.py ... --ulysses {options.ulysses} --ring {options.ring}"
    if not distributed.is_available():
        raise SpeedError("--ulysses and --ring need a PyTorch that was built with torch.distributed")
    if torch.accelerator.device_count() == 0:
        raise SpeedError("--ulysses and --ring need an accelerator a process: diffusers shares no sequence among CPUs")
    if not distributed.is_initialized():
        if "WORLD_SIZE" not in os.environ:
            raise SpeedError(f"--ulysses and --ring need one process a device: start with `{how}`")
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        leave_at_exit()
    if distributed.get_world_size() != asked:
        raise SpeedError(
            f"--ulysses {options.ulysses} times --ring {options.ring} makes {asked} processes, and "
            f"{distributed.get_world_size()} are running: start with `{how}`"
        )
    if options.ring > 1 and options.attention_backend in (None, "native"):
        raise SpeedError(
            "--ring needs the attention's own sums of exponents, which the native backend does not give: add "
            "--attention_backend _native_cudnn, flash or sage, or use --ulysses"
        )
    heads = transformer.config.num_attention_heads
    if heads % options.ulysses:
        raise SpeedError(
            f"--ulysses {options.ulysses} does not divide the model's {heads} heads; use "
            f"{', '.join(str(n) for n in range(1, heads + 1) if heads % n == 0)}, or --ring"
        )


def share_sequence(transformer: nn.Module, options: SpeedOptions) -> None:
    """diffusers' context parallelism on a transformer, after `join_processes`."""
    config = ContextParallelConfig(ulysses_degree=options.ulysses, ring_degree=options.ring)
    transformer.enable_parallelism(config=config)
