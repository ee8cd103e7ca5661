"""How much memory a training run will take, before any weight is loaded, and what to switch on if it is too much.

    setup = Setup.of_run(config, specification, size=(81, 480, 832), text_length=512)
    print(forecast(setup, device_memory).table())

The forecast is of a training step: encoding the data set before it and samples in between are not in it. Weights are
counted on the meta device, activations on a traced step (see `footprint`); both follow the model that is trained.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from emogen.training.footprint import Setup, converted, meta_model, trace_step
from emogen.training.memory import DTYPES
from emogen.training.optim import find_optimizer

GIB = 2**30
EIGHT_BIT_STATE = 2 + 8 / 256  # two moments of a byte, and a float32 scale for 256 of each
# bitsandbytes: 4 bits and a float32 scale for 64 values; 8 bits, whose scale for each row is next to nothing.
_QUANTISED = {"nf4": 0.5 + 4 / 64, "int8": 1.0}
# What CUDA's context takes, and what its allocator loses to fragments: rules of thumb, not traced.
_CONTEXT, _FRAGMENTS = 0.5 * GIB, 0.04
_RUNGS = (2, 4, 8)  # of gradient checkpointing, before all blocks are recomputed


@dataclass(frozen=True)
class Weights:
    """Numbers and bytes of the weights outside the blocks and in one block."""

    frozen: tuple[int, int]
    trained: tuple[int, int]
    frozen_bytes: tuple[int, int]
    copies: int
    """Bytes of a block's weights in the type they are computed with, where they are stored in fewer bits."""


@dataclass(frozen=True)
class Forecast:
    """The memory of a training step.

    Attributes:
        setup: what it was made for.
        parts: name -> bytes, in the order of the table.
        frozen_parameters, trained_parameters: how many.
        flop: floating-point operations of a micro-step, forward, backward and recomputation.
        device_memory: bytes there are, if known.
    """

    setup: Setup
    parts: Mapping[str, int]
    frozen_parameters: int
    trained_parameters: int
    flop: int
    device_memory: int | None

    @property
    def tokens(self) -> int:
        """Tokens of a clip."""
        return self.setup.tokens

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    @property
    def allowance(self) -> int:
        """Bytes to leave free for what is not tensors; a rule of thumb."""
        return int(_CONTEXT + _FRAGMENTS * self.total) if self.setup.device == "cuda" else 0

    @property
    def fits(self) -> bool | None:
        """None when the device's memory is not known."""
        return None if self.device_memory is None else self.total + self.allowance <= self.device_memory

    def table(self) -> str:
        """Every part on a line, and the total."""
        setup, clips = self.setup, self.setup.batch_size
        notes = {
            "frozen weights": f"{self.frozen_parameters:,} parameters, {_storage(setup)}",
            "trained weights": f"{self.trained_parameters:,} parameters, float32",
            "activations kept for backward": f"of {setup.layers - setup.recomputed} of {setup.layers} blocks",
            "working set": "of the largest moment" + (", one block recomputed" if setup.recomputed else ""),
        }
        lines = [f"memory forecast: {clips} clip{'s' * (clips > 1)} of {self.tokens:,} tokens a step and process"]
        lines += [f"  {name:<30}{_size(size):>11}  {notes.get(name, '')}".rstrip() for name, size in self.parts.items()]
        verdict = ""
        if self.device_memory is not None:
            verdict = f"  of {_size(self.device_memory)}: " + ("fits" if self.fits else "does not fit")
            if self.allowance:
                verdict += f" (with {_size(self.allowance)} for CUDA and fragments, a rule of thumb)"
        return "\n".join([*lines, f"  {'total':<30}{_size(self.total):>11}{verdict}"])

    def advice(self) -> list[str]:
        """What would lower the forecast, each measure on top of those before it, and the total then; nothing if it
        fits, and no more than is needed where the device's memory is known."""
        if self.fits:
            return []
        lines, best = [], self
        for what, setup in _measures(self.setup):
            changed = forecast(setup(best.setup), self.device_memory)
            if changed.total >= best.total:
                continue
            slower = changed.flop / changed.setup.batch_size / (best.flop / best.setup.batch_size) - 1
            cost = f", {slower:.0%} more arithmetic" if slower > 0.005 else ""
            verdict = {None: "", True: ": fits", False: ": still too much"}[changed.fits]
            lines.append(f"{what}: {_size(changed.total)}{cost}{verdict}")
            best = changed
            if changed.fits:
                break
        return lines

    def pace(self, seconds: Sequence[float], steps: int, micro_steps: int = 1) -> str:
        """What the run will take, from the seconds of its first steps (the very first, which warms up, is left out when
        there are more): `steps` steps of `micro_steps` each."""
        if not seconds:
            raise ValueError("pace needs the seconds of at least one step")
        typical = statistics.median(seconds[1:] or seconds)
        rate = self.flop * micro_steps / typical / 1e12
        return f"{typical:.2f} s a step, {steps:,} steps: {_duration(typical * steps)}; {rate:,.3g} TFLOP/s a process"


