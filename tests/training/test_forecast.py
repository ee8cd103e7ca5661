"""The memory forecast against real steps on the CPU, and what it says."""

import contextlib
import dataclasses
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from parts import published_config

from emogen.training.config import AdapterSettings, ConfigError, LoraSettings, OptimizerConfig
from emogen.training.families import family_of
from emogen.training.memory import forecast as forecasts
from emogen.training.memory.footprint import Setup, count_weights, meta_model, optimizer_state_bytes, setup_of
from emogen.training.memory.forecast import forecast
from emogen.training.memory.trace import (
    StepMeter,
    cuda_kernels,
    example_batch,
    measure_saved_bytes,
    replace_tensors,
    training_step,
)
from emogen.training.model import build_model, load_transformers
from emogen.training.objective import add_noise, flow_loss

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
FEED_FORWARD = ["ffn.net.0.proj", "ffn.net.2"]
KEPT, WORKING = "activations kept for backward", "working set"
TINY = {
    "_class_name": "WanTransformer3DModel",
    "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 32, "in_channels": 4, "out_channels": 4,
    "text_dim": 16, "freq_dim": 16, "ffn_dim": 128, "num_layers": 4, "rope_max_seq_len": 32,
}  # fmt: skip


def tiny(**changes):
    values = {
        "transformer": TINY, "latents": (3, 16, 16), "text_length": 12, "device": "cpu", "lora": LoraSettings(rank=4),
        "adapter": AdapterSettings(adapter_rank=32, adapter_head_dim=16, hidden_dim=16),
    }  # fmt: skip
    return Setup(**{**values, **changes})


def published(name, **changes):
    return Setup(**{"transformer": published_config(name), "latents": (21, 60, 104), **changes})


class RealStep:
    """A step on real tensors on the CPU, of all the blocks."""

    def __init__(self, setup, dress=lambda model: None):
        torch.manual_seed(0)
        self.setup = setup
        self.model = meta_model(setup, setup.layers, setup.gradient_checkpointing)
        replace_tensors(self.model, lambda value: (0.1 * torch.randn(value.shape)).to(value.dtype))
        dress(self.model)
        self.batch, self.noise, self.sigma = example_batch(setup)
        for value in (self.batch.latents, self.batch.text, self.noise):
            value.normal_()
        for value in (self.sigma, *self.batch.emotion):
            value.fill_(0.5)
        self.noisy = add_noise(self.batch.latents, self.noise, self.sigma)
        given = [self.batch.latents, self.batch.text, *self.batch.emotion, self.noise, self.noisy, self.sigma]
        weights = [*self.model.parameters(), *self.model.buffers()]
        self.outside = [*given, *weights, *(value.grad for value in weights if value.grad is not None)]

    def alive(self):
        """Bytes alive after the forward pass, and the most at any time; arithmetic."""
        meter, after = StepMeter(self.outside), []
        step = (self.model, self.batch, self.noise, self.noisy, self.sigma, self.setup.mixed_precision)
        with meter:
            training_step(*step, lambda: after.append(meter.now))
        return after[0], meter.peak, meter.flop

    def saved(self):
        """Bytes that autograd keeps."""

        def loss():
            low = self.setup.mixed_precision == "bf16"
            with torch.autocast("cpu", torch.bfloat16) if low else contextlib.nullcontext():
                prediction = self.model(self.noisy, self.sigma, self.batch)
            return flow_loss(prediction.float(), self.batch.latents, self.noise).mean()

        return measure_saved_bytes(loss, self.outside)


VARIANTS = {
    "attention": {},
    "feed-forward, two clips": {"batch_size": 2, "lora": LoraSettings(rank=4, target_modules=ATTENTION + FEED_FORWARD)},
    "fp32, adapter alone": {"base_dtype": "fp32", "mixed_precision": "no", "lora": LoraSettings(rank=0)},
    "folded, LoRA alone": {"folded": 7, "adapter": AdapterSettings(train_adapter=False)},
}
CASES = [("attention", every) for every in (0, 1, 2, 3)] + [("feed-forward, two clips", every) for every in (0, 1, 2)]
CASES += [("fp32, adapter alone", 0), ("fp32, adapter alone", 1), ("folded, LoRA alone", 0)]


@pytest.mark.parametrize(("variant", "every"), CASES)
def test_activations_are_those_of_a_real_step(variant, every):
    setup = tiny(gradient_checkpointing=every, **VARIANTS[variant])
    result, step = forecast(setup), RealStep(setup)
    kept, peak, flop = step.alive()
    assert result.parts[KEPT] == pytest.approx(kept, rel=0.01)
    assert result.parts[KEPT] + result.parts[WORKING] == pytest.approx(peak, rel=0.01)
    assert result.flop == flop
    if every != 1:
        assert result.parts[KEPT] == pytest.approx(step.saved(), rel=0.02)


