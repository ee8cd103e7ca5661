"""Which weight the emotion's LoRA should have beside another LoRA: a table in Markdown, on standard output.

    python benchmarks/lora_weight.py --lora style.safetensors:0.8
    python benchmarks/lora_weight.py --lora style.safetensors --model MODEL --adapter FOLDER --device cuda

For each weight of the emotion's LoRA the same clips are made, and two things are read: the judge's probability of the
asked emotion (it knows only stickers), and how much of the other LoRA's look is kept, as the PSNR in dB to the clip of
the same seed with the other LoRA alone and no emotion. The weight to take is the smallest whose probability is within
`--tolerance` of the best: more of it costs look and gains nothing.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch
from sampling_speed import PROMPTS, load, psnr

from emogen.media.pixels import to_uint8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora", action="append", required=True, help="FILE[:WEIGHT], may be repeated")
    parser.add_argument("--weights", default="0,0.25,0.5,0.75,1,1.25", help="of the emotion's LoRA, with commas")
    parser.add_argument("--tolerance", type=float, default=0.02, help="of the probability")
    parser.add_argument("--model", help="folder or hub id (default: the embedded model)")
    parser.add_argument("--adapter", help="folder or hub id (default: the embedded one with the embedded model)")
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--emotions", default="amusement,fear", help="of the eight, with commas")
    parser.add_argument("--num_inference_steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"])
    args = parser.parse_args()
    from emogen.emotion import MIKELS
    from emogen.eval.judges.embedded import EmbeddedJudge
    from emogen.pipelines.composition import add_loras

    pipe = load(args, torch.device(args.device))
    names = add_loras(pipe, args.lora, emotion_weight=1.0)
    emotions, weights = args.emotions.split(","), [float(weight) for weight in args.weights.split(",")]
    jobs = [(prompt, emotion) for prompt in PROMPTS[: args.prompts] for emotion in emotions]
    asked = [MIKELS.index(emotion) for _, emotion in jobs]

    def clips(weight: float, emotional: bool) -> np.ndarray:
        pipe.set_adapters(list(names), [weight if name == "emotion" else own for name, own in names.items()])
        steps = {} if args.num_inference_steps is None else {"num_inference_steps": args.num_inference_steps}
        made = [
            pipe(prompt, emotion=emotion if emotional else None, output_type="np", **steps,
                 generator=torch.Generator().manual_seed(args.seed + number)).frames[0]
            for number, (prompt, emotion) in enumerate(jobs)
        ]  # fmt: skip
        return np.asarray(made, dtype=np.float32)

    alone, judge, found = clips(0.0, False), EmbeddedJudge(), []
    print("| weight of the emotion's LoRA | judge's probability of the emotion | PSNR to the other LoRA alone, dB |")
    print("|---|---|---|")
    for weight in weights:
        made = clips(weight, True)
        verdict = judge(to_uint8(made))
        probability = float(verdict.distribution[np.arange(len(jobs)), asked].mean())
        found.append((weight, probability))
        look = float(np.mean([psnr(own, base) for own, base in zip(made, alone, strict=True)]))
        print(f"| {weight:g} | {probability:.3f} | {look:.1f} |", flush=True)
    best = max(probability for _, probability in found)
    chosen = min(weight for weight, probability in found if probability >= best - args.tolerance)
    print(f"\n{len(jobs)} clips a weight. Suggested: --emotion_lora_weight {chosen:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
