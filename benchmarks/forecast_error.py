"""How far the memory forecast is from what a training step really takes.

    python benchmarks/forecast_error.py            # small models on the CPU, and Wan2.1 1.3B where there is a GPU
    python benchmarks/forecast_error.py --cpu

Weights are random, the step is the trainer's: bf16 base, float32 LoRA and adapter, AdamW, gradients kept from the step
before. On the CPU the peak is that of PyTorch's allocator during forward and backward pass, as its profiler reports it,
beside the bytes that autograd holds; on a GPU it is `torch.cuda.max_memory_allocated` over whole steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
from collections.abc import Iterator

import torch
from arms import wan_config

from emogen.training.config import AdapterSettings, LoraSettings
from emogen.training.memory.footprint import Setup, meta_model
from emogen.training.memory.forecast import Forecast, forecast
from emogen.training.memory.trace import example_batch, measure_saved_bytes, replace_tensors, training_step
from emogen.training.objective import add_noise, flow_loss

ALL = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]
KEPT, WORKING = "activations kept for backward", "working set"


def setups(device: str) -> Iterator[tuple[str, Setup]]:
    """Names and setups, none recomputed; each is measured with every kind of recomputation."""
    if device == "cpu":
        small = AdapterSettings(adapter_rank=128, adapter_head_dim=32, hidden_dim=128)
        base = Setup(transformer=wan_config("embedded"), latents=(5, 16, 16), text_length=64, device="cpu",
                     lora=LoraSettings(rank=16), adapter=small)  # fmt: skip
        yield "embedded, 17x128x128", base
        yield "embedded, 33x128x128, 2 clips", dataclasses.replace(base, latents=(9, 16, 16), batch_size=2)
        yield "embedded, LoRA on ffn", dataclasses.replace(base, lora=LoraSettings(rank=16, target_modules=ALL))
        return
    base = Setup(transformer=wan_config("Wan2.1-T2V-1.3B"), latents=(5, 30, 52))
    yield "1.3B, 17x240x416", base
    yield "1.3B, 33x480x832", dataclasses.replace(base, latents=(9, 60, 104))
    yield "1.3B, 81x480x832", dataclasses.replace(base, latents=(21, 60, 104))
    yield "1.3B, 81x480x480", dataclasses.replace(base, latents=(21, 60, 60))


class Step:
    """A real step."""

    def __init__(self, setup: Setup):
        self.setup = setup
        device = torch.device(setup.device)
        self.model = meta_model(setup, setup.layers, setup.gradient_checkpointing)
        replace_tensors(self.model, lambda v: (0.02 * torch.randn(v.shape, device=device)).to(v.dtype))
        with device:
            self.batch, self.noise, self.sigma = example_batch(setup)
        for value in (self.batch.latents, self.batch.text, self.noise):
            value.normal_()
        for value in (self.sigma, *self.batch.emotion):
            value.fill_(0.5)
        self.noisy = add_noise(self.batch.latents, self.noise, self.sigma)

    def run(self) -> None:
        training_step(self.model, self.batch, self.noise, self.noisy, self.sigma, self.setup.mixed_precision)

    def saved(self) -> int:
        """Bytes autograd holds after the forward pass."""
        own = [*self.model.parameters(), *self.model.buffers(), self.batch.latents, self.batch.text, self.noisy]

        def loss() -> torch.Tensor:
            with torch.autocast(self.setup.device, torch.bfloat16):
                prediction = self.model(self.noisy, self.sigma, self.batch)
            return flow_loss(prediction.float(), self.batch.latents, self.noise).mean()

        return measure_saved_bytes(loss, own)


def allocator_peak(step: Step) -> int:
    """The most bytes that a step on the CPU has allocated, beyond what was there before."""
    step.run()  # what is allocated once and for all
    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step.run()
    changes = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(changes, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def cuda_peak(step: Step) -> int:
    """`max_memory_allocated` over two steps and their updates."""
    trained = [value for value in step.model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        step.run()
        optimizer.step()
    return torch.cuda.max_memory_allocated()


def rows(device: str) -> Iterator[list[str]]:
    for name, base in setups(device):
        for every in (0, 1, 2):
            setup = dataclasses.replace(base, gradient_checkpointing=every)
            expected = forecast(setup)
            if device == "cuda" and expected.total > 0.95 * torch.cuda.mem_get_info()[0]:
                yield [name, str(every), f"{expected.total / 2**20:,.1f}", "more than there is", "-", "-", "-", "-"]
                continue
            yield [name, str(every), *measure(Step(setup), expected)]
            gc.collect()
            if device == "cuda":
                torch.cuda.empty_cache()


def measure(step: Step, expected: Forecast) -> list[str]:
    cuda = step.setup.device == "cuda"
    forecast_peak = expected.total if cuda else expected.parts[KEPT] + expected.parts[WORKING]
    saved = step.saved()
    measured = cuda_peak(step) if cuda else allocator_peak(step)
    pairs = ((forecast_peak, measured), (expected.parts[KEPT], saved))
    return [text for one, other in pairs for text in
            (f"{one / 2**20:,.1f}", f"{other / 2**20:,.1f}", f"{one / other - 1:+.1%}")]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="measure on the CPU even where there is a GPU")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() and not args.cpu else "cpu"
    torch.manual_seed(0)
    what = torch.cuda.get_device_name() if device == "cuda" else "CPU; the peak without weights"
    print(f"MiB on {what}, torch {torch.__version__}\n")
    print("| size | checkpointing | peak, forecast | measured | error | kept, forecast | autograd's | error |")
    print("|-|-|-|-|-|-|-|-|")
    for row in rows(device):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
