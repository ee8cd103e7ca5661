"""One step of the model that a run trains, walked through without weights: what it holds and what it computes.

The trace is of a few blocks of the real width on clips of the real size. All blocks of a Wan transformer are alike, so
what the last of them adds is what every further one adds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses import FakeTensorMode

from emogen.models import EmotionTensors
from emogen.training.data.batch import Batch
from emogen.training.families.loading import DTYPES
from emogen.training.families.wan import WanSpecification
from emogen.training.memory.footprint import Setup, meta_model
from emogen.training.memory.tracing import StepMeter, cuda_kernels, replace_tensors
from emogen.training.model import WanEmotionModel
from emogen.training.objective import add_noise, flow_loss

IMAGE_TOKENS = 257  # of the CLIP model of Wan2.1's image-to-video checkpoints


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


def example_batch(setup: Setup, specification: WanSpecification) -> tuple[Batch, torch.Tensor, torch.Tensor]:
    """A batch, its noise and its noise levels [B], with any contents, on the default device."""
    size, extra = setup.batch_size, setup.transformer.get("in_channels", 16) - specification.channels
    latents = torch.empty(size, specification.channels, *setup.latents)
    image = setup.transformer.get("image_dim")
    batch = Batch(
        latents=latents,
        text=torch.empty(size, setup.folded or setup.text_length, setup.transformer.get("text_dim", 4096)),
        emotion=EmotionTensors(torch.empty(size, 8), torch.empty(size, 2), torch.empty(size)),
        names=[""] * size,
        condition=torch.empty(size, extra, *setup.latents) if extra else None,
        image=torch.empty(size, IMAGE_TOKENS, image) if image else None,
    )
    return batch, torch.empty_like(latents), torch.empty(size)


def training_step(
    model: WanEmotionModel,
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
        batch, noise, sigma = example_batch(setup, model.specification)
        noisy = add_noise(batch.latents, noise, sigma)
        given = [batch.latents, batch.text, *batch.emotion, batch.condition, batch.image, noise, noisy, sigma]
        given = [value for value in given if value is not None]
        weights = [*model.parameters(), *model.buffers()]
        gradients = [value.grad for value in weights if value.grad is not None]
        meter = StepMeter([*given, *weights, *gradients], cuda)
        marks = _Marks(meter)
        marks.follow(model.transformer.blocks)
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
