"""What `--best_of N` gains, by a judge that did not choose: `python benchmarks/best_of.py --prompts 8 --emotions 3`.

For held-out prompts and emotions the embedded model makes a clip a seed. One judge chooses the best of the first N, the
other reads what was chosen; N = 1 is the first seed as it comes. Every N uses the same clips, so differences are
paired; intervals are bootstraps over prompts. Both ways round: each judge chooses for the other. The readings are kept
in --work, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from emogen.emotion import MIKELS, EmotionState
from emogen.eval.benchmark.heldout import rendered_prompts
from emogen.eval.benchmark.systems import computing
from emogen.eval.judges.choose import fit
from emogen.eval.judges.registry import load_judge
from emogen.files import write_json
from emogen.media.pixels import to_uint8
from emogen.pipelines.loading import open_pipeline

JUDGES = ("embedded", "embedded_blends")


def readings(args: argparse.Namespace) -> list[dict]:
    """A row a clip: prompt, emotion, seed, each judge's fit and whether it reads the emotion first."""
    file = args.work / "readings.json"
    rows = json.loads(file.read_text()) if file.exists() else []
    done = {(row["prompt"], row["seed"]) for row in rows}
    rng = np.random.default_rng(args.seed)
    pipe = open_pipeline("embedded", "embedded", dtype="stored")
    pipe.set_progress_bar_config(disable=True)
    judges = {name: load_judge(name) for name in JUDGES}
    start = time.time()
    for number, prompt in enumerate(rendered_prompts(args.prompts, args.seed)):
        asked = [str(name) for name in rng.choice(MIKELS, args.emotions, replace=False)]
        for seed in range(args.seeds):
            if (prompt.text, seed) in done or time.time() - start > args.seconds:
                continue
            noise = [torch.Generator().manual_seed(1000 * number + seed) for _ in asked]
            with computing():
                clips = pipe([prompt.text] * len(asked), emotion=asked, generator=noise, output_type="np",
                             num_inference_steps=args.steps).frames  # fmt: skip
            for emotion, clip in zip(asked, to_uint8(clips), strict=True):
                state = EmotionState.of(emotion)
                fits = {name: fit(judge, clip, state) for name, judge in judges.items()}
                hits = {name: judge(clip[None]).labels[0] == emotion for name, judge in judges.items()}
                rows.append({"prompt": prompt.text, "emotion": emotion, "seed": seed, "fit": fits, "hit": hits})
            args.work.mkdir(parents=True, exist_ok=True)
            write_json(file, rows)
    return rows


def table(rows: list[dict], seeds: int, draws: int = 5000) -> list[tuple]:
    """(chooser, reader, N, hits in %, fit, gain of fit over N = 1, its interval, groups, prompts)."""
    groups: dict[tuple[str, str], dict[int, dict]] = {}
    for row in rows:
        groups.setdefault((row["prompt"], row["emotion"]), {})[row["seed"]] = row
    whole = {key: group for key, group in groups.items() if len(group) >= seeds}
    prompts = sorted({prompt for prompt, _ in whole})
    lines = []
    for chooser, reader in (JUDGES, JUDGES[::-1]):
        for count in (1, 2, 4, 8):
            if count > seeds:
                continue
            gains: dict[str, list[float]] = {prompt: [] for prompt in prompts}
            fits, hits = [], []
            for (prompt, _), group in whole.items():
                best = max(range(count), key=lambda seed: group[seed]["fit"][chooser])
                fits.append(group[best]["fit"][reader])
                hits.append(group[best]["hit"][reader])
                gains[prompt].append(fits[-1] - group[0]["fit"][reader])
            rng = np.random.default_rng(0)
            means = []
            for _ in range(draws):
                drawn = rng.choice(len(prompts), len(prompts))
                means.append(np.mean([gain for place in drawn for gain in gains[prompts[place]]]))
            gain = np.mean([one for several in gains.values() for one in several])
            low, high = np.percentile(means, [2.5, 97.5])
            lines.append((chooser, reader, count, 100 * np.mean(hits), np.mean(fits), gain, low, high, len(whole),
                          len(prompts)))  # fmt: skip
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--emotions", type=int, default=3, help="of the eight, drawn for each prompt")
    parser.add_argument("--seeds", type=int, default=4, help="the largest N")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seed", type=int, default=11, help="of the prompts and emotions")
    parser.add_argument("--seconds", type=float, default=1e9, help="make clips for at most so long, then count")
    parser.add_argument("--work", type=Path, required=True, help="where readings are kept")
    args = parser.parse_args()
    rows = readings(args)
    print("chosen by | read by | N | right, % | fit | gain over N = 1 [95 %] | requests, prompts")
    for chooser, reader, count, hits, mean, gain, low, high, groups, prompts in table(rows, args.seeds):
        print(f"{chooser} | {reader} | {count} | {hits:.1f} | {mean:.3f} | {gain:+.3f} [{low:+.3f}, {high:+.3f}] | "
              f"{groups}, {prompts}")  # fmt: skip


if __name__ == "__main__":
    main()
