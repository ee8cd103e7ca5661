"""What a run trains, before any weight is loaded: everything its memory depends on, and its weights counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psutil
import torch
from torch import nn

from emogen.training.config import (
    AdapterSettings,
    DataConfig,
    LoraSettings,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainingConfig,
)
from emogen.training.families import EmotionModel, Family, family_class
from emogen.training.model import DTYPES, build_model
from emogen.training.optim import try_optimizer

EIGHT_BIT_STATE = 2 + 8 / 256  # two moments of a byte, and a float32 scale for 256 of each
# bitsandbytes: 4 bits and a float32 scale for 64 values; 8 bits, whose scale for each row is next to nothing.
_QUANTISED = {"nf4": 0.5 + 4 / 64, "int8": 1.0}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything that the memory of a run depends on.

    Attributes:
        transformer: the transformer's configuration (its `config.json`), whose `_class_name` says the family.
        latents: (frames, height, width) of a clip's latents.
        text_length, folded: text tokens at inference, and the fewer of them trained on (see `Family.fold_text`), if so.
        batch_size: clips a process and micro-step.
        gradient_checkpointing: as in the configuration; 0 none, 1 every block, N all but one block in N.
        base_dtype, base_storage, mixed_precision: as in the configuration.
        optimizer_bytes: of the optimizer's state, for every trained parameter; AdamW keeps two float32.
        ema: whether a moving average of the trained weights is kept.
        device: "cuda" or "cpu".
        data_parallel: whether gradients are summed over processes, for which there are buckets of their size.
        offload: whether FSDP keeps weights and optimizer in the computer's memory.
        streamed: whether the frozen blocks are kept away from the device (see `emogen.training.streaming`).
        ulysses: processes that share a clip's tokens.
        experts: transformers of this size that are trained, one a step.
        zero_stage, processes: DeepSpeed's, and over how many processes it divides the optimizer's state (and, from
            stage 2 on, gradients); 0 without DeepSpeed.
    """

    transformer: Mapping[str, Any]
    latents: tuple[int, int, int]
    text_length: int = 512
    folded: int | None = None
    batch_size: int = 1
    lora: LoraSettings = field(default_factory=LoraSettings)
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    gradient_checkpointing: int = 0
    base_dtype: str = "bf16"
    base_storage: str = "same"
    mixed_precision: str = "bf16"
    optimizer_bytes: float = 8.0
    ema: bool = False
    device: str = "cuda"
    data_parallel: bool = False
    offload: bool = False
    streamed: bool = False
    ulysses: int = 1
    experts: int = 1
    zero_stage: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        for name, size, patch in zip(("frames", "height", "width"), self.latents, self.patch, strict=True):
            if size < 1 or size % patch:
                raise ValueError(f"latents: {name} is {size}, which must be a multiple of the model's patch, {patch}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")

    @cached_property
    def family(self) -> Family:
        """The family's, as far as the transformer's configuration tells."""
        return family_class(self.transformer).from_config(self.transformer)

    @property
    def patch(self) -> tuple[int, int, int]:
        return self.family.patch

    @property
    def layers(self) -> int:
        return self.family.layers

    @property
    def tokens(self) -> int:
        """Tokens of one clip."""
        (frames, height, width), (t, y, x) = self.latents, self.patch
        return (frames // t) * (height // y) * (width // x)

    @property
    def recomputed(self) -> int:
        """Blocks whose activations are computed a second time in the backward pass."""
        every = int(self.gradient_checkpointing)
        return 0 if every == 0 else self.layers if every == 1 else self.layers - -(-self.layers // every)

    @property
    def last_is_recomputed(self) -> bool:
        every = int(self.gradient_checkpointing)
        return every == 1 or (every > 1 and (self.layers - 1) % every > 0)


def meta_model(setup: Setup, layers: int, checkpointing: int = 0, stored: bool = False) -> EmotionModel:
    """The model that would be trained, with so many blocks, on the meta device, in the types that diffusers loads it
    with; `stored` makes it an fp8 model where `base_storage` says so.

    Raises:
        ConfigError: the LoRA's targets are not there.
    """
    config = TrainingConfig(
        model=ModelConfig(
            pretrained_model_name_or_path="forecast",
            base_dtype=setup.base_dtype,
            gradient_checkpointing=checkpointing,
        ),
        data=DataConfig(dataset_name="forecast"),
        run=RunConfig(output_dir="forecast", max_train_steps=1),
        lora=dataclasses.replace(setup.lora, lora_weights=None),
        adapter=dataclasses.replace(setup.adapter, adapter_weights=None),
    )
    family = setup.family
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        transformer = family.empty_transformer(layers)
        for name, value in transformer.named_parameters():
            value.data = value.data.to(torch.float32 if family.keeps_float32(name) else DTYPES[setup.base_dtype])
        if stored and setup.base_storage == "fp8":
            transformer.enable_layerwise_casting(torch.float8_e4m3fn, DTYPES[setup.base_dtype])
        return build_model(family, transformer, config, setup.text_length, setup.folded)


@dataclass(frozen=True)
class Weights:
    """Numbers and bytes of the weights outside the blocks and in one block."""

    frozen: tuple[int, int]
    trained: tuple[int, int]
    frozen_bytes: tuple[int, int]
    copies: int
    """Bytes of a block's weights in the type they are computed with, where they are stored in fewer bits."""


def count_weights(setup: Setup) -> Weights:
    """Count on the meta device; all blocks are alike."""
    model = meta_model(setup, 1, stored=True)
    frozen, trained, size, copies = [0, 0], [0, 0], [0.0, 0.0], [0]
    compute = DTYPES[setup.base_dtype].itemsize
    quantised = _QUANTISED.get(setup.base_storage)
    (block,) = setup.family.blocks(model.transformer)
    in_block = set(block.modules())
    for path, module in model.named_modules():
        inside = int(module in in_block)
        for name, value in module.named_parameters(recurse=False):
            if value.requires_grad:
                trained[inside] += value.numel()
                continue
            frozen[inside] += value.numel()
            small = quantised is not None and isinstance(module, nn.Linear) and name == "weight"
            small = small and not setup.family.keeps_float32(path)
            size[inside] += value.numel() * (quantised if small else value.dtype.itemsize)
            if small or value.dtype.itemsize < compute:
                copies.append(value.numel() * compute)
        size[inside] += sum(value.numel() * value.dtype.itemsize for value in module.buffers(recurse=False))
    # fp8 is cast by diffusers, a block's worth at a time; bitsandbytes decodes one matrix and forgets it.
    largest = max(copies) if quantised is not None else sum(copies)
    return Weights(tuple(frozen), tuple(trained), (int(size[0]), int(size[1])), largest)


def setup_of(
    config: TrainingConfig,
    family: Family,
    size: tuple[int, int, int],
    text_length: int,
    folded: int | None = None,
    device: str = "cuda",
    processes: int = 1,
    offload: bool = False,
    zero_stage: int = 0,
) -> Setup:
    """The setup of a configured run on its largest clips.

    Args:
        size: (frames, height, width) in pixels.
        text_length, folded: as `build_model` is given them.
        processes: how many sum their gradients.
        offload, zero_stage: see `Setup`.

    Raises:
        ConfigError: the optimizer cannot be had.
    """
    return Setup(
        transformer=family.described(),
        latents=family.latent_size(*size),
        text_length=text_length,
        folded=folded,
        batch_size=config.run.train_batch_size,
        lora=config.lora,
        adapter=config.adapter,
        gradient_checkpointing=int(config.model.gradient_checkpointing),
        base_dtype=config.model.base_dtype,
        base_storage=config.model.base_storage,
        mixed_precision=config.run.mixed_precision,
        optimizer_bytes=optimizer_state_bytes(config.optimizer),
        ema=config.run.ema_decay > 0,
        device=device,
        data_parallel=processes > 1 and not offload,
        offload=offload,
        streamed=config.model.offload != "none",
        ulysses=config.run.ulysses,
        experts=len(family.experts),
        zero_stage=zero_stage,
        processes=processes,
    )


def available_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device now; None where that cannot be asked."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available if device.type == "cpu" else None


def optimizer_state_bytes(config: OptimizerConfig) -> float:
    """Bytes of state for every parameter, read off an optimizer that takes one step. An 8-bit one that cannot run here
    counts as two moments of a byte.

    Raises:
        ConfigError: it cannot be had, or cannot take a step.
    """
    optimizer = try_optimizer(config)
    if not optimizer.state and "8bit" in config.optimizer.lower():
        return EIGHT_BIT_STATE
    state = (value for values in optimizer.state.values() for value in values.values())
    sizes = [value.numel() * value.element_size() for value in state if isinstance(value, torch.Tensor)]
    parameters = sum(value.numel() for group in optimizer.param_groups for value in group["params"])
    return sum(size for size in sizes if size > 64) / parameters
