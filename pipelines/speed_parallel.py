"""Context parallelism: one clip's sequence shared among processes."""

from __future__ import annotations

import os

import torch
from diffusers import ContextParallelConfig
from torch import distributed, nn

from emogen.pipelines.speed_options import SpeedError, SpeedOptions


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
