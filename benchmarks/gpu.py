"""The tables that need a GPU, each by a command of at most nine minutes; what is done already stays.

    python benchmarks/gpu.py --output_dir gpu                     # all that is missing, one after the other
    python benchmarks/gpu.py --output_dir gpu --only kernels      # one table
    python benchmarks/gpu.py --output_dir gpu --dry_run           # the same commands on tiny models, on a CPU
    python benchmarks/gpu.py --list

Weights are random and of the published sizes, for time and memory do not ask what they are. A table goes to
`OUTPUT_DIR/NAME.md` with the command, the card and the versions over it, when its command has ended well; a table that
failed or took too long is left for the next call, and its words lie in `NAME.log`. With `--diffsynth_python` the
training tables have DiffSynth-Studio beside us.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emogen.files import write_text

HERE = Path(__file__).parent
LIMIT = 540
SMALL = "Wan2.1-T2V-1.3B"
LARGE = "Wan2.1-T2V-14B"


@dataclass(frozen=True)
class Table:
    """A script of this folder and its words, on a GPU and to try on a CPU."""

    about: str
    script: str
    words: str
    tiny: str
    diffsynth: bool = False

    def command(self, dry: bool, diffsynth: str | None) -> list[str]:
        words = shlex.split(self.tiny if dry else self.words)
        if self.diffsynth and diffsynth:
            words += ["--diffsynth_python", diffsynth]
        return [sys.executable, str(HERE / self.script), *words]


def _training(model: str, clip: str, more: str = "", rounds: int = 5) -> str:
    frames, height, width = clip.split("x")
    return (f"--device cuda --model {model} --frames {frames} --height {height} --width {width} --batch 1 "
            f"--rounds {rounds} --steps 1 --gradient_checkpointing --count_flops {more}").strip()  # fmt: skip


_TINY = "--count_flops --frames 5 --height 32 --width 32 --batch 1 --text_length 32 --rounds 1 --steps 1"

TABLES = {
    "kernels": Table("attention kernels, 32,760 tokens, 1.3B's heads: equality, forward and backward", "kernels.py",
                     "--device cuda", "--tokens 64 --heads 2 --head_dim 64 --turns 1"),
    "kernels_14b": Table("the same with 14B's heads", "kernels.py", "--device cuda --heads 40 --turns 5",
                         "--tokens 64 --heads 3 --head_dim 64 --turns 1"),
    "train_1.3b": Table("a training step of 1.3B on 81x480x832, every block recomputed", "train_step.py",
                        _training(SMALL, "81x480x832"), _TINY, True),
    "train_1.3b_short": Table("1.3B on 17x480x832, nothing recomputed", "train_step.py",
                              _training(SMALL, "17x480x832", rounds=9).replace(" --gradient_checkpointing", ""),
                              _TINY, True),
    "train_1.3b_compiled": Table("1.3B on 81x480x832 with compiled blocks", "train_step.py",
                                 _training(SMALL, "81x480x832", "--compile"), _TINY),
    "train_1.3b_24gib": Table("1.3B on 81x480x832 with 24 GiB of memory", "train_step.py",
                              _training(SMALL, "81x480x832", "--memory_cap 24", 3), _TINY),
    "train_1.3b_12gib": Table("1.3B on 33x480x832 with 12 GiB of memory", "train_step.py",
                              _training(SMALL, "33x480x832", "--memory_cap 12", 3), _TINY),
    "train_14b": Table("a training step of 14B on 33x480x832, every block recomputed", "train_step.py",
                       _training(LARGE, "33x480x832", "--one_by_one", 2), f"{_TINY} --one_by_one"),
    "forecast": Table("the memory forecast against what a step takes", "forecast_error.py", "", "--cpu"),
    "sampling": Table("speed options of sampling on the embedded model", "sampling_speed.py", "--device cuda",
                      "--prompts 1 --emotions fear --num_inference_steps 1 --only vae_slicing --no_warmup"),
}  # fmt: skip


def heading(table: Table, command: Sequence[str], seconds: float) -> str:
    import diffusers
    import torch

    card = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else "a dry run on a CPU, whose figures say nothing"
    )
    told = shlex.join(["python", *(word.removeprefix(f"{HERE.parent}/") for word in command[1:])])
    versions = f"torch {torch.__version__}, diffusers {diffusers.__version__}"
    return f"# {table.about}\n\n{card}; {versions}; {seconds:.0f} s; `{told}`\n\n"


def make(name: str, args: argparse.Namespace) -> str:
    """Make a table that is missing. Returns how it went, in words."""
    table, path = TABLES[name], args.output_dir / f"{name}.md"
    if path.is_file():
        return "there already"
    command = table.command(args.dry_run, args.diffsynth_python)
    log = args.output_dir / f"{name}.log"
    start = time.monotonic()
    try:
        with log.open("w", encoding="utf-8") as words:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=words, text=True, timeout=args.limit)
    except subprocess.TimeoutExpired:
        return f"not done in {args.limit} s; its words: {log}"
    if done.returncode:
        return f"ended with {done.returncode}; its words: {log}"
    seconds = time.monotonic() - start
    write_text(path, heading(table, command, seconds) + done.stdout)
    return f"done in {seconds:.0f} s: {path}"


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is missing; 1 if something still is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path)
    parser.add_argument("--only", nargs="+", default=list(TABLES), choices=TABLES, metavar="TABLE")
    parser.add_argument("--dry_run", action="store_true", help="tiny models on a CPU: does every command run?")
    parser.add_argument("--diffsynth_python", help="interpreter of an environment with DiffSynth-Studio")
    parser.add_argument("--limit", type=int, default=LIMIT, help="seconds a table (default: 540)")
    parser.add_argument("--list", action="store_true", help="say what there is, and do nothing")
    args = parser.parse_args(argv)
    if args.list:
        for name, table in TABLES.items():
            print(f"{name:20} {table.about}")
        return 0
    if args.output_dir is None:
        parser.error("--output_dir is missing")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    if not args.dry_run:
        import torch

        if not torch.cuda.is_available():
            parser.error("there is no CUDA device here; --dry_run tries the commands on a CPU")
    for name in args.only:
        print(f"{name}: {make(name, args)}", flush=True)
    return 0 if all((args.output_dir / f"{name}.md").is_file() for name in args.only) else 1


if __name__ == "__main__":
    sys.exit(main())
