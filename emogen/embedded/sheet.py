"""The contact sheets of the README: all eight emotions for a few prompts, or every frame of clips that change.

    python -m emogen.embedded.sheet --output docs/emotions.png
    python -m emogen.embedded.sheet --arcs --output docs/arcs.jpg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from emogen.data.video import to_uint8
from emogen.emotion import MIKELS

PROMPTS = (
    "a flat sticker of a round yellow face on a blue background",
    "a flat sticker of a heart-shaped pink face on a white background",
    "a flat sticker of a star-shaped green face wearing a crown on a pink background",
)
ARCS = (
    ("a flat sticker of a round pink face on a gray background", "0:fear@hold 0.5:amusement"),
    ("a flat sticker of a square green face wearing a crown on a orange background", "0:contentment@hold 0.5:anger"),
    ("a flat sticker of a round yellow face on a white background", "0:fear 1:amusement"),
    ("a flat sticker of a round gray face wearing a bow tie on a green background", "0:neutral 1:sadness"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Generate and write the sheet."""
    parser = argparse.ArgumentParser(prog="python -m emogen.embedded.sheet", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="a .png or .jpg file")
    parser.add_argument("--arcs", action="store_true", help="clips whose emotion changes instead of the eight")
    parser.add_argument("--prompt", nargs="+", default=list(PROMPTS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    import torch

    from emogen import EmotionWanPipeline, embedded_adapter, embedded_model
    from emogen.eval.sheet import contact_sheet

    pipe = EmotionWanPipeline.from_pretrained(embedded_model())
    pipe.load_emotion_adapter(embedded_adapter())
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if args.arcs:
        prompts, arcs = (list(column) for column in zip(*ARCS, strict=True))
        generators = [torch.Generator().manual_seed(args.seed) for _ in arcs]
        clips = to_uint8(pipe(prompts, emotion=arcs, generator=generators, output_type="np").frames)
        contact_sheet(args.output, [[clip] for clip in clips], arcs, [""], frames=tuple(range(clips.shape[1])))
        print(args.output)
        return
    rows = []
    for prompt in args.prompt:
        generators = [torch.Generator().manual_seed(args.seed) for _ in MIKELS]
        clips = pipe([prompt] * len(MIKELS), emotion=list(MIKELS), generator=generators, output_type="np").frames
        rows.append(list(to_uint8(clips)))
    contact_sheet(args.output, rows, args.prompt, MIKELS, frames=(3, 9))
    print(args.output)


if __name__ == "__main__":
    main()
