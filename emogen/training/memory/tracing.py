"""What a piece of PyTorch code holds in memory and computes: counted, on real tensors or on tensors without contents.

Under PyTorch's `FakeTensorMode` operators work out shapes and types but no numbers, so that a step of a model of any
size can be walked through in a second on any machine. `StepMeter` watches the operators, fake or real, and counts the
bytes of the storages that are alive, and the arithmetic.

(`torch.distributed._tools.MemTracker` does the former too, but it cannot be used with frozen parameters: it registers
gradient hooks on every parameter. A fake CUDA device cannot be used either, because PyTorch without CUDA has no device
guard for the backward pass. So the step is traced as the CPU's, with `cuda_kernels` for where CUDA differs.)
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
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
        packet = func._overloadpacket
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
        if storage._cdata not in self._seen:
            self._watch(storage, storage.nbytes())
            self.peak = max(self.peak, self.now)

    def _watch(self, storage: torch.UntypedStorage, size: int) -> None:
        self._seen.add(storage._cdata)
        self.now += size
        weakref.finalize(storage, self._free, storage._cdata, size).atexit = False

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def measure_saved_bytes(forward: Callable[[], Any], ignore: Iterable[torch.Tensor] = ()) -> int:
    """Bytes of the distinct storages that autograd keeps for the backward pass of what `forward` returns.

    Args:
        forward: computes something to call `backward` on; what it returns is held until the bytes are counted.
        ignore: tensors whose storages do not count, such as weights.
    """
    own = {value.untyped_storage()._cdata for value in ignore}
    kept: dict[int, tuple[weakref.ref, int]] = {}

    def pack(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = (weakref.ref(storage), storage.nbytes())
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
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = nn.Parameter(make(value), requires_grad=value.requires_grad)
                if value.requires_grad:
                    part._parameters[name].grad = make(value)
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = make(value)


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
    return torch._C._dispatch_has_kernel_for_dispatch_key("aten::rms_norm", "AutocastCUDA")


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
