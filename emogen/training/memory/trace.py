"""One step of the model that a run trains, walked through without weights: what it holds and what it computes.

Under PyTorch's `FakeTensorMode` operators work out shapes and types but no numbers, so that a step of a model of any
size can be walked through in a second on any machine. `StepMeter` watches the operators, fake or real, and counts the
bytes of the storages that are alive, and the arithmetic. The trace is of a few blocks of the real width on clips of the
real size. All blocks of a transformer are alike, so what the last of them adds is what every further one adds.

(`torch.distributed._tools.MemTracker` does the former too, but it cannot be used with frozen parameters: it registers
gradient hooks on every parameter. A fake CUDA device cannot be used either, because PyTorch without CUDA has no device
guard for the backward pass. So the step is traced as the CPU's, with `cuda_kernels` for where CUDA differs.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from emogen.emotion import MIKELS
from emogen.models import EmotionTensors, compat
from emogen.models.compat import FakeTensorMode, TorchDispatchMode, has_kernel, operator_of, storage_key, tree_leaves
from emogen.training.data.batches import Batch
from emogen.training.families import EmotionModel
from emogen.training.memory.footprint import Setup, meta_model
from emogen.training.model import DTYPES
from emogen.training.objective import add_noise, flow_loss

_ATTENTION = compat.CPU_ATTENTION
_ATTENTION_BACKWARD = compat.CPU_ATTENTION_BACKWARD
_FREE = (torch.ops.prim.device.default,)  # asked for thousands of times, and makes nothing


class StepMeter(TorchDispatchMode):
    """Counts, while it is entered, the storages that operators make and the arithmetic they do.

    Args:
        ignore: tensors whose storages are accounted for elsewhere (weights, gradients, the batch).
        cuda: count also what CUDA's attention takes during its backward pass: a float32 sum for every query's gradient.

    Attributes:
        now: bytes alive that were made since the meter was made.
        peak: the most `now` has been.
        flop: floating-point operations of matrix products, convolutions and attentions; a multiply-add is two.
    """

    def __init__(self, ignore: Iterable[torch.Tensor] = (), cuda: bool = False):
        super().__init__()
        self.now = self.peak = self.flop = 0
        self._cuda = cuda
        self._seen: set[int] = set()
        for storage in map(torch.Tensor.untyped_storage, ignore):
            self._watch(storage, 0)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in _FREE:
            return output
        for value in tree_leaves(output):
            if isinstance(value, torch.Tensor):
                self._see(value.untyped_storage())
        packet = operator_of(func)
        if packet is _ATTENTION:
            self.flop += sdpa_flop_count(*(value.shape for value in args[:3]))
        elif packet is _ATTENTION_BACKWARD:
            self.flop += sdpa_backward_flop_count(*(value.shape for value in args[:4]))
            if self._cuda:
                self.peak = max(self.peak, self.now + 4 * args[1].numel())
        elif packet in flop_registry:
            self.flop += flop_registry[packet](*args, **(kwargs or {}), out_val=output)
        return output

    def _see(self, storage: torch.UntypedStorage) -> None:
        if storage_key(storage) not in self._seen:
            self._watch(storage, storage.nbytes())
            self.peak = max(self.peak, self.now)

    def _watch(self, storage: torch.UntypedStorage, size: int) -> None:
        self._seen.add(storage_key(storage))
        self.now += size
        weakref.finalize(storage, self._free, storage_key(storage), size).atexit = False

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def measure_saved_bytes(forward: Callable[[], Any], ignore: Iterable[torch.Tensor] = ()) -> int:
    """Bytes of the distinct storages that autograd keeps for the backward pass of what `forward` returns.

    Args:
        forward: computes something to call `backward` on; what it returns is held until the bytes are counted.
        ignore: tensors whose storages do not count, such as weights.
    """
    own = {storage_key(value.untyped_storage()) for value in ignore}
    kept: dict[int, tuple[weakref.ref, int]] = {}

    def pack(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage_key(storage) not in own:
            kept[storage_key(storage)] = (weakref.ref(storage), storage.nbytes())
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        result = forward()
    total = sum(size for alive, size in kept.values() if alive() is not None)
    del result
    return total


def replace_tensors(module: nn.Module, make: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Put `make(tensor)` where a parameter or buffer was; what requires a gradient has one from the start, as in every
    micro-step of a step but the first."""
    for part in module.modules():
        for name, value in compat.parameters(part).items():
            if value is not None:
                compat.parameters(part)[name] = nn.Parameter(make(value), requires_grad=value.requires_grad)
                if value.requires_grad:
                    compat.parameters(part)[name].grad = make(value)
        for name, value in compat.buffers(part).items():
            if value is not None:
                compat.buffers(part)[name] = make(value)


