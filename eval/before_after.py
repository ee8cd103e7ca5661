"""Does the adapter do more than the word? The before/after table, on held-out prompts, for any Wan model.

    python -m emogen.eval.before_after --output_dir runs/before_after

Arms, on the same prompts and seeds: `neutral` (the base, prompt alone), `sentence` (the base, the paper's sentence
appended), `emogen` (LoRA and adapter), and on request `adapter` (without the LoRA) and `lora` (LoRA with the
sentence). Clips are kept as lossless animated PNG, so an interrupted run goes on and a finished one is only scored.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emogen.emotion import MIKELS, EmotionState, emotion_prompt

from .agreement import compare, hits, rate
from .heldout import HeldOutPrompt, real_prompts, rendered_prompts
from .sheet import contact_sheet

ARMS = ("neutral", "sentence", "emogen", "adapter", "lora")


def generate(prompts: Sequence[HeldOutPrompt], arms: Sequence[str], out: Path, *, model: str, adapter: str,
             steps: int | None, guidance: float | None, seed: int, rank: int, world: int) -> None:
    """Make the missing clips of this process's share of the prompts, all eight emotions of a prompt at a time."""
    import torch
    from emogen.pipelines import EmotionWanPipeline
    from tqdm import tqdm

    from emogen.data.video import write_video

    options = {k: v for k, v in (("num_inference_steps", steps), ("guidance_scale", guidance)) if v is not None}
    for arm in arms:
        todo = [i for i in range(rank, len(prompts), world) if not _path(out, arm, i, MIKELS[-1]).exists()]
        if not todo:
            continue
        pipe = EmotionWanPipeline.from_pretrained(model, dtype=torch.bfloat16 if torch.cuda.is_available() else None)
        pipe.to("cuda" if torch.cuda.is_available() else "cpu")
        if arm in ("emogen", "adapter", "lora"):
            pipe.load_emotion_adapter(adapter, load_lora=arm != "adapter")
        pipe.set_progress_bar_config(disable=True)
        for index in tqdm(todo, desc=arm, mininterval=10):
            text = prompts[index].text
            states = [EmotionState.of(name) for name in MIKELS]
            words = arm in ("sentence", "lora")
            texts = [f"{text} {emotion_prompt(s)}" if words else text for s in states]
            count = 1 if arm == "neutral" else len(states)
            generators = [torch.Generator().manual_seed(seed + index) for _ in range(count)]
            emotion = states if arm in ("emogen", "adapter") else None
            with torch.autocast("cpu", torch.bfloat16, enabled=not torch.cuda.is_available()):
                clips = pipe(texts[:count], emotion=emotion, generator=generators, output_type="np", **options).frames
            clips = (np.asarray(clips, dtype=np.float32).clip(0, 1) * 255).round().astype(np.uint8)
            for k, name in enumerate(MIKELS):
                write_video(_path(out, arm, index, name), clips[k % count], pipe.fps, quality=100)


def _path(out: Path, arm: str, index: int, emotion: str) -> Path:
    return out / "clips" / arm / f"{index:03d}_{emotion}.png"


def score(prompts: Sequence[HeldOutPrompt], arms: Sequence[str], out: Path) -> dict:
    """Judge all clips: agreement and content by domain and arm, and each arm against `sentence`."""
    from emogen.data.video import read_video

    from .judge import ContentReader, EmbeddedJudge

    judge, reader = EmbeddedJudge(), ContentReader()
    rows = []
    for arm in arms:
        for index, prompt in enumerate(prompts):
            clips = np.stack([read_video(_path(out, arm, index, name))[0] for name in MIKELS])
            verdict = judge(clips)
            eight, two = hits(verdict.distribution, MIKELS)
            seen = reader(clips)
            for k, name in enumerate(MIKELS):
                content = [seen[k][question] == value for question, value in prompt.named.items()]
                rows.append({"arm": arm, "domain": prompt.domain, "prompt": prompt.text, "character": prompt.character,
                             "index": index, "asked": name, "read": verdict.labels[k], "EA-8": bool(eight[k]),
                             "EA-2": bool(two[k]), "content": float(np.mean(content)), "seen": seen[k],
                             "share": round(float(verdict.distribution[k][MIKELS.index(name)]), 4)})
    summary: dict = {"judge": judge.name, "arms": {}, "against sentence": {}}
    for domain in ("rendered", "real"):
        for arm in arms:
            mine = [r for r in rows if r["arm"] == arm and r["domain"] == domain]
            if not mine:
                continue
            entry = {metric: rate([r[metric] for r in mine]) for metric in ("EA-8", "EA-2")}
            entry["content"] = float(np.mean([r["content"] for r in mine]))
            entry["recall"] = {n: float(np.mean([r["EA-8"] for r in mine if r["asked"] == n])) for n in MIKELS}
            summary["arms"][f"{domain}/{arm}"] = entry
            other = [r for r in rows if r["arm"] == "sentence" and r["domain"] == domain]
            if arm != "sentence" and other:
                summary["against sentence"][f"{domain}/{arm}"] = {
                    metric: compare([r[metric] for r in mine], [r[metric] for r in other], [r["prompt"] for r in mine])
                    for metric in ("EA-8", "EA-2")}
    summary["rows"] = rows
    return summary


