"""Whether an emotion's look, said in the prompt (`sample.py --enrich`), is read as that emotion.

    python benchmarks/enrich.py PRIORS.json --work FOLDER --prompts 8

The embedded model without its adapter makes, of held-out prompts and for each of the eight emotions, a clip of the
prompt as it is, one with the look's words, one with the paper's sentence, and one with both, from the same noise. The
embedded judge reads them. Differences are paired; intervals draw whole prompts. Readings are kept in --work, so that an
interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from emogen.emotion import MIKELS, EmotionState, emotion_prompt
from emogen.emotion.look import Look, enrich, read_look
from emogen.eval.benchmark.heldout import rendered_prompts
from emogen.eval.benchmark.systems import computing
from emogen.eval.judges.registry import load_judge
from emogen.eval.statistics import clustered_difference, clustered_mean
from emogen.files import write_json
from emogen.media.pixels import to_uint8
from emogen.pipelines.loading import open_pipeline

ARMS = ("as it is", "look", "sentence", "sentence and look")


def texts(prompt: str, emotion: str, look: Look) -> dict[str, str]:
    """Arm -> prompt."""
    state = EmotionState.of(emotion)
    said = emotion_prompt(state)
    rich = enrich(prompt, state, look)
    return dict(zip(ARMS, (prompt, rich, f"{prompt} {said}", f"{rich}. {said}"), strict=True))


def readings(args: argparse.Namespace, look: Look) -> list[dict]:
    """A row a prompt and emotion: of each arm the judge's share of the emotion, and whether it leads."""
    file = args.work / "enrich.json"
    rows = json.loads(file.read_text()) if file.exists() else []
    done = {(row["prompt"], row["emotion"]) for row in rows}
    pipe, judge = open_pipeline("embedded", None, dtype="stored"), load_judge("embedded")
    pipe.set_progress_bar_config(disable=True)
    start = time.time()
    for number, prompt in enumerate(rendered_prompts(args.prompts, args.seed)):
        if all((prompt.text, name) in done for name in MIKELS) or time.time() - start > args.seconds:
            continue
        asked = {name: texts(prompt.text, name, look) for name in MIKELS}
        unique = list(dict.fromkeys(text for arms in asked.values() for text in arms.values()))
        shares = {}
        for first in range(0, len(unique), 8):
            part = unique[first : first + 8]
            noise = [torch.Generator().manual_seed(1000 + number) for _ in part]
            with computing():
                clips = pipe(part, generator=noise, output_type="np", num_inference_steps=args.steps).frames
            shares |= dict(zip(part, judge(to_uint8(clips)).distribution.tolist(), strict=True))
        for k, name in enumerate(MIKELS):
            found = {arm: shares[text] for arm, text in asked[name].items()}
            rows.append({"prompt": prompt.text, "emotion": name, "has_words": asked[name]["look"] != prompt.text,
                         "share": {arm: one[k] for arm, one in found.items()},
                         "hit": {arm: one.index(max(one)) == k for arm, one in found.items()},
                         "positive": {arm: (sum(one[:4]) > 0.5) == (k < 4) for arm, one in found.items()}})  # fmt: skip
        args.work.mkdir(parents=True, exist_ok=True)
        write_json(file, rows)
        print(f"{number + 1} prompts, {time.time() - start:.0f} s", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("priors", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seed", type=int, default=12, help="of the prompts")
    parser.add_argument("--seconds", type=float, default=1e9, help="make clips for at most so long, then count")
    args = parser.parse_args()
    look = read_look(args.priors)
    for name in MIKELS:
        print(f"{name}: {', '.join(look.words(name)) or 'no words'}")
    rows = [row for row in readings(args, look) if row["has_words"]]
    prompts = [row["prompt"] for row in rows]
    print(f"{len(rows)} requests with words, {len(set(prompts))} prompts: mean [95 %], and beyond the arm without look")
    for what in ("hit", "positive", "share"):
        for arm in ARMS:
            mine = [float(row[what][arm]) for row in rows]
            base = [float(row[what][{"look": ARMS[0]}.get(arm, "sentence")]) for row in rows]
            line = "{:.3f} [{:.3f}, {:.3f}]".format(*(x if x is not None else float("nan") for x in
                                                      clustered_mean(mine, prompts)))  # fmt: skip
            if arm in ("look", "sentence and look"):
                gain = clustered_difference(mine, base, prompts)
                line += "   {:+.3f} [{:+.3f}, {:+.3f}]".format(*(x if x is not None else float("nan") for x in gain))
            print(f"{what:9} {arm:18} {line}")


if __name__ == "__main__":
    main()
