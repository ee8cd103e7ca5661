"""The contact sheets of the README: all eight emotions for a few prompts, every blend of two, every frame of clips that
change.

    python -m emogen.embedded.sheet --output docs/emotions.webp
    python -m emogen.embedded.sheet --blends --output docs/blends.webp
    python -m emogen.embedded.sheet --arcs --output docs/arcs.webp
    python -m emogen.embedded.sheet --random 64 --seed 1 --output docs/random_1.webp

A sheet of random prompts, emotions and seeds is unpicked and has no labels, so that one can look first and read the
answers, in a .csv beside it, afterwards.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from emogen.emotion import MIKELS
from emogen.files import write_text
from emogen.media.pixels import to_uint8
from emogen.stickers.content import SPLITS, caption, sample_spec

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
BLENDED = (
    "a flat sticker of a round yellow face on a white background",
    "a flat sticker of a square blue face on a pink background",
)
"""Of the blends above the diagonal, and below it."""

ROW = 8

Sample = Callable[[Sequence[str], Sequence[str]], list[np.ndarray]]
"""Prompts and emotions -> uint8 clips `(F, H, W, 3)`."""
SampleSeeds = Callable[[Sequence[str], Sequence[str], Sequence[int]], list[np.ndarray]]
"""The same, with a seed each."""


def emotions(path: Path, sample: Sample, prompts: Sequence[str]) -> None:
    """A row a prompt, a column an emotion, two frames each."""
    rows = [sample([prompt] * len(MIKELS), MIKELS) for prompt in prompts]
    _write(path, rows, prompts, MIKELS, frames=(3, 9))


def blends(path: Path, sample: Sample) -> None:
    """Row and column in equal parts; on the diagonal the emotions by themselves."""
    rows = []
    for r, first in enumerate(MIKELS):
        mixed = [first if first == second else f"{first}:0.5+{second}:0.5" for second in MIKELS]
        rows.append(sample([BLENDED[c < r] for c in range(len(MIKELS))], mixed))
    _write(path, rows, MIKELS, MIKELS, frames=(6,))


def arcs(path: Path, sample: Sample) -> None:
    """All frames of clips that change."""
    prompts, changes = (list(column) for column in zip(*ARCS, strict=True))
    clips = sample(prompts, changes)
    _write(path, [[clip] for clip in clips], changes, [""], frames=tuple(range(len(clips[0]))))


def random_cells(count: int, seed: int) -> list[tuple[str, str, int]]:
    """Random prompts of what the model knows, the eight emotions evenly, and a seed each; a function of `seed`."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    cells = []
    for place in range(count):
        spec = sample_spec(rng, str(rng.choice(SPLITS)), "neutral")
        cells.append((caption(spec), MIKELS[order[place] % len(MIKELS)], int(rng.integers(2**31))))
    return cells


def random_sheet(path: Path, sample: SampleSeeds, cells: Sequence[tuple[str, str, int]]) -> None:
    """The cells in rows of eight, without labels; prompts, emotions and seeds are in a .csv beside the picture."""
    prompts, asked, seeds = (list(column) for column in zip(*cells, strict=True))
    clips = sample(prompts, asked, seeds)
    blank = np.full_like(clips[0], 255)
    rows = [clips[k : k + ROW] + [blank] * (ROW - len(clips[k : k + ROW])) for k in range(0, len(clips), ROW)]
    numbers = [str(1 + ROW * row) for row in range(len(rows))]
    _write(path, rows, numbers, [""] * ROW, frames=(3, 9))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("cell", "prompt", "emotion", "seed"))
    table.writerows((number, *cell) for number, cell in enumerate(cells, 1))
    write_text(path.with_suffix(".csv"), text.getvalue())


def _write(
    path: Path,
    rows: Sequence[Sequence[np.ndarray]],
    labels: Sequence[str],
    columns: Sequence[str],
    frames: Sequence[int],
) -> None:
    from emogen.media.sheets import contact_sheet

    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(path, rows, labels, columns, frames=frames)
    print(path)


def main(argv: Sequence[str] | None = None) -> None:
    """Generate and write a sheet."""
    parser = argparse.ArgumentParser(prog="python -m emogen.embedded.sheet", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="a .png, .jpg or .webp file")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--blends", action="store_true", help="every blend of two of the eight")
    what.add_argument("--arcs", action="store_true", help="clips whose emotion changes")
    what.add_argument("--random", type=int, metavar="N", help="N random prompts, emotions and seeds, unlabelled")
    parser.add_argument("--prompt", nargs="+", default=list(PROMPTS), help="of the sheet of the eight")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    import torch

    from emogen.pipelines.loading import open_pipeline

    pipe = open_pipeline("embedded", "embedded", dtype="stored")

    def seeded(prompts: Sequence[str], asked: Sequence[str], seeds: Sequence[int]) -> list[np.ndarray]:
        clips: list[np.ndarray] = []
        for start in range(0, len(prompts), ROW):
            part = slice(start, start + ROW)
            generators = [torch.Generator().manual_seed(seed) for seed in seeds[part]]
            call = dict(emotion=list(asked[part]), generator=generators, output_type="np")
            clips += to_uint8(pipe(list(prompts[part]), **call).frames)
        return clips

    def sample(prompts: Sequence[str], asked: Sequence[str]) -> list[np.ndarray]:
        return seeded(prompts, asked, [args.seed] * len(prompts))

    if args.blends:
        blends(args.output, sample)
    elif args.arcs:
        arcs(args.output, sample)
    elif args.random:
        random_sheet(args.output, seeded, random_cells(args.random, args.seed))
    else:
        emotions(args.output, sample, args.prompt)


if __name__ == "__main__":
    main()