class _FusedRMSNorm(torch.autograd.Function):
    """Stands for CUDA's kernel, which keeps its input and one number a row. The CPU has none: there the norm is made of
    a dozen operators that keep much more. Shapes only; the numbers are not computed."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(values, weight, values.new_empty(values.shape[:-1], dtype=torch.float32))
        return torch.empty_like(values)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, weight, _ = ctx.saved_tensors
        return torch.empty_like(values), torch.empty_like(weight) if ctx.needs_input_grad[1] else None


def _rms_norm(
    values: torch.Tensor, normalized_shape: Any, weight: torch.Tensor | None = None, eps: float | None = None
) -> torch.Tensor:
    if torch.is_autocast_enabled("cpu") and _autocast_raises_rms_norm():
        values, weight = values.float(), weight if weight is None else weight.float()
    if weight is not None and weight.dtype != values.dtype:
        return torch.rms_norm(values, normalized_shape, weight, eps)  # CUDA takes the same way out
    return _FusedRMSNorm.apply(values, weight)


def _autocast_raises_rms_norm() -> bool:
    """Whether this PyTorch's autocast for CUDA computes RMS norms in float32; registered without CUDA too."""
    return has_kernel("aten::rms_norm", "AutocastCUDA")


@contextmanager
def cuda_kernels() -> Iterator[None]:
    """Trace fake CPU tensors as if they were on a CUDA device; not for real tensors, nor for several threads.

    Attention needs nothing: the CPU's flash attention keeps what CUDA's does, its inputs, its output and the logarithm
    of each row's sum. Linears, layer norms and activations are the same on both.
    """
    # Replaced by name: a mode that intercepts functions is off in the backward pass, where blocks are recomputed.
    original = functional.rms_norm
    functional.rms_norm = _rms_norm
    try:
        yield
    finally:
        functional.rms_norm = original


@dataclass(frozen=True)
class StepTrace:
    """A step of a model of `layers` blocks. Bytes beyond weights, gradients and batch.

    Attributes:
        kept, block_kept: alive at the end of the forward pass; what a block adds to it.
        peak: the most alive at once.
        forward_peak, block_alive: the most in the forward pass; what a block adds to that. Where blocks are recomputed
            this is more than it keeps: autocast holds its 16-bit copies of the trained weights until the pass is over.
        flop, block_flop: arithmetic of both passes; a block's share.
        batch: bytes of the batch, its noise and its noisy latents.
    """

    layers: int
    kept: int
    block_kept: int
    peak: int
    forward_peak: int
    block_alive: int
    flop: int
    block_flop: int
    batch: int


def activations(setup: Setup) -> tuple[int, int, int, int]:
    """Bytes kept for the backward pass, bytes beyond them at the peak, arithmetic, bytes of the batch."""
    layers, again = setup.layers, setup.recomputed
    few = min(layers, 3)
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


def example_batch(setup: Setup) -> tuple[Batch, torch.Tensor, torch.Tensor]:
    """A batch, its noise and its noise levels [B], with any contents, on the default device."""
    size, family = setup.batch_size, setup.family
    latents = torch.empty(size, family.channels, *setup.latents)
    batch = Batch(
        latents=latents,
        text=torch.empty(size, setup.folded or setup.text_length, family.text_dim),
        emotion=EmotionTensors(torch.empty(size, len(MIKELS)), torch.empty(size, 2), torch.empty(size)),
        names=[""] * size,
        condition=torch.empty(size, family.condition_channels, *setup.latents) if family.condition_channels else None,
        image=torch.empty(size, family.image_tokens, family.image_dim) if family.image_dim else None,
    )
    return batch, torch.empty_like(latents), torch.empty(size)


