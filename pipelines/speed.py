"""Speed and memory at sampling: diffusers' own mechanisms, in the order in which they bear with the emotion adapter."""

from __future__ import annotations

from typing import Any

import torch

from emogen.models import get_emotion_adapter
from emogen.pipelines.speed_attention import check_backend, set_backend
from emogen.pipelines.speed_cache import cache_config, call_steps, measure_mag_ratios, reset_caches
from emogen.pipelines.speed_memory import cast_to_fp8, check_offload, offload
from emogen.pipelines.speed_options import SpeedError, SpeedOptions, add_speed_arguments, speed_from_args
from emogen.pipelines.speed_parallel import join_processes, share_sequence

__all__ = [
    "SpeedError", "SpeedOptions", "add_speed_arguments", "apply_speed", "measure_mag_ratios", "reset_caches",
    "speed_from_args",
]  # fmt: skip


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
    device = torch.device(device) if device is not None else pipe._execution_device
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
