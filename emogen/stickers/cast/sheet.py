"""A sheet of the cast, to look at: every character in every emotion, or one clip frame by frame.

python -m emogen.stickers.cast.sheet --output cast.png
python -m emogen.stickers.cast.sheet --output sketch.png --style sketch --characters cat,dog --no_effects
python -m emogen.stickers.cast.sheet --output blends.png --characters round --blends
python -m emogen.stickers.cast.sheet --output weak.png --characters cat --intensities
python -m emogen.stickers.cast.sheet --output clip.png --characters cat --emotion "0:fear 1:awe"
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emogen.emotion import MIKELS
from emogen.stickers.cast.colors import COLORS
from emogen.stickers.cast.draw import draw
from emogen.stickers.cast.roster import CHARACTERS
from emogen.stickers.cast.spec import CastSpec
from emogen.stickers.cast.styles import STYLES

EMOTIONS = ("neutral", *MIKELS)
_FLOORS = ("white", "yellow", "pink", "blue", "green", "purple", "orange", "gray")


def rows_of(args: argparse.Namespace) -> list[list[CastSpec]]:
    """The specs of the sheet, row by row."""
    rows: list[list[CastSpec]] = []
    names = args.characters.split(",") if args.characters else list(CHARACTERS)
    for number, name in enumerate(names):
        color = args.color or CHARACTERS[name].colors[0]
        floor = args.background or next(f for f in _FLOORS[number % 8 :] + _FLOORS if f != color)
        style = args.style or list(STYLES)[number % len(STYLES)]
        base = CastSpec(name, color, style, floor, args.accessory, seed=args.seed + number, effects=not args.no_effects)
        if args.emotion:
            rows.append([replace(base, emotion=args.emotion)])
        elif args.blends:
            rows += [[replace(base, emotion=a if a == b else f"{a}:0.5+{b}:0.5") for b in MIKELS] for a in MIKELS]
        elif args.intensities:
            rows += [[replace(base, emotion=e, intensity=i) for i in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)] for e in MIKELS]
        else:
            rows.append([replace(base, emotion=e) for e in EMOTIONS])
    return rows


def laid_out(cells: list[list[np.ndarray]], heads: Sequence[str] | None, blocks: int) -> Image.Image:
    """The rows below each other, in `blocks` next to each other, with the columns' names above."""
    size, per_block = cells[0][0].shape[0], -(-len(cells) // blocks)
    header = 18 if heads else 0
    width = len(cells[0]) * size
    picture = Image.new("RGB", (width * blocks, header + per_block * size), (250, 250, 250))
    draw_on, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for number, row in enumerate(cells):
        block, line = divmod(number, per_block)
        for column, cell in enumerate(row):
            picture.paste(Image.fromarray(cell).convert("RGB"), (block * width + column * size, header + line * size))
            if heads and line == 0:
                x = block * width + (column + 0.5) * size
                draw_on.text((x, header / 2), heads[column], (40, 40, 50), font, anchor="mm")
    return picture


def main(argv: Sequence[str] | None = None) -> None:
    """Draw and write a sheet."""
    parser = argparse.ArgumentParser(prog="python -m emogen.stickers.cast.sheet", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="a .png or .jpg file")
    parser.add_argument("--size", type=int, default=112, help="pixels of a cell")
    parser.add_argument("--frame", type=int, default=5, help="which frame of the clip a cell shows")
    parser.add_argument("--characters", help="names with commas; default: all")
    parser.add_argument("--style", choices=list(STYLES), help="default: in turn")
    parser.add_argument("--color", choices=list(COLORS), help="default: each character's own")
    parser.add_argument("--background", help="default: in turn")
    parser.add_argument("--accessory", default="none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no_effects", action="store_true", help="faces and bodies alone")
    parser.add_argument("--blends", action="store_true", help="every blend of two emotions, in equal parts")
    parser.add_argument("--intensities", action="store_true", help="each emotion from nothing to full")
    parser.add_argument("--blocks", type=int, default=1, help="blocks of rows next to each other")
    parser.add_argument("--emotion", help="all frames of a clip of this emotion or arc")
    args = parser.parse_args(argv)
    rows = rows_of(args)
    if args.emotion:
        cells = [list(draw(row[0], 13, args.size)) for row in rows]
    else:
        cells = [[draw(spec, args.frame + 1, args.size)[-1] for spec in row] for row in rows]
    heads = EMOTIONS if cells[0] and len(cells[0]) == len(EMOTIONS) and not args.emotion else None
    args.output.parent.mkdir(parents=True, exist_ok=True)
    laid_out(cells, heads, args.blocks).save(args.output, quality=82)
    print(args.output)


if __name__ == "__main__":
    main()
