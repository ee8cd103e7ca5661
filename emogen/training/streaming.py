"""Block streaming: the frozen base's blocks lie in the computer's memory, or in files, and come to the device one after
the other, so that a card holds two of them and not all.

diffusers moves them (`ModuleGroup`: pinned memory, and a CUDA stream of its own that copies while the device computes).
When they go is decided here. diffusers' own hooks send a block away when its forward is over. Under gradient
checkpointing a forward is run again inside the backward pass, and the backward of the block, which reads the same
weights, comes after it; and where the second forward ends as soon as it has made what is needed, such a hook is not
called at all. Here a block goes when the next one begins, in either direction: then nothing of it is left to be done.

What is trained stays on the device, also inside the blocks: a group would bring back its weights as they were before
the step. So do the layers outside the blocks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.hooks.group_offloading import ModuleGroup
from torch import nn

from emogen.models.compat import buffers, parameters
from emogen.training.config import ConfigError, TrainingConfig
from emogen.training.families import EmotionModel

HELD = 2
"""Blocks on the device at once: the one at work, and the one that is copied meanwhile."""
_SHARDS = "configs/accelerate/one_gpu_offload.yaml"


def check_streaming(
    config: TrainingConfig, *, deepspeed: bool = False, processes: int = 1, device: torch.device | None = None
) -> None:
    """Refuse what only the launch shows; the configuration's own contradictions are refused where it is read.

    Args:
        deepspeed: whether it is asked for.
        processes: how many train together.
        device: where; None where that is not known yet (a dry run).

    Raises:
        ConfigError: blocks cannot be streamed here.
    """
    how = config.model.offload

    def refuse(wrong: bool, message: str) -> None:
        if how != "none" and wrong:
            raise ConfigError(f"model.offload: {how}: {message}")

    fsdp = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    refuse(fsdp, f"FSDP2 moves the blocks itself; launch without it, or leave model.offload out ({_SHARDS} streams)")
    refuse(deepspeed, "has not been shown to work with DeepSpeed; launch without it")
    refuse(
        processes > 1,
        f"is for one process, and there are {processes}: DDP wants all weights in one place. Share the base with "
        "configs/accelerate/eight_gpus_fsdp2.yaml",
    )
    refuse(
        how == "group" and device is not None and device.type == "cpu",
        "moves weights between memory and a GPU, and this runs on the CPU; group_disk saves memory there",
    )


class BlockStream:
    """The frozen weights of blocks that are called in order, and in reverse order inside a backward pass that computes
    each of them again.

    Args:
        blocks: a transformer's, before which each is brought.
        device: where they compute.
        files: a folder of its own to keep them in, in place of the computer's memory.
    """

    def __init__(self, blocks: Sequence[nn.Module], device: torch.device, files: Path | None = None):
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._groups: list[ModuleGroup] = []
        self._here: set[int] = set()
        self._last = -1
        for index, block in enumerate(blocks):
            group = ModuleGroup(
                modules=[],
                offload_device=torch.device("cpu"),
                onload_device=device,
                offload_leader=block,
                parameters=frozen_weights(block),
                stream=self._stream,
                offload_to_disk_path=str(files) if files is not None else None,
                group_id=f"block_{index}",
            )
            group.offload_()
            self._groups.append(group)
            block.register_forward_pre_hook(partial(self._begin, index))

    def _begin(self, index: int, block: nn.Module, args: tuple[Any, ...]) -> None:
        """See that a block is on the device, send away those that are done with, and let the next one come."""
        following = self._following(index)
        for other in self._here - {index, following}:
            # On CUDA this waits until the device has computed all it was given, which may read those weights; so there
            # are never more than two, and none is overwritten while it is read.
            self._groups[other].offload_()
        self._here &= {index, following}
        self._bring(index)
        if self._stream is not None:
            self._stream.synchronize()
        self._bring(following)
        self._last = index

    def _following(self, index: int) -> int:
        """The block that will most likely begin next. At either end the one before is kept, with which the pass turns
        or the next step begins; a wrong guess costs time only."""
        last = len(self._groups) - 1
        down = index == last or (0 < index < self._last)
        return max(index - 1, 0) if down else min(index + 1, last)

    def _bring(self, index: int) -> None:
        if index not in self._here:
            self._groups[index].onload_()
            self._here.add(index)


def frozen_weights(block: nn.Module) -> list[nn.Parameter]:
    """The parameters of a block that are not trained."""
    return [value for value in block.parameters() if not value.requires_grad]


def stream_blocks(model: EmotionModel, device: torch.device, files: Path | None = None) -> int:
    """Take the frozen blocks of every transformer away, and put everything else where it is trained. Do not move the
    model afterwards.

    Args:
        model: with its LoRA and adapter; on the CPU.
        files: an empty folder to keep the blocks in, in place of the computer's memory.

    Returns:
        The number of blocks.
    """
    blocks = {name: model.family.blocks(one) for name, one in model.transformers.items()}
    away = {id(value) for one in blocks.values() for value in frozen_weights(one)}
    for part in model.modules():
        for value in parameters(part).values():
            if value is not None and id(value) not in away:
                value.data = value.data.to(device)
        for name, value in buffers(part).items():
            if value is not None:
                buffers(part)[name] = value.to(device)
    for name, one in blocks.items():
        # A folder each: diffusers names the files by block, and takes a file that is there for its own.
        BlockStream(one, device, files / name if files is not None else None)
    return sum(map(len, blocks.values()))
