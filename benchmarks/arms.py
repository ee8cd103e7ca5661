"""One arm of `train_step.py`: a process that makes training steps when it is told to.

It reads lines of "STEPS" on its standard input and answers each with one JSON line: seconds for each step, peak memory,
the last loss, and, once `--count_flops` has counted them, the operations of a step and the most a second that matrix
products in bf16 reach here. A process of its own, so that memory is its own, and so that DiffSynth-Studio can live in
another environment.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
FEED_FORWARD = ["ffn.net.0.proj", "ffn.net.2"]
RANK, RATE = 32, 1e-4
SMALL_ADAPTER = {"hidden_dim": 128, "adapter_rank": 128, "adapter_head_dim": 32}


def wan_config(name: str, layers: int | None = None) -> dict:
    """A transformer's configuration: "embedded", "small" (the embedded one with heads of 96 channels instead of 64, for
    DiffSynth's rotary embedding cannot be of 64), or a name of tests/fixtures/wan_configs.json; with `layers`, of
    only so many of its blocks."""
    if layers:
        return {**wan_config(name), "num_layers": layers}
    root = Path(__file__).parents[1]
    if name == "small":
        return {**wan_config("embedded"), "num_attention_heads": 4, "attention_head_dim": 96, "ffn_dim": 1152}
    if name == "embedded":
        path = root / "emogen/embedded/model/transformer/config.json"
        return {k: v for k, v in json.loads(path.read_text()).items() if not k.startswith("_")}
    published = json.loads((root / "tests/fixtures/wan_configs.json").read_text())
    return {**published["transformer"]["common"], **published["transformer"][name]}


def make_transformer(args: argparse.Namespace):
    from diffusers import WanTransformer3DModel

    with torch.device(args.device):
        transformer = WanTransformer3DModel.from_config(wan_config(args.model, args.layers))
    kept = WanTransformer3DModel._keep_in_fp32_modules or []
    for name, value in transformer.named_parameters():
        if not any(part in name for part in kept):
            value.data = value.data.bfloat16()
    if args.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    if args.compile:
        transformer.compile_repeated_blocks()
    return transformer.requires_grad_(False).train()


def latent_shape(args: argparse.Namespace) -> tuple[int, ...]:
    """[C, F, h, w] of a clip."""
    spatial, temporal = (4, 2) if args.model in ("embedded", "small") else (8, 4)
    return (16, (args.frames - 1) // temporal + 1, args.height // spatial, args.width // spatial)


def plain(args: argparse.Namespace) -> Callable[[], float]:
    """What a user would write with diffusers, peft and accelerate: the floor."""
    from accelerate import Accelerator
    from peft import LoraConfig

    accelerator = Accelerator(mixed_precision="bf16", cpu=args.device == "cpu")
    transformer = make_transformer(args)
    transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=ATTENTION + FEED_FORWARD))
    for value in transformer.parameters():
        if value.requires_grad:
            value.data = value.data.float()
    trained = [value for value in transformer.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, fused=True)
    transformer, optimizer = accelerator.prepare(transformer, optimizer)
    text_dim = transformer.config.text_dim
    latents = torch.randn(args.batch, *latent_shape(args), device=args.device)
    text = torch.randn(args.batch, args.text_length, text_dim, device=args.device, dtype=torch.bfloat16)

    def step() -> float:
        noise = torch.randn_like(latents)
        sigma = torch.sigmoid(torch.randn(args.batch, device=args.device))
        level = sigma.view(-1, 1, 1, 1, 1)
        noisy = (1 - level) * latents + level * noise
        predicted = transformer(noisy.bfloat16(), 1000 * sigma, text, return_dict=False)[0]
        loss = (predicted.float() - (noise - latents)).square().mean()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def emogen(args: argparse.Namespace, adapter: bool = True) -> Callable[[], float]:
    """The trainer itself, on clips that lie in memory."""
    import tempfile

    from accelerate import Accelerator

    from emogen.data.buckets import Bucket
    from emogen.emotion import MIKELS, EmotionState
    from emogen.models import EmotionTensors
    from emogen.training.config import config_from_dict
    from emogen.training.data.batches import Batch
    from emogen.training.data.order import BatchOrder
    from emogen.training.families.wan import WanFamily
    from emogen.training.model import build_model, folded_length
    from emogen.training.trainer import Task, Trainer

    small = args.model in ("embedded", "small")
    config = config_from_dict({
        "model": {"pretrained_model_name_or_path": "random", "gradient_checkpointing": args.gradient_checkpointing},
        "data": {"dataset_name": "random"},
        "lora": {"rank": RANK, "target_modules": ATTENTION + FEED_FORWARD},
        "adapter": {"train_adapter": adapter, **(SMALL_ADAPTER if small else {})},
        "run": {"output_dir": tempfile.mkdtemp(), "max_train_steps": 10**6, "train_batch_size": args.batch,
                "cpu": args.device == "cpu"},
    })  # fmt: skip
    family = WanFamily.from_config(wan_config(args.model, args.layers))
    accelerator = Accelerator(mixed_precision="bf16", cpu=args.device == "cpu")
    transformer = make_transformer(args)
    shown = folded_length(args.caption_length, args.text_length) if args.fold else args.text_length
    model = build_model(family, transformer, config, args.text_length, shown if args.fold else None)
    bucket = Bucket(args.frames, args.height, args.width)
    latents = torch.randn(16, *latent_shape(args))
    text = torch.randn(16, shown, transformer.config.text_dim, dtype=torch.bfloat16)
    named = [MIKELS[index % 8] for index in range(16)]
    states = EmotionTensors.from_states([EmotionState.of(label) for label in named])

    class Clips:
        """Sixteen random clips, with what the trainer reads of `CachedClips`."""

        records = [SimpleNamespace(file_name=f"{n}") for n in range(16)]  # noqa: RUF012
        labels, sizes = named, [(bucket.height, bucket.width)] * 16

        def batch(self, indices, drop_text=None, drop_emotion=None):
            rows = torch.tensor(indices)
            emotion = EmotionTensors(*(value[rows] for value in states))
            return Batch(latents[rows], text[rows], emotion, [str(index) for index in indices])

    order = BatchOrder(named, [bucket] * 16, size=args.batch, seed=0)
    trainer = Trainer(config, model, accelerator, Task(train=Clips(), order=order))
    trainer.wrapped.train()

    def step() -> float:
        trainer.train_step()
        return trainer.meter.read()["loss"]

    return step


def diffsynth(args: argparse.Namespace) -> Callable[[], float]:
    """DiffSynth-Studio's model, LoRA, scheduler, loss and optimizer, as its own trainer puts them together: batch 1, a
    timestep a step, gradient checkpointing if asked (its scripts always do)."""
    import importlib.util
    from importlib.machinery import ModuleSpec
    from unittest.mock import MagicMock

    import transformers

    transformers.utils.is_torchvision_available()  # remembers the answer, before the stand-in below
    if importlib.util.find_spec("torchvision") is None:
        # it has no build for every CPU torch; DiffSynth imports it for image files, which are not read here
        for name in ("", ".transforms", ".transforms.functional", ".models", ".models.inception", ".io"):
            sys.modules[f"torchvision{name}"] = MagicMock(__spec__=ModuleSpec(f"torchvision{name}", None), __path__=[])
    from accelerate import Accelerator
    from diffsynth.diffusion.flow_match import FlowMatchScheduler
    from diffsynth.diffusion.loss import FlowMatchSFTLoss
    from diffsynth.models.wan_video_dit import WanModel
    from diffsynth.pipelines.wan_video import model_fn_wan_video
    from peft import LoraConfig, inject_adapter_in_model

    if args.batch != 1:
        raise SystemExit("DiffSynth-Studio trains with batch 1")
    c = wan_config(args.model, args.layers)
    accelerator = Accelerator(mixed_precision="bf16", cpu=args.device == "cpu")
    heads = c["num_attention_heads"]
    dit = WanModel(
        dim=heads * c["attention_head_dim"], in_dim=c["in_channels"], ffn_dim=c["ffn_dim"], out_dim=c["out_channels"],
        text_dim=c["text_dim"], freq_dim=c["freq_dim"], eps=c.get("eps", 1e-6), patch_size=tuple(c["patch_size"]),
        num_heads=heads, num_layers=c["num_layers"], has_image_input=False,
    ).to(args.device, torch.bfloat16).requires_grad_(False).train()  # fmt: skip
    layers = ["q", "k", "v", "o", "ffn.0", "ffn.2"]
    dit = inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=layers), dit)
    for value in dit.parameters():
        if value.requires_grad:
            value.data = value.data.float()
    optimizer = torch.optim.AdamW([v for v in dit.parameters() if v.requires_grad], lr=RATE, weight_decay=0.01)
    dit, optimizer = accelerator.prepare(dit, optimizer)
    scheduler = FlowMatchScheduler("Wan")
    scheduler.set_timesteps(1000, training=True)
    pipe = SimpleNamespace(scheduler=scheduler, torch_dtype=torch.bfloat16, device=args.device, dit=dit,
                           in_iteration_models=("dit",), model_fn=model_fn_wan_video)  # fmt: skip
    latents = torch.randn(1, *latent_shape(args), device=args.device, dtype=torch.bfloat16)
    context = torch.randn(1, args.text_length, c["text_dim"], device=args.device, dtype=torch.bfloat16)

    def step() -> float:
        loss = FlowMatchSFTLoss(
            pipe, input_latents=latents, context=context, use_gradient_checkpointing=args.gradient_checkpointing
        )
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


ARMS = {
    "plain": plain,
    "emogen_lora": lambda args: emogen(args, adapter=False),
    "emogen": emogen,
    "diffsynth": diffsynth,
}


def measured_peak(device: str, size: int) -> float:
    """Operations a second of square matrix products in bf16, the best of ten."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        a @ b
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def counted(step: Callable[[], float]) -> int:
    """Operations of a step: matrix products and attention, recomputed ones too."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm", choices=ARMS)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--frames", type=int, default=13)
    parser.add_argument("--height", type=int, default=96)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--text_length", type=int, default=512)
    parser.add_argument("--caption_length", type=int, default=24)
    parser.add_argument("--fold", action="store_true")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("--count_flops", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--memory_cap", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.memory_cap:  # of the allocator, as if the card had no more
        share = args.memory_cap * 2**30 / torch.cuda.get_device_properties(args.device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), torch.device(args.device))
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    step = ARMS[args.arm](args)
    flops = {}
    if args.count_flops and not args.compile:
        flops = {
            "flops": counted(step),
            "peak_flops": measured_peak(args.device, 1024 if args.device == "cpu" else 8192),
        }
        if args.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
    for line in sys.stdin:
        seconds, loss = [], 0.0
        for _ in range(int(line)):
            started = time.perf_counter()
            loss = step()
            if args.device != "cpu":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if args.device != "cpu":
            peak = torch.cuda.max_memory_allocated()
        print("ANSWER " + json.dumps({"seconds": seconds, "peak_bytes": peak, "loss": loss, **flops}), flush=True)


if __name__ == "__main__":
    main()