def training_step(
    model: EmotionModel,
    batch: Batch,
    noise: torch.Tensor,
    noisy: torch.Tensor,
    sigma: torch.Tensor,
    precision: str,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Forward and backward pass as the trainer runs them; `between` is called between the two."""
    with contextlib.ExitStack() as stack:
        if precision != "no":
            stack.enter_context(torch.autocast(noisy.device.type, DTYPES[precision]))
        prediction = model(noisy, sigma, batch)
    loss = flow_loss(prediction.float(), batch.latents, noise).mean()
    between()
    loss.backward()


_TRACED = (
    "transformer", "latents", "text_length", "folded", "batch_size", "lora", "adapter", "base_dtype", "mixed_precision",
    "device",
)  # fmt: skip
_traces: dict[str, StepTrace] = {}


def trace_step(setup: Setup, layers: int, checkpointing: int) -> StepTrace:
    """Trace a step with so many blocks and this gradient checkpointing in place of the setup's own.

    Traces are remembered: setups that differ in what does not matter here, such as the optimizer, share one.
    """
    values = {name: getattr(setup, name) for name in _TRACED}
    values |= {"lora": vars(setup.lora), "adapter": vars(setup.adapter), "layers": layers, "every": checkpointing}
    for name in ("base_dtype", "mixed_precision"):  # of one size, and the CPU's autocast does not know fp16 everywhere
        values[name] = values[name].replace("fp16", "bf16")
    key = json.dumps(values, sort_keys=True, default=dict)
    if key not in _traces:
        same = {name: values[name] for name in ("base_dtype", "mixed_precision")}
        _traces[key] = _trace_step(dataclasses.replace(setup, **same), layers, checkpointing)
    return _traces[key]


def _trace_step(setup: Setup, layers: int, checkpointing: int) -> StepTrace:
    model = meta_model(setup, layers, checkpointing)
    cuda = setup.device == "cuda"
    with FakeTensorMode():
        replace_tensors(model, lambda value: torch.empty(value.shape, dtype=value.dtype))
        batch, noise, sigma = example_batch(setup)
        noisy = add_noise(batch.latents, noise, sigma)
        given = [batch.latents, batch.text, *batch.emotion, batch.condition, batch.image, noise, noisy, sigma]
        given = [value for value in given if value is not None]
        weights = [*model.parameters(), *model.buffers()]
        gradients = [value.grad for value in weights if value.grad is not None]
        meter = StepMeter([*given, *weights, *gradients], cuda)
        marks = _Marks(meter)
        marks.follow(model.family.blocks(model.transformer))
        with cuda_kernels() if cuda else contextlib.nullcontext(), meter:
            training_step(model, batch, noise, noisy, sigma, setup.mixed_precision, marks.turn)
        return StepTrace(
            layers=layers,
            kept=marks.kept,
            block_kept=marks.hidden if checkpointing else marks.block_alive(),
            peak=meter.peak,
            forward_peak=marks.forward_peak,
            block_alive=marks.block_alive(),
            flop=meter.flop,
            block_flop=marks.block_flop(),
            batch=sum(value.untyped_storage().nbytes() for value in given),
        )


class _Marks:
    """Readings of a meter where one block ends and the next begins, in both directions."""

    def __init__(self, meter: StepMeter):
        self.kept = self.forward_peak = self.hidden = 0
        self._meter = meter
        self._forward: list[tuple[int, int]] = []
        self._backward: list[int] = []
        self._turned = False

    def follow(self, blocks: nn.ModuleList) -> None:
        for block in blocks:
            block.register_forward_hook(self._after_block)

    def turn(self) -> None:
        """The forward pass is over."""
        self._turned, self.kept, self.forward_peak = True, self._meter.now, self._meter.peak

    def _after_block(self, block: nn.Module, args: Any, output: torch.Tensor) -> None:
        if not self._turned:  # recomputation calls blocks too
            self.hidden = output.untyped_storage().nbytes()
            self._forward.append((self._meter.now, self._meter.flop))
            output.register_hook(lambda gradient: self._backward.append(self._meter.flop))

    def block_alive(self) -> int:
        return self._forward[-1][0] - self._forward[-2][0] if len(self._forward) > 1 else 0

    def block_flop(self) -> int:
        if len(self._forward) < 2:
            return 0
        return self._forward[-1][1] - self._forward[-2][1] + self._backward[1] - self._backward[0]
