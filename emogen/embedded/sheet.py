"""The contact sheet of the README: all eight emotions for a few prompts.

    python -m emogen.embedded.sheet --output docs/emotions.png
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


def main(argv: Sequence[str] | None = None) -> None:
    """Generate and write the sheet."""
    parser = argparse.ArgumentParser(prog="python -m emogen.embedded.sheet", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="a .png file")
    parser.add_argument("--prompt", nargs="+", default=list(PROMPTS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    import torch

    from emogen import EmotionWanPipeline, embedded_adapter, embedded_model
    from emogen.eval.sheet import contact_sheet

    pipe = EmotionWanPipeline.from_pretrained(embedded_model())
    pipe.load_emotion_adapter(embedded_adapter())
    rows = []
    for prompt in args.prompt:
        generators = [torch.Generator().manual_seed(args.seed) for _ in MIKELS]
        clips = pipe([prompt] * len(MIKELS), emotion=list(MIKELS), generator=generators, output_type="np").frames
        rows.append(list(to_uint8(clips)))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(args.output, rows, args.prompt, MIKELS, frames=(3, 9))
    print(args.output)


if __name__ == "__main__":
    main()
