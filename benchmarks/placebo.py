"""What of the gain is the emotion's? Arms of the same training, several seeds, and a placebo with shuffled labels.

    python benchmarks/placebo.py --output_dir out
    python benchmarks/placebo.py --output_dir out --jobs 2 --steps 300 --seeds 3

Every arm is `train_lora.py --config configs/embedded_t2v.yaml` on the stickers it draws, with the same number of steps:

- `both`: LoRA and adapter; `placebo`: the same on labels shuffled among the clips, which can only learn their look;
- `lora`: the LoRA alone, on captions that end in the emotion's sentence, as it is also sampled; `adapter`: alone.

Then `emogen.eval` compares them on held-out contents with the untrained model, asked by the sentence, and with the
drawn stickers. Arms that are there already are not trained again. Standard output gets a table in Markdown;
`arms.json` and the page stay in the output folder. On two CPU cores eight arms of 240 steps take about 40 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
KINDS = {
    "both": [],
    "placebo": ["--shuffle_labels", "true"],
    "lora": ["--train_adapter", "false", "--emotion_in_caption", "true"],
    "adapter": ["--rank", "0"],
}
REPEATED = ("both", "placebo")
SYSTEMS = {"lora": {"load": "lora", "emotion": "sentence"}, "adapter": {"load": "adapter"}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=3, help="of both and placebo; the others are trained once")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--num_prompts", type=int, default=8, help="held-out prompts, each with the eight emotions")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time, a thread each")
    args = parser.parse_args()
    arms = [(kind, seed) for seed in range(args.seeds) for kind in KINDS if seed == 0 or kind in REPEATED]
    args.output_dir.mkdir(parents=True, exist_ok=True)
    train(args, *arms[0], stop_after_cache=True)
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda arm: train(args, *arm), arms))
    results = evaluate(args, arms)
    found = {kind: summary(results, [f"{kind}_{seed}" for k, seed in arms if k == kind]) for kind in KINDS}
    found |= {name: summary(results, [name]) for name in ("drawn", "sentence")}
    (args.output_dir / "arms.json").write_text(json.dumps({"steps": args.steps, "arms": found}, indent=1))
    print("| arm | training seeds | EA-8 % | of each seed | EA-2 % | content % |")
    print("|---|---|---|---|---|---|")
    for name in ("drawn", "sentence", "placebo", "lora", "adapter", "both"):
        one = found[name]
        seeds = ", ".join(f"{100 * value:.1f}" for value in one["EA-8"]) if name in KINDS else "-"
        spread = f" ± {100 * one['spread']:.1f}" if one["spread"] is not None else ""
        print(f"| {name} | {len(one['EA-8']) if name in KINDS else '-'} | {100 * one['mean']:.1f}{spread} | {seeds} | "
              f"{100 * one['EA-2']:.1f} | {100 * one['content']:.1f} |")  # fmt: skip
    print(f"\n{results['items']} clips an arm; ± is the standard deviation over training seeds; {args.steps} steps")
    return 0


def train(args: argparse.Namespace, kind: str, seed: int, stop_after_cache: bool = False) -> None:
    """Train one arm, or only fill the cache all arms share; a finished arm is left as it is, a begun one goes on."""
    folder = args.output_dir / ("first" if stop_after_cache else f"{kind}_{seed}")
    steps = 1 if stop_after_cache else args.steps
    if (folder / f"checkpoint-{steps}").is_dir():
        return
    options = ["--max_train_steps", steps, "--train_batch_size", args.batch, "--seed", seed, "--ema_decay", 0.98,
               "--validation_steps", 0, "--cache_dir", args.output_dir / "cache", *KINDS[kind]]  # fmt: skip
    started = time.time()
    command = [sys.executable, ROOT / "train_lora.py", "--config", ROOT / "configs/embedded_t2v.yaml",
               "--output_dir", folder, "--resume_from_checkpoint", "latest", *options]  # fmt: skip
    with open(args.output_dir / f"{folder.name}.log", "w") as log:
        done = subprocess.run(list(map(str, command)), env=_env(args), stdout=log, stderr=log)
    if done.returncode:
        raise SystemExit(f"{folder.name}: training ended with {done.returncode}; see {log.name}")
    print(f"{folder.name}: {(time.time() - started) / 60:.1f} minutes", file=sys.stderr, flush=True)


def evaluate(args: argparse.Namespace, arms: list[tuple[str, int]]) -> Mapping[str, Any]:
    config = yaml.safe_load((ROOT / "configs/eval/embedded.yaml").read_text())
    systems = {name: config["systems"][name] for name in ("drawn", "sentence")}
    for kind, seed in arms:
        adapter = str((args.output_dir / f"{kind}_{seed}").resolve())
        systems[f"{kind}_{seed}"] = {"model": "embedded", "adapter": adapter, **SYSTEMS.get(kind, {})}
    prompts = {"rendered": args.num_prompts, "real": 0}
    config |= {"name": "Arms of one training", "systems": systems, "num_prompts": prompts}
    path, out = args.output_dir / "arms.yaml", args.output_dir / "eval"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", args.jobs, "-m",
               "emogen.eval", "--config", path, "--output_dir", out]  # fmt: skip
    if subprocess.run(list(map(str, command)), env=_env(args), stdout=sys.stderr).returncode:
        raise SystemExit("the evaluation failed; its message is above")
    return json.loads((out / "results.json").read_text())


def summary(results: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    found = [results["summary"]["systems"][name] for name in names]
    rates = [one["EA-8"]["value"] for one in found]
    return {
        "EA-8": rates,
        "mean": statistics.fmean(rates),
        "spread": statistics.stdev(rates) if len(rates) > 1 else None,
        "EA-2": statistics.fmean(one["EA-2"]["value"] for one in found),
        "content": statistics.fmean(one["content"]["value"] for one in found),
    }


def _env(args: argparse.Namespace) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    raise SystemExit(main())