def forecast(setup: Setup, device_memory: int | None = None) -> Forecast:
    """The memory of a training step from its second on, when optimizer state and gradients are there.

    Args:
        device_memory: bytes of the device, such as `torch.cuda.mem_get_info()[0]`; None: not known.

    Raises:
        ConfigError: the LoRA's targets are not in the model.
    """
    weights, layers = count_weights(setup), setup.layers
    kept_blocks = layers - setup.recomputed
    # FSDP holds a block in use, the next one, and the buffer that it arrives in; its optimizer is not on the device.
    held = min(layers, 3) if setup.offload else layers
    trained = weights.trained[0] + layers * weights.trained[1]
    on_device = weights.trained[0] + held * weights.trained[1]
    activations, working, flop, batch = _activations(setup)
    copies = weights.copies
    if setup.base_storage == "fp8":  # autograd keeps the weights of every block that it keeps
        copies *= kept_blocks + (setup.recomputed > 0)
    parts = {
        "frozen weights": weights.frozen_bytes[0] + held * weights.frozen_bytes[1],
        "cast copies of weights": copies,
        "trained weights": 4 * on_device,
        "gradients": 4 * on_device,
        "gradient buckets": 4 * on_device if setup.data_parallel else 0,
        "optimizer state": 0 if setup.offload else int(setup.optimizer_bytes * trained),
        "moving average": 4 * trained if setup.ema and not setup.offload else 0,
        "batch": batch,
        "activations kept for backward": activations,
        "working set": working,
    }
    frozen = weights.frozen[0] + layers * weights.frozen[1]
    return Forecast(setup, parts, frozen, trained, flop, device_memory)


def count_weights(setup: Setup) -> Weights:
    """Count on the meta device; all blocks are alike."""
    model = meta_model(setup, 1, stored=True)
    frozen, trained, size, copies = [0, 0], [0, 0], [0.0, 0.0], [0]
    compute = DTYPES[setup.base_dtype].itemsize
    quantised = _QUANTISED.get(setup.base_storage)
    for path, module in model.named_modules():
        inside = int(path.startswith("transformer.blocks."))
        for name, value in module.named_parameters(recurse=False):
            if value.requires_grad:
                trained[inside] += value.numel()
                continue
            frozen[inside] += value.numel()
            small = quantised is not None and isinstance(module, nn.Linear) and name == "weight" and converted(path)
            size[inside] += value.numel() * (quantised if small else value.dtype.itemsize)
            if small or value.dtype.itemsize < compute:
                copies.append(value.numel() * compute)
        size[0] += sum(value.numel() * value.dtype.itemsize for value in module.buffers(recurse=False))
    # fp8 is cast by diffusers, a block's worth at a time; bitsandbytes decodes one matrix and forgets it.
    largest = max(copies) if quantised is not None else sum(copies)
    return Weights(tuple(frozen), tuple(trained), (int(size[0]), int(size[1])), largest)