PROCESS = """
import pathlib, re, sys
sys.path[:0] = sys.argv[1:3]
from test_forecast import RealStep, tiny, training_step

def held(which):
    return int(re.search(which + r":\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) * 1024

step = RealStep(tiny(gradient_checkpointing=int(sys.argv[3]), latents=(5, 48, 48)))
given = (step.model, step.batch, step.noise, step.noisy, step.sigma, "bf16")
training_step(*given)  # what the first step loads and makes once
before = held("VmRSS")
pathlib.Path("/proc/self/clear_refs").write_text("5")
training_step(*given)
print("ROSE", held("VmHWM") - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="reads Linux's counts, and glibc's threshold is fixed")
@pytest.mark.parametrize("every", [0, 1])
def test_a_process_grows_by_what_is_forecast(every):
    """To the system, where the C library gives freed memory back at once (see `benchmarks/real_size.py`)."""
    here = Path(__file__).parent
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**16), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROCESS, str(here), str(here.parent), str(every)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    if "clear_refs" in done.stderr:
        pytest.skip("the peak of a process cannot be set back here")
    assert done.returncode == 0, done.stderr
    parts = forecast(tiny(gradient_checkpointing=every, latents=(5, 48, 48))).parts
    grown = int(re.search(r"ROSE (\d+)", done.stdout)[1])
    assert grown == pytest.approx(parts[KEPT] + parts[WORKING], rel=0.1)


def test_recomputing_every_block_keeps_little_beside_what_autograd_saves():
    """The rest: rotary embeddings, which a recomputed block is given but autograd does not save, and random states."""
    setup = tiny(gradient_checkpointing=1, latents=(3, 32, 32))
    rotary = 2 * setup.tokens * TINY["attention_head_dim"] * 4
    saved = RealStep(setup).saved() + rotary
    assert saved < forecast(setup).parts[KEPT] < 1.1 * saved


@pytest.mark.parametrize(("layers", "every"), [(1, 0), (1, 1), (1, 2), (2, 2)])
def test_models_with_few_blocks(layers, every):
    setup = tiny(transformer={**TINY, "num_layers": layers}, gradient_checkpointing=every)
    parts = forecast(setup).parts
    kept, peak, _ = RealStep(setup).alive()
    assert parts[KEPT] == pytest.approx(kept, rel=0.01)
    assert parts[KEPT] + parts[WORKING] == pytest.approx(peak, rel=0.01)


@pytest.mark.parametrize("every", [0, 1, 2])
def test_an_eight_bit_float_base_keeps_copies_of_its_weights(every):
    """Autograd holds the cast weights of what it keeps, so that the storage saves little without recomputation."""
    wide = {**TINY, "num_attention_heads": 4, "ffn_dim": 1024, "num_layers": 4}
    setup = tiny(transformer=wide, latents=(2, 8, 8), gradient_checkpointing=every, base_storage="fp8")

    def cast(model):
        ours = ("lora", "emo", "patch_embed", "condition_embedder", "norm", "proj_out", "scale_shift_table")
        model.transformer.enable_layerwise_casting(torch.float8_e4m3fn, torch.bfloat16, skip_modules_pattern=ours)

    peak = RealStep(setup, cast).alive()[1]
    weights, parts = count_weights(setup), forecast(setup).parts
    peak -= 4 * weights.copies // 2  # each cast back makes the stored weight anew
    assert peak <= parts[KEPT] + parts[WORKING] + parts["cast copies of weights"] <= 1.1 * peak
    stored = [forecast(dataclasses.replace(setup, base_storage=name)).total for name in ("same", "fp8")]
    assert (stored[1] < stored[0]) == (every == 1)


def test_the_model_is_the_one_that_is_trained(make_config, model_folder):
    """Names, shapes, types and what is frozen, of the model that the trainer loads."""
    config = make_config(model={"base_dtype": "bf16"}, run={"mixed_precision": "bf16"})
    family = family_of(model_folder)
    real = build_model(family, load_transformers(family, config.model), config, 12)
    setup = setup_of(config, family, (5, 16, 16), 12)
    described = [
        {name: (tuple(value.shape), value.dtype, value.requires_grad) for name, value in model.named_parameters()}
        for model in (real, meta_model(setup, setup.layers))
    ]
    assert described[0] == described[1]
    result = forecast(setup)
    trained = sum(value.numel() for value in real.trainable().values())
    assert result.trained_parameters == trained
    assert result.frozen_parameters == sum(value.numel() for value in real.parameters()) - trained
    frozen = sum(value.numel() * value.itemsize for value in real.parameters() if not value.requires_grad)
    buffers = sum(value.numel() * value.itemsize for value in real.buffers())
    assert result.parts["frozen weights"] == frozen + buffers
    assert result.tokens == family.tokens(5, 16, 16)
    assert result.setup.batch_size == 2 and result.setup.ema
    assert result.parts["moving average"] == result.parts["trained weights"] == 4 * trained
    assert result.parts["optimizer state"] == 8 * trained


def test_the_forecast_does_not_touch_random_numbers():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    forecast(tiny(latents=(1, 4, 4)))
    assert torch.equal(before, torch.get_rng_state())


def test_more_clips_and_frames_take_more():
    base = tiny(gradient_checkpointing=1)
    changes = ({}, {"batch_size": 2}, {"batch_size": 2, "latents": (4, 16, 16)})
    results = [forecast(dataclasses.replace(base, **change)) for change in changes]
    for part in (KEPT, WORKING, "batch"):
        sizes = [result.parts[part] for result in results]
        assert sizes == sorted(set(sizes)), part


@pytest.mark.parametrize(
    ("name", "frozen", "tflop"), [("Wan2.1-T2V-1.3B", 1_418_996_800, 1150), ("Wan2.1-T2V-14B", 14_288_491_584, 6400)]
)
def test_published_models_at_480p(name, frozen, tflop):
    """81 frames of 480x832. A block keeps some 26 maps of tokens x width in 16 bits and the feed-forward's wide one; it
    keeps a single map where it is recomputed."""
    plain, recomputed = (forecast(published(name, gradient_checkpointing=every)) for every in (0, 1))
    assert plain.tokens == 32_760 and plain.frozen_parameters == frozen
    assert plain.parts["frozen weights"] == pytest.approx(2 * frozen, rel=0.01)
    assert recomputed.flop / 1e12 == pytest.approx(tflop, rel=0.05)
    layers, block = plain.setup.layers, plain.parts[KEPT] / plain.setup.layers
    sizes = published_config(name)
    width, wide = sizes["num_attention_heads"] * 128, sizes["ffn_dim"]
    hidden = plain.tokens * width * 2
    assert 24 < (block - plain.tokens * wide * 2) / hidden < 28
    assert recomputed.parts[KEPT] == pytest.approx(hidden * layers, rel=0.15)
    assert 0.9 * block < recomputed.parts[WORKING] < 2 * block
    assert recomputed.total < 0.2 * plain.total


def test_image_to_video_counts_its_image_branch():
    text, image = (forecast(published(f"Wan2.1-{kind}", gradient_checkpointing=1)) for kind in
                   ("T2V-14B", "I2V-14B-480P"))  # fmt: skip
    assert image.frozen_parameters - text.frozen_parameters > 2e9
    assert image.parts["batch"] > text.parts["batch"] and image.parts[WORKING] > text.parts[WORKING]


def test_cuda_keeps_no_attention_matrix_and_no_decomposed_norm():
    """On CUDA the norm is one kernel, in float32 under autocast: input and a number a row; tokens squared nowhere."""
    norm, values = torch.nn.RMSNorm(64).bfloat16(), torch.randn(1, 100, 64, dtype=torch.bfloat16, requires_grad=True)
    with cuda_kernels(), torch.autocast("cpu", torch.bfloat16):
        saved = measure_saved_bytes(lambda: norm(values))
    plain = measure_saved_bytes(lambda: norm(values), [norm.weight])
    raised = torch._C._dispatch_has_kernel_for_dispatch_key("aten::rms_norm", "AutocastCUDA")
    width = 4 if raised else 2
    assert saved == 100 * 64 * width + 100 * 4 + 64 * width < plain
    few, many = (forecast(tiny(device="cuda", latents=(3, side, side))) for side in (16, 64))
    assert many.parts[KEPT] / few.parts[KEPT] == pytest.approx(16, rel=0.1)  # 256 if it held tokens x tokens


def test_the_table_names_every_part_and_the_total():
    result = forecast(tiny(ema=True), device_memory=2**30)
    text = result.table()
    for name, size in result.parts.items():
        line = next(line for line in text.splitlines() if name in line)
        assert f"{size / 2**20:,.2f} MiB" in line
    assert f"{result.total / 2**20:,.2f} MiB  of 1.00 GiB: fits" in text and result.fits
    assert f"{result.trained_parameters:,} parameters" in text and "192 tokens" in text
    assert "does not fit" in forecast(tiny(), device_memory=1000).table() and "fit" not in forecast(tiny()).table()
    assert "for CUDA and fragments" in forecast(tiny(device="cuda"), device_memory=2**30).table()


def test_advice_lists_what_helps_in_order_until_it_fits():
    setup = published("Wan2.1-T2V-14B", batch_size=2)
    lines = forecast(setup, device_memory=45 * 2**30).advice()
    totals = [float(line.split(": ")[1].split(" GiB")[0].replace(",", "")) for line in lines]
    assert totals == sorted(totals, reverse=True) and totals[0] < forecast(setup).total / 2**30
    flags = [line.split(":")[0].split(" (")[0] for line in lines]
    assert flags == [
        "--gradient_checkpointing 2", "--gradient_checkpointing 4", "--gradient_checkpointing 8",
        "--gradient_checkpointing true", "--train_batch_size 1", "--optimizer bitsandbytes.optim.AdamW8bit",
        "--base_storage fp8",
    ]  # fmt: skip
    assert "more arithmetic" in lines[0] and lines[-1].endswith(": fits") and lines[-2].endswith(": still too much")
    combined = dataclasses.replace(
        setup, gradient_checkpointing=1, batch_size=1, optimizer_bytes=forecasts.EIGHT_BIT_STATE, base_storage="fp8"
    )
    assert totals[-1] == pytest.approx(forecast(combined).total / 2**30, abs=0.01)


def test_advice_says_nothing_that_does_not_help():
    assert forecast(tiny(), device_memory=2**40).advice() == []
    done = tiny(gradient_checkpointing=1, optimizer_bytes=0.0, streamed=True, latents=(1, 16, 16))
    assert not [line for line in forecast(done).advice() if "accelerate launch" not in line]
    # without recomputation autograd holds the cast weights, so storage alone must not be recommended
    assert forecast(tiny(base_storage="fp8")).total > forecast(tiny()).total


def test_state_of_optimizers():
    for name, arguments, size in (("AdamW", {}, 8), ("SGD", {}, 0), ("SGD", {"momentum": 0.9}, 4)):
        config = OptimizerConfig(optimizer=f"torch.optim.{name}", optimizer_args=arguments)
        assert optimizer_state_bytes(config) == size
    with pytest.raises(ConfigError, match="has no 'AdamV'"):
        optimizer_state_bytes(OptimizerConfig(optimizer="torch.optim.AdamV"))


def test_offloading_leaves_three_blocks_on_the_device_and_processes_have_buckets():
    plain = published("Wan2.1-T2V-14B", gradient_checkpointing=1, ema=True)
    away = dataclasses.replace(plain, offload=True)
    weights, parts, kept = count_weights(plain), forecast(away).parts, forecast(plain).parts
    assert kept["frozen weights"] - parts["frozen weights"] == 37 * weights.frozen_bytes[1]
    assert parts["optimizer state"] == parts["moving average"] == 0 < kept["optimizer state"]
    summed = forecast(dataclasses.replace(plain, data_parallel=True)).parts
    assert summed["gradient buckets"] == summed["gradients"] > 0 == kept["gradient buckets"]
    assert parts[KEPT] == kept[KEPT] and forecast(away).trained_parameters == forecast(plain).trained_parameters


def test_what_processes_share_is_counted_once():
    plain = published("Wan2.1-T2V-1.3B", gradient_checkpointing=1, ema=True)
    alone, shared = forecast(plain), forecast(dataclasses.replace(plain, ulysses=2))
    assert shared.parts[KEPT] == alone.parts[KEPT] // 2 and shared.flop == alone.flop // 2
    assert shared.parts["frozen weights"] == alone.parts["frozen weights"]
    first, second = (forecast(dataclasses.replace(plain, zero_stage=n, processes=8)).parts for n in (1, 2))
    assert first["gradients"] == alone.parts["gradients"] == 8 * second["gradients"]
    # AdamW's two moments, and the copy of the weights that ZeRO steps on
    assert first["optimizer state"] == second["optimizer state"] == 12 * alone.trained_parameters // 8


def test_four_bit_storage_is_of_matrices_alone():
    plain, packed = (count_weights(published("Wan2.1-T2V-1.3B", base_storage=kind)) for kind in ("same", "nf4"))
    matrices = 8 * 1536**2 + 2 * 1536 * 8960  # of a block: four of each attention, two of the feed-forward
    assert plain.frozen_bytes[1] - packed.frozen_bytes[1] == matrices * (2 - 0.5625)
    assert packed.copies == 2 * 9216 * 1536 or packed.copies == 2 * 1536 * 8960  # the largest one, decoded


def test_pace():
    result = forecast(tiny())
    assert result.pace([9.0, 2.0, 2.2, 1.8], steps=3000).startswith("2.00 s a step, 3,000 steps: 1 h 40 min")
    assert "30 min" in result.pace([0.6], steps=3000)
    assert f"{2 * result.flop / 1e12:.3g} TFLOP/s" in result.pace([1.0], steps=1, micro_steps=2)
    with pytest.raises(ValueError, match="at least one step"):
        result.pace([], steps=1)


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match=r"height is 15, which must be a multiple of the model's patch, 2"):
        tiny(latents=(3, 15, 16))
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        tiny(batch_size=0)
    with pytest.raises(ConfigError, match=r"no layer ends in 'to_w'"):
        forecast(tiny(lora=LoraSettings(rank=2, target_modules=["to_w"])))
