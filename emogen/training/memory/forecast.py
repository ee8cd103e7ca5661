"""How much memory a training run will take, before any weight is loaded, and what to switch on if it is too much.

    setup = setup_of(config, specification, size=(81, 480, 832), text_length=512)
    print(forecast(setup, available_memory(device)).table())

The forecast is of a training step: encoding the data set before it and samples in between are not in it. Weights are
counted on the meta device (see `footprint`), activations on a traced step (see `trace`), of the model itself.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from emogen.training.memory.footprint import EIGHT_BIT_STATE, Setup, count_weights
from emogen.training.memory.trace import activations
from emogen.training.streaming import HELD

GIB = 2**30
# What CUDA's context takes, and what its allocator loses to fragments: rules of thumb, not traced.
_CONTEXT, _FRAGMENTS = 0.5 * GIB, 0.04
_RUNGS = (2, 4, 8)  # of gradient checkpointing, before all blocks are recomputed


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
            "frozen weights": f"{self.frozen_parameters:,} parameters, {_storage(setup)}"
            + f", {_held(setup)} of {setup.layers} blocks at a time" * setup.streamed,
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
        for what, change in _measures(self.setup):
            changed = forecast(change(best.setup), self.device_memory)
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
    """The memory of a training step from the second on, when optimizer state and gradients are there.

    Samples and encoding have peaks of their own; `torch.compile` mostly keeps less. With `nf4` and `int8` activations
    count as those of a 16-bit base, with `offload` weights as three blocks at a time, with `streamed` frozen ones as
    two, with `ulysses` activations as the tokens' share, with ZeRO the optimizer's state and its copy of the weights as
    a process's share: reasoned, not traced. It is of memory in use; what an allocator keeps beside it is not counted.

    Args:
        device_memory: bytes of the device, such as `torch.cuda.mem_get_info()[0]`; None: not known.

    Raises:
        ConfigError: the LoRA's targets are not in the model.
    """
    weights, layers = count_weights(setup), setup.layers
    experts = (
        setup.experts
    )  # alike; a step is of one, and so are its gradients. They share what lies outside the blocks
    kept_blocks = layers - setup.recomputed
    # FSDP holds a block in use, the next one, and the buffer that it arrives in; its optimizer is not on the device.
    held = min(layers, 3) if setup.offload else layers
    base = _held(setup) if setup.streamed else held
    trained = weights.trained[0] + experts * layers * weights.trained[1]
    on_device = weights.trained[0] + experts * held * weights.trained[1]
    stepped = weights.trained[0] + held * weights.trained[1]
    kept, working, flop, batch = activations(setup)
    # of shared clips a process has a part of the tokens, and the whole of everything else
    kept, working, flop = (value // setup.ulysses for value in (kept, working, flop))
    zero = max(1, setup.processes) if setup.zero_stage else 1
    copies = weights.copies
    if setup.base_storage == "fp8":  # autograd keeps the weights of every block that it keeps
        copies *= kept_blocks + (setup.recomputed > 0)
    parts = {
        "frozen weights": experts * (weights.frozen_bytes[0] + base * weights.frozen_bytes[1]),
        "cast copies of weights": copies,
        "trained weights": 4 * on_device,
        "gradients": 4 * stepped // (zero if setup.zero_stage > 1 else 1),
        "gradient buckets": 4 * on_device if setup.data_parallel else 0,
        "optimizer state": 0 if setup.offload else int((setup.optimizer_bytes + 4 * (zero > 1)) * trained) // zero,
        "moving average": 4 * trained if setup.ema and not setup.offload else 0,
        "batch": batch,
        "activations kept for backward": kept,
        "working set": working,
    }
    frozen = experts * (weights.frozen[0] + layers * weights.frozen[1])
    return Forecast(setup, parts, frozen, trained, flop, device_memory)


def _measures(setup: Setup) -> Iterator[tuple[str, Callable[[Setup], Setup]]]:
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
    for storage in ("fp8",) if setup.streamed else ("fp8", "nf4"):
        yield f"--base_storage {storage}", lambda s, storage=storage: change(s, base_storage=storage)
    alone = not (setup.offload or setup.data_parallel or setup.zero_stage) and setup.ulysses == setup.processes == 1
    if alone and not setup.streamed:
        away = "group" if setup.device == "cuda" else "group_disk"
        words = f"--offload {away}, with --gradient_checkpointing true and --base_storage same"
        yield words, lambda s: change(s, streamed=True, gradient_checkpointing=1, base_storage="same")
    words = "accelerate launch --config_file configs/accelerate/one_gpu_offload.yaml, with --base_storage same"
    yield words, lambda s: change(s, offload=True, streamed=False, base_storage="same")
    frames = setup.latents[0]
    while frames > setup.patch[0]:
        frames = (frames + 1) // 2 // setup.patch[0] * setup.patch[0]
        words = f"--num_frames {setup.family.temporal * (frames - 1) + 1}"
        yield words, lambda s, frames=frames: change(s, latents=(frames, *setup.latents[1:]))


def _held(setup: Setup) -> int:
    return min(setup.layers, HELD)


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
