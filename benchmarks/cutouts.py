"""How clean cut-outs are: `python benchmarks/cutouts.py --clips 24 [--sheet cutouts.png]`.

Characters of the cast are drawn with their true alpha, laid on a ground of one colour, chosen against the character's
as `sample.py --transparent` chooses it, and cut out again. The ground is flat, noisy, lit from one side (a gradient),
or the clip is compressed as MP4 at a middling quality. Per frame: the mean absolute error of alpha over all pixels and
over those of the true edge, and the largest stray island, a connected part of at least half alpha where the character
and its effects are not. "effects dropped" is measured against the same character drawn without effects. Intervals are
bootstraps over clips. `--generated FILE.npz` looks for islands in clips from a model (uint8 `[n, F, H, W, 3]` under any
names): all parts but the body when effects are dropped, and parts of a single frame when they are kept.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from emogen.emotion import MIKELS
from emogen.media.pixels import lay_on, lay_on_checks
from emogen.media.reader import read_video
from emogen.media.sheets import contact_sheet
from emogen.media.writer import write_video
from emogen.stickers.cast import CastSpec, draw, random_spec
from emogen.stickers.ground import ground_against
from emogen.stickers.palette import BACKGROUNDS
from emogen.stickers.regions import label
from emogen.stickers.transparent import BackgroundError, key_background

WAYS = ("flat", "noisy", "gradient", "compressed")
ISLAND = 0.001
"""Share of a frame above which a stray part is one that people see."""


def spoiled(clip: np.ndarray, way: str, seed: int) -> np.ndarray:
    """A clip `(F, H, W, 3)` as a camera, a light or a codec would give it."""
    rng = np.random.default_rng(seed)
    if way == "noisy":
        return (clip + rng.normal(0, 4, clip.shape)).clip(0, 255).round().astype(np.uint8)
    if way == "gradient":
        height, width = clip.shape[1:3]
        angle = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]] - 0.5
        light = 1 + 0.12 * (np.cos(angle) * x + np.sin(angle) * y)
        return (clip * light[None, ..., None]).clip(0, 255).round().astype(np.uint8)
    if way == "compressed":
        with tempfile.TemporaryDirectory() as folder:
            return read_video(write_video(Path(folder) / "a.mp4", clip, 12, quality=60))[0]
    return clip


def errors(found: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Alpha's mean error, the same at the true edge, and the largest stray island as a share of the frame.

    Args:
        found, truth: alpha in [0, 1], `(F, H, W)`.
    """
    off = np.abs(found - truth)
    edge = (truth > 0.02) & (truth < 0.98)
    return float(off.mean()), float(off[edge].mean()) if edge.any() else 0.0, stray(found, truth)


def stray(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of the frame of the largest connected part (alpha at least 0.5) that touches nothing of the truth."""
    worst = 0
    for seen, real in zip(found >= 0.5, truth > 0.02, strict=True):
        parts = label(seen[None])[0]
        sizes = np.bincount(parts.ravel())
        sizes[np.unique(parts[real])] = 0
        sizes[0] = 0
        worst = max(worst, int(sizes.max()))
    return worst / found[0].size


def specs(count: int, seed: int = 0) -> Iterator[CastSpec]:
    """Characters of the whole cast, the eight in turn."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        yield replace(random_spec(rng, "train"), background="none", emotion=MIKELS[number % 8], intensity=1.0)


def drawn(args: argparse.Namespace) -> None:
    """Print the table, and write the sheet."""
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in (*WAYS, "effects dropped")}
    rows = []
    for number, spec in enumerate(specs(args.clips, args.seed)):
        truth = draw(spec, args.frames, args.size, 12)
        ground = BACKGROUNDS[args.ground or ground_against(f"a {spec.color} {spec.character}")]
        for way in WAYS:
            clip = spoiled(lay_on(truth, ground), way, number)
            try:
                keyed = key_background(clip)
            except BackgroundError as error:
                print(f"{spec.character}, {way}: {error}")
                keyed = np.concatenate([clip, np.full((*clip.shape[:3], 1), 255, np.uint8)], -1)
            found[way].append(errors(keyed[..., 3] / 255, truth[..., 3] / 255))
            if args.sheet and number < 10:
                rows.append([clip, lay_on_checks(keyed)])
        bare = draw(replace(spec, effects=False), args.frames, args.size, 12)
        keyed = key_background(lay_on(truth, ground), effects=False)
        found["effects dropped"].append(errors(keyed[..., 3] / 255, bare[..., 3] / 255))
        if args.sheet and number < 10:
            rows.append([lay_on(truth, ground), lay_on_checks(keyed)])
    print(
        "ground | alpha error [95 %] | at the edge | largest stray island, % of the frame | clips with one over 0.1 %"
    )
    rng = np.random.default_rng(0)
    for way, values in found.items():
        table = np.array(values)
        drawn_again = table[rng.integers(len(table), size=(2000, len(table))), 0].mean(1)
        low, high = np.percentile(drawn_again, [2.5, 97.5])
        print(f"{way} | {table[:, 0].mean():.4f} [{low:.4f}, {high:.4f}], worst {table[:, 0].max():.4f} | "
              f"{table[:, 1].mean():.3f} | {100 * table[:, 2].max():.3f} | "
              f"{(table[:, 2] > ISLAND).sum()} of {len(table)}")  # fmt: skip
    if args.sheet:
        contact_sheet(args.sheet, rows, [""] * len(rows), ["before", "after"], frames=(1, 3))


def generated(args: argparse.Namespace) -> None:
    """Islands in clips that have no true alpha."""
    clips = [clip for group in np.load(args.generated).values() for clip in (group if group.ndim == 5 else group[None])]
    counts = {"drop": 0, "keep": 0}
    refused, rows = 0, []
    for clip in clips:
        cells = [clip]
        for effects in counts:
            try:
                keyed = key_background(clip, effects=effects == "keep")
            except BackgroundError:
                refused += effects == "keep"
                continue
            counts[effects] += island_of(keyed[..., 3] / 255, lone=effects == "drop") > ISLAND
            cells.append(lay_on_checks(keyed))
        rows.append(cells)
    print(f"{len(clips)} clips, {refused} refused; with an island over 0.1 % of the frame: "
          f"{counts['drop']} with effects dropped, {counts['keep']} with effects kept")  # fmt: skip
    if args.sheet:
        whole = [row for row in rows if len(row) == 3]
        contact_sheet(args.sheet, whole, [""] * len(whole), ["before", "dropped", "kept"], frames=(3, 9))


def island_of(found: np.ndarray, lone: bool) -> float:
    """The largest part beside the character in a frame; without `lone` only parts that no neighbouring frame has."""
    seen = found >= 0.5
    worst = 0
    for index, frame in enumerate(seen):
        parts = label(frame[None])[0]
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        sizes[sizes.argmax()] = 0
        if not lone:
            near = np.zeros_like(frame)
            for other in (index - 1, index + 1):
                near |= seen[other] if 0 <= other < len(seen) else False
            sizes[np.unique(parts[near])] = 0
        worst = max(worst, int(sizes.max()))
    return worst / found[0].size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--ground", choices=tuple(BACKGROUNDS), help="the same for all (default: against the character)"
    )
    parser.add_argument("--generated", type=Path, metavar="FILE.npz")
    parser.add_argument("--sheet", type=Path, help="a picture of cut-outs on a checkerboard")
    args = parser.parse_args()
    (generated if args.generated else drawn)(args)


if __name__ == "__main__":
    main()
