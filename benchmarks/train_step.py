"""Seconds a training step and peak memory, side by side in one run: a plain diffusers loop, emogen's trainer with and
without the adapter, and DiffSynth-Studio.

    python benchmarks/train_step.py                                        # embedded model, CPU
    python benchmarks/train_step.py --model small --diffsynth_python ds/bin/python  # and DiffSynth-Studio, from there
    python benchmarks/train_step.py --model Wan2.1-T2V-1.3B --layers 2 --frames 17 --height 240 --width 416 --batch 1 \\
        --threads 2 --rounds 7 --steps 1            # two blocks of the real width, on a CPU
    python benchmarks/train_step.py --device cuda --model Wan2.1-T2V-1.3B --frames 81 --height 480 --width 832 \\
        --gradient_checkpointing

The arms take turns, a few steps at a time, so that whatever else the machine does falls on all alike. What is
compared is the ratio to the plain loop, round by round: the median over rounds, with a bootstrap interval. DiffSynth
needs an environment of its own (it brings torchvision): python -m venv ds && ds/bin/pip install diffsynth
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

ARMS = Path(__file__).with_name("arms.py")
PASSED = ("model", "layers", "frames", "height", "width", "text_length", "caption_length", "device", "threads",
          "memory_cap")  # fmt: skip


class Arm:
    """A process that makes steps on demand."""

    def __init__(self, name: str, python: str, args: argparse.Namespace, batch: int, fold: bool = False):
        command = [python, str(ARMS), name.split(" ")[0], "--batch", str(batch)]
        for key in PASSED:
            command += [f"--{key}", str(getattr(args, key))]
        command += ["--gradient_checkpointing"] * args.gradient_checkpointing + ["--fold"] * fold
        command += ["--compile"] * args.compile + ["--count_flops"] * args.count_flops
        self.name, self.batch, self.command = name, batch, command
        self.process: subprocess.Popen[str] | None = None
        self.rounds: list[float] = []
        self.peak, self.share, self.failed = 0, None, ""

    def steps(self, count: int) -> float:
        """Median seconds a clip over `count` steps; NaN of an arm that has failed, for want of memory say."""
        if self.failed:
            return float("nan")
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("ANSWER "):
                answer = json.loads(line.removeprefix("ANSWER "))
                self.peak, seconds = answer["peak_bytes"], float(np.median(answer["seconds"]))
                if "flops" in answer:
                    self.share = answer["flops"] / seconds / answer["peak_flops"]
                return seconds / self.batch
        self.failed = f"stopped with status {self.process.wait()}; its words are above"
        print(f"{self.name}: {self.failed}", file=sys.stderr)
        return float("nan")

    def end(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()


def interval(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    random = np.random.default_rng(0)
    medians = np.median(random.choice(values, (draws, len(values))), axis=1)
    return tuple(np.percentile(medians, [2.5, 97.5]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="embedded, small, or Wan2.1-T2V-1.3B ...")
    parser.add_argument("--layers", type=int, default=0, help="so many blocks, which are all alike; 0: all")
    parser.add_argument("--frames", type=int, default=13)
    parser.add_argument("--height", type=int, default=96)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--text_length", type=int, default=512)
    parser.add_argument("--caption_length", type=int, default=24, help="tokens of the longest caption, for folding")
    parser.add_argument("--batch", type=int, default=8, help="of the larger-batch rows")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("--compile", action="store_true", help="compile the blocks, of plain and ours")
    parser.add_argument("--memory_cap", type=float, default=0.0, help="GiB that a process may take of the GPU's memory")
    parser.add_argument(
        "--count_flops",
        action="store_true",
        help="also say which share of the speed of plain matrix products here a step reaches",
    )
    parser.add_argument(
        "--one_by_one",
        action="store_true",
        help="one arm after the other, for models of which only one fits: ratios of medians",
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=4, help="of an arm in a round")
    parser.add_argument("--diffsynth_python", help="interpreter of an environment with DiffSynth-Studio")
    parser.add_argument("--output", help="also write the numbers as JSON")
    args = parser.parse_args()
    here = sys.executable
    arms = [Arm("plain", here, args, 1), Arm("emogen_lora", here, args, 1), Arm("emogen", here, args, 1)]
    if args.diffsynth_python:
        arms.append(Arm("diffsynth", args.diffsynth_python, args, 1))
    if args.batch > 1:
        arms += [Arm("plain (batch)", here, args, args.batch), Arm("emogen (batch)", here, args, args.batch),
                 Arm("emogen (batch, folded text)", here, args, args.batch, fold=True)]  # fmt: skip
    for group in [[arm] for arm in arms] if args.one_by_one else [arms]:
        for arm in group:
            arm.steps(2)  # warm up
        for number in range(args.rounds):
            for arm in group:
                arm.rounds.append(arm.steps(args.steps))
            print(f"round {number + 1} of {args.rounds}", end="\r", file=sys.stderr, flush=True)
        for arm in group:
            arm.end()
    if all(arm.failed for arm in arms):
        raise SystemExit("no arm could make a step; their words are above")
    table(arms, args)


def table(arms: list[Arm], args: argparse.Namespace) -> None:
    rows, found = [], {}
    for arm in arms:
        base = next(a for a in arms if a.name.startswith("plain") and a.batch == arm.batch)
        if arm.failed:
            rows.append(
                f"| {arm.name} | {arm.batch} | {arm.failed.partition(';')[0]} | - | - |" + " - |" * args.count_flops
            )
            continue
        seconds = np.array(arm.rounds)
        ratio = seconds / (np.median(base.rounds) if args.one_by_one else np.array(base.rounds))
        low, high = interval(ratio)
        found[arm.name] = {
            "batch": arm.batch, "seconds_per_clip": float(np.median(seconds)), "rounds": arm.rounds,
            "ratio": float(np.median(ratio)), "interval": [low, high], "peak_bytes": arm.peak,
        }  # fmt: skip
        rows.append(f"| {arm.name} | {arm.batch} | {np.median(seconds):.4f} | {np.median(ratio):.3f} [{low:.3f}, "
                    f"{high:.3f}] | {arm.peak / 2**30:.2f} |"
                    + (f" {arm.share:.0%} |" if arm.share else " - |") * args.count_flops)  # fmt: skip
    clip = f"{args.frames} frames of {args.height}x{args.width}"
    checkpointing = "on" if args.gradient_checkpointing else "off"
    model = f"{args.layers} blocks of {args.model}" if args.layers else args.model
    print(f"{model}, {clip}, {args.text_length} text tokens, {args.device}, {args.threads} threads, gradient "
          f"checkpointing {checkpointing}; {args.rounds} rounds of {args.steps} steps\n")  # fmt: skip
    print("| arm | batch | seconds a clip (median) | ratio to the plain loop of its batch | peak memory, GiB |"
          + " share of the measured bf16 peak |" * args.count_flops)  # fmt: skip
    print("|---|---:|---:|---:|---:|" + "---:|" * args.count_flops)
    print("\n".join(rows))
    if args.output:
        Path(args.output).write_text(json.dumps({"settings": vars(args), "arms": found}, indent=2))


if __name__ == "__main__":
    main()
