"""How much time each speed option of sampling saves, and what it costs: a table in Markdown, on standard output.

    python benchmarks/sampling_speed.py                                  # the embedded model, 2 prompts x 2 emotions
    python benchmarks/sampling_speed.py --model MODEL --adapter FOLDER --device cuda --num_inference_steps 50
    python benchmarks/sampling_speed.py --model MODEL --write_mag_ratios ratios.json       # for --cache magcache

All variants stay loaded, and each clip is made by one after the other before the next clip, so that what else runs on
the machine meets all alike. Seconds are given as a share of the plain clip's, the median over the clips; the first,
untimed, call of each variant takes what is done only once (compilation, files). PSNR is to the plain clip, over all
values in 0-1, in dB; "same" is bit for bit. The judge reads the asked emotion's probability; it knows only stickers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emogen.media.pixels import to_uint8

PROMPTS = (
    "a round yellow face", "a heart-shaped pink face on a white background", "a 3d emoji of a yellow cat face",
    "a square blue face with a hat", "a green star face", "a round orange face with glasses",
)  # fmt: skip


def variants(ratios: list[float], steps: int, device: torch.device) -> dict[str, dict[str, Any]]:
    """Name of a row -> options; flags as a user writes them."""
    mag = {"cache": "magcache", "mag_ratios": tuple(ratios), "num_inference_steps": steps}
    found = {
        "--cache first_block --cache_threshold 0.05": {"cache": "first_block", "cache_threshold": 0.05},
        "--cache first_block --cache_threshold 0.1": {"cache": "first_block", "cache_threshold": 0.1},
        "--cache first_block --cache_threshold 0.2": {"cache": "first_block", "cache_threshold": 0.2},
        "--cache taylorseer --cache_interval 2": {"cache": "taylorseer", "cache_interval": 2},
        "--cache taylorseer --cache_interval 5": {"cache": "taylorseer"},
        "--cache magcache": mag,
        "--cache magcache --cache_threshold 0.12": mag | {"cache_threshold": 0.12},
        "--fp8": {"layerwise_casting": True},
        "--compile": {"compile": True},
        "--offload group": {"offload": "group"},
        "--offload group_disk": {"offload": "group_disk"},
        "--vae_tiling": {"vae_tiling": True},
        "--vae_slicing": {"vae_slicing": True},
        "--attention_backend _native_math": {"attention_backend": "_native_math"},
    }
    if device.type == "cuda":
        found |= {f"--offload {how}": {"offload": how} for how in ("model", "sequential")}
        found |= {f"--attention_backend {name}": {"attention_backend": name}
                  for name in ("_native_cudnn", "_native_flash", "xformers", "flash", "sage")}  # fmt: skip
    return {name: {"num_inference_steps": steps, **options} for name, options in found.items()}


def load(args: argparse.Namespace, device: torch.device, move: bool = True) -> Any:
    from emogen.pipelines.loading import open_pipeline

    adapter = args.adapter or (None if args.model else "embedded")
    dtype = args.dtype or ("float32" if device.type == "cpu" else "bfloat16")
    pipe = open_pipeline(args.model or "embedded", adapter, device=device if move else "cpu", dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make(pipe: Any, args: argparse.Namespace, prompt: str, emotion: str, seed: int) -> tuple[np.ndarray, float]:
    """One clip, [F, H, W, 3] in 0-1, and its seconds."""
    generator = torch.Generator().manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    clip = pipe(prompt, emotion=emotion, num_inference_steps=args.num_inference_steps, generator=generator,
                emotion_guidance_scale=args.emotion_guidance_scale, output_type="np").frames[0]  # fmt: skip
    return np.asarray(clip, dtype=np.float32), time.perf_counter() - start


def psnr(clip: np.ndarray, plain: np.ndarray) -> float:
    """dB for values in 0-1; infinite for equal ones."""
    error = float(np.square(clip.astype(np.float64) - plain).mean())
    return float("inf") if error == 0 else -10 * np.log10(error)


def measure(args: argparse.Namespace, device: torch.device) -> list[str]:
    from emogen.emotion import MIKELS
    from emogen.eval.judges.embedded import EmbeddedJudge
    from emogen.pipelines.speed import SpeedError, SpeedOptions, apply_speed, measure_mag_ratios

    plain = load(args, device)
    steps = args.num_inference_steps = args.num_inference_steps or plain.generation_defaults.num_inference_steps or 50
    prompts, emotions = PROMPTS[: args.prompts], args.emotions.split(",")
    ratios = measure_mag_ratios(plain, prompts[0], emotion=emotions[0], num_inference_steps=steps)
    pipes, refused = {"plain": plain}, {}
    for name, options in variants(ratios, steps, device).items():
        if args.only and not any(part in name for part in args.only.split(",")):
            continue
        try:
            speed = SpeedOptions(**options)
            pipe = load(args, device, not speed.places_model)
            apply_speed(pipe, speed, device)
        except SpeedError as error:
            refused[name] = str(error)
            continue
        pipes[name] = pipe
    clips: dict[str, list] = {name: [] for name in pipes}
    seconds: dict[str, list[float]] = {name: [] for name in pipes}
    if not args.no_warmup:
        for pipe in pipes.values():
            make(pipe, args, prompts[0], emotions[0], args.seed)
    for number, (prompt, emotion) in enumerate((p, e) for p in prompts for e in emotions):
        for name, pipe in pipes.items():
            clip, taken = make(pipe, args, prompt, emotion, args.seed + number)
            clips[name].append(clip)
            seconds[name].append(taken)
            print(f"{prompt}, {emotion}, {name}: {taken:.2f} s", file=sys.stderr, flush=True)
    asked = [MIKELS.index(emotion) for _ in prompts for emotion in emotions]
    rows = ["| option | seconds a clip, share of plain | PSNR to plain, dB | judge's probability of the emotion |",
            "|---|---|---|---|"]  # fmt: skip
    judge = EmbeddedJudge()
    for name in pipes:
        shares = [own / base for own, base in zip(seconds[name], seconds["plain"], strict=True)]
        same = [psnr(own, base) for own, base in zip(clips[name], clips["plain"], strict=True)]
        finite = [value for value in same if np.isfinite(value)]
        look = f"{statistics.fmean(finite):.1f}" if finite else "same"
        verdict = judge(to_uint8(np.stack(clips[name])))
        probability = float(verdict.distribution[np.arange(len(asked)), asked].mean())
        title = name if name == "plain" else f"`{name}`"
        rows.append(f"| {title} | {statistics.median(shares):.2f} | {look} | {probability:.2f} |")
    rows.append("")
    rows.append(
        f"{len(asked)} clips ({len(prompts)} prompts, {', '.join(emotions)}), {steps} steps, seeds from {args.seed}, "
        f"{device.type}; a plain clip took {statistics.median(seconds['plain']):.1f} s (median)."
    )
    rows += [f"Refused: {reason}" for reason in refused.values()]
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or hub id (default: the embedded model)")
    parser.add_argument("--adapter", help="folder or hub id (default: the embedded one with the embedded model)")
    parser.add_argument("--prompts", type=int, default=2, help=f"how many, 1 to {len(PROMPTS)}")
    parser.add_argument("--emotions", default="amusement,fear", help="of the eight, with commas")
    parser.add_argument("--num_inference_steps", type=int, help="default: the model's")
    parser.add_argument("--emotion_guidance_scale", type=float, help="also measure three-way guidance")
    parser.add_argument("--only", help="rows whose name holds one of these, with commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--no_warmup", action="store_true", help="time the first call too")
    parser.add_argument("--write_mag_ratios", metavar="FILE", help="only measure the ratios of MagCache")
    args = parser.parse_args()
    from diffusers.utils import logging

    from emogen.emotion import MIKELS

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if not 1 <= args.prompts <= len(PROMPTS):
        parser.error(f"--prompts is {args.prompts}; there are 1 to {len(PROMPTS)}")
    for emotion in args.emotions.split(","):
        if emotion not in MIKELS:
            parser.error(f"--emotions: {emotion!r} is none of {', '.join(MIKELS)}, whose probability the judge gives")
    device = torch.device(args.device)
    if args.write_mag_ratios:
        write_ratios(args, device)
    else:
        print("\n".join(measure(args, device)))
    return 0


def write_ratios(args: argparse.Namespace, device: torch.device) -> None:
    from emogen.pipelines.speed import measure_mag_ratios

    call = {} if args.num_inference_steps is None else {"num_inference_steps": args.num_inference_steps}
    ratios = measure_mag_ratios(load(args, device), PROMPTS[0], emotion=args.emotions.split(",")[0], **call)
    path = Path(args.write_mag_ratios)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(ratios) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    print(f"{path}: {len(ratios)} ratios")


if __name__ == "__main__":
    sys.exit(main())