def table(summary: dict) -> str:
    """The README's table, in Markdown."""
    lines = ["| domain | arm | n | EA-8cls [95 %] | EA-2cls [95 %] | content | EA-8 against sentence [95 %] |",
             "|---|---|---|---|---|---|---|"]
    for key, entry in summary["arms"].items():
        domain, arm = key.split("/")
        cells = [f"{100 * e['value']:.1f} [{100 * e['low']:.1f}, {100 * e['high']:.1f}]"
                 for e in (entry["EA-8"], entry["EA-2"])]
        gain = summary["against sentence"].get(key)
        change = "" if gain is None else (f"{100 * gain['EA-8']['difference']:+.1f} "
                                          f"[{100 * gain['EA-8']['low']:+.1f}, {100 * gain['EA-8']['high']:+.1f}]")
        lines.append(f"| {domain} | {arm} | {entry['EA-8']['n']} | {cells[0]} | {cells[1]} | "
                     f"{100 * entry['content']:.1f} | {change} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m emogen.eval.before_after", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--model", help="Wan folder or hub id (default: the embedded model)")
    parser.add_argument("--adapter", help="adapter folder or hub id (default: the embedded adapter)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["neutral", "sentence", "emogen"])
    parser.add_argument("--rendered", type=int, default=20, help="prompts on rendered characters, times eight emotions")
    parser.add_argument("--real", type=int, default=12, help="prompts on real emoji, times eight emotions")
    parser.add_argument("--num_inference_steps", type=int)
    parser.add_argument("--guidance_scale", type=float)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--share", default="0/1", help="RANK/WORLD: make only every WORLD-th prompt's clips, and stop")
    args = parser.parse_args(argv)
    from emogen.embedded import embedded_adapter, embedded_model

    prompts = rendered_prompts(args.rendered) + real_prompts(args.real)
    rank, world = (int(x) for x in args.share.split("/"))
    start = time.time()
    generate(prompts, args.arms, args.output_dir, model=args.model or embedded_model(),
             adapter=args.adapter or embedded_adapter(), steps=args.num_inference_steps, guidance=args.guidance_scale,
             seed=args.seed, rank=rank, world=world)
    if world > 1:
        return
    summary = score(prompts, args.arms, args.output_dir)
    summary["settings"] = {"seed": args.seed, "num_inference_steps": args.num_inference_steps,
                           "guidance_scale": args.guidance_scale, "seconds": round(time.time() - start)}
    temporary = args.output_dir / "results.json.tmp"
    temporary.write_text(json.dumps(summary, indent=1))
    temporary.replace(args.output_dir / "results.json")
    _sheets(prompts, args.arms, args.output_dir)
    print(table(summary))


def _sheets(prompts: Sequence[HeldOutPrompt], arms: Sequence[str], out: Path) -> None:
    from emogen.data.video import read_video

    for domain in ("rendered", "real"):
        chosen = [i for i, p in enumerate(prompts) if p.domain == domain][:4]
        rows, labels = [], []
        for index in chosen:
            for arm in arms:
                rows.append([read_video(_path(out, arm, index, name))[0] for name in MIKELS])
                labels.append(f"[{arm}] {prompts[index].text}")
        if rows:
            contact_sheet(out / f"sheet_{domain}.png", rows, labels, MIKELS)


if __name__ == "__main__":
    main()
