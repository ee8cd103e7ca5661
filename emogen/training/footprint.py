"""One step of the model that a run trains, walked through without weights: what it holds and what it computes.

The trace is of one or two blocks of the real width on clips of the real size. All blocks of a Wan transformer are
alike, so what the second of them adds is what every further one adds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import nn
from torch._subclasses import FakeTensorMode

from emogen.models import EmotionTensors
from emogen.training.batch import Batch
from emogen.training.memory import DTYPES
from emogen.training.model import WanEmotionModel, build_model
from emogen.training.objective import add_noise, flow_loss
from emogen.training.schema import AdapterSettings, DataConfig, LoraSettings, ModelConfig, RunConfig, TrainingConfig
from emogen.training.specification import WanSpecification
from emogen.training.tracing import StepMeter, cuda_kernels, replace_tensors

IMAGE_TOKENS = 257  # of the CLIP model of Wan2.1's image-to-video checkpoints


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything that the memory of a run depends on.

    Attributes:
        transformer: the configuration of a `WanTransformer3DModel` (its `config.json`).
        latents: (frames, height, width) of a clip's latents.
        text_length, folded: text tokens at inference, and the fewer of them trained on (see `fold`), if so.
        batch_size: clips a process and micro-step.
        gradient_checkpointing: as in the configuration; 0 none, 1 every block, N all but one block in N.
        base_dtype, base_storage, mixed_precision: as in the configuration.
        optimizer_bytes: of the optimizer's state, for every trained parameter; AdamW keeps two float32.
        ema: whether a moving average of the trained weights is kept.
        device: "cuda" or "cpu".
        data_parallel: whether gradients are summed over processes, for which there are buckets of their size.
        offload: whether FSDP keeps weights and optimizer in the computer's memory.
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

    def __post_init__(self) -> None:
        for name, size, patch in zip(("frames", "height", "width"), self.latents, self.patch, strict=True):
            if size < 1 or size % patch:
                raise ValueError(f"latents: {name} is {size}, which must be a multiple of the model's patch, {patch}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")

    @property
    def patch(self) -> tuple[int, int, int]:
        return tuple(self.transformer.get("patch_size", (1, 2, 2)))

    @property
    def layers(self) -> int:
        return self.transformer.get("num_layers", 40)

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


def meta_model(setup: Setup, layers: int, checkpointing: int = 0, stored: bool = False) -> WanEmotionModel:
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
    sizes = {name: value for name, value in setup.transformer.items() if not name.startswith("_")}
    inside, outside = sizes.get("in_channels", 16), sizes.get("out_channels") or sizes.get("in_channels", 16)
    specification = WanSpecification(
        folder=Path("forecast"),
        kind="t2v" if inside == outside else "i2v",
        image_branch=sizes.get("image_dim") is not None,
        spatial=8,
        temporal=4,
        patch=setup.patch,
        channels=outside,
    )
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        transformer = WanTransformer3DModel(**{**sizes, "num_layers": layers})
        for name, value in transformer.named_parameters():
            value.data = value.data.to(DTYPES[setup.base_dtype] if converted(name) else torch.float32)
        if stored and setup.base_storage == "fp8":
            transformer.enable_layerwise_casting(torch.float8_e4m3fn, DTYPES[setup.base_dtype])
        return build_model(specification, transformer, config, setup.text_length, setup.folded)


def converted(name: str) -> bool:
    """Whether a parameter of the base is loaded in the configured type, and not kept in float32 by diffusers."""
    return not set(WanTransformer3DModel._keep_in_fp32_modules).intersection(name.split("."))


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
            stack.enter_context(torch.autocast("cpu", DTYPES[precision]))
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
    key = json.dumps(values, sort_keys=True, default=repr)
    if key not in _traces:
        _traces[key] = _trace_step(setup, layers, checkpointing)
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