def _activations(setup: Setup) -> tuple[int, int, int, int]:
    """Bytes kept for the backward pass, bytes beyond them at the peak, arithmetic, bytes of the batch."""
    layers, again = setup.layers, setup.recomputed
    few = min(layers, 2)
    if again == layers:
        part = trace_step(setup, few, 1)
        more = layers - few
        kept = part.kept + more * part.block_kept
        forward = part.forward_peak + more * part.block_alive
        working, flop = part.peak - part.kept, part.flop + more * part.block_flop
    else:
        part = trace_step(setup, few, 0)
        more = layers - again - few
        kept = part.kept + more * part.block_kept
        forward = part.forward_peak + more * part.block_alive
        working, flop = part.peak - part.kept, part.flop + (layers - few) * part.block_flop
        if again:
            other = trace_step(setup, few, 1)
            kept += again * other.block_kept
            forward += again * other.block_alive
            flop += again * (other.block_flop - part.block_flop)
            # the backward pass begins at the last block; if that was kept, the next is recomputed when it is gone
            recomputing = other.peak - other.kept
            working = recomputing if setup.last_is_recomputed else max(working, recomputing - part.block_kept)
    return kept, max(working, forward - kept), flop, part.batch


def optimizer_state_bytes(name: str, arguments: Mapping[str, object] | None = None) -> float:
    """Bytes of state for every parameter, read off an optimizer that takes one step. An 8-bit one that cannot run here
    counts as two moments of a byte.

    Args:
        name: a dotted path, as `optimizer.optimizer`.

    Raises:
        ConfigError: the path leads nowhere.
    """
    make = find_optimizer(name)
    parameter = nn.Parameter(torch.zeros(128, 128))
    parameter.grad = torch.ones_like(parameter)
    try:
        optimizer = make([parameter], lr=1e-4, **(arguments or {}))
        optimizer.step()
    except Exception:
        if "8bit" not in name.lower():
            raise
        return EIGHT_BIT_STATE
    state = (value for values in optimizer.state.values() for value in values.values())
    sizes = [value.numel() * value.element_size() for value in state if isinstance(value, torch.Tensor)]
    return sum(size for size in sizes if size > 64) / parameter.numel()


def _measures(setup: Setup) -> Iterator[tuple[str, object]]:
    """What to try, cheapest first: words, and what makes a setup of the one before."""
    change = dataclasses.replace
    every = int(setup.gradient_checkpointing)
    for rung in _RUNGS:
        if every != 1 and every < rung <= setup.layers:
            yield f"--gradient_checkpointing {rung}", lambda s, rung=rung: change(s, gradient_checkpointing=rung)
    yield "--gradient_checkpointing true", lambda s: change(s, gradient_checkpointing=1)
    size = setup.batch_size
    while size > 1:
        size //= 2
        words = f"--train_batch_size {size} (and more --gradient_accumulation_steps)"
        yield words, lambda s, size=size: change(s, batch_size=size)
    if setup.optimizer_bytes > EIGHT_BIT_STATE:
        words = "--optimizer bitsandbytes.optim.AdamW8bit"
        yield words, lambda s: change(s, optimizer_bytes=EIGHT_BIT_STATE)
    for storage in ("fp8", "nf4"):
        yield f"--base_storage {storage}", lambda s, storage=storage: change(s, base_storage=storage)
    words = "accelerate launch --config_file configs/accelerate/one_gpu_offload.yaml, with --base_storage same"
    yield words, lambda s: change(s, offload=True, base_storage="same")
    frames = setup.latents[0]
    while frames > setup.patch[0]:
        frames = (frames + 1) // 2 // setup.patch[0] * setup.patch[0]
        words = f"--num_frames {4 * (frames - 1) + 1}"
        yield words, lambda s, frames=frames: change(s, latents=(frames, *setup.latents[1:]))


def _storage(setup: Setup) -> str:
    return setup.base_dtype if setup.base_storage == "same" else setup.base_storage


def _size(size: float) -> str:
    return f"{size / GIB:,.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:,.2f} MiB"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min" if minutes else f"{seconds:.0f} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"
