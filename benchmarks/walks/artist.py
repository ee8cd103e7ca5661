"""The sticker artist's walk: from nothing to a sticker set.

python benchmarks/walks/artist.py --work FOLDER
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence

from walk import StepFailed, Walk, command_line

PROMPT = "a flat sticker of a round yellow face on a white background"


def walk_on(walk: Walk) -> None:
    """One clip, then the set for Telegram."""
    fewer = " --steps 2" if walk.quick else ""
    emotions = '"joy, fear"' if walk.quick else "all"
    count = 2 if walk.quick else 8
    walk.type(f'emogen sample --emotion joy --prompt "{PROMPT}" --seed 1{fewer} --output joy.webp')
    walk.made("joy.webp")
    set_of = f"--emotion {emotions} --platform telegram --transparent --seed 1{fewer} --output_dir set"
    walk.type(f'emogen sample {set_of} --prompt "{PROMPT}"')
    stickers = walk.made("set/*.webm", at_least=count)
    (archive,) = walk.made("set/*.zip")
    with zipfile.ZipFile(archive) as packed:
        missing = {path.name for path in stickers} - {name.rpartition("/")[2] for name in packed.namelist()}
    if missing:
        raise StepFailed(f"{archive.name} lacks {', '.join(sorted(missing))}")
    (sheet,) = walk.made("set/*.png")
    if not walk.quick:
        walk.keep(sheet, "set.webp")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    return command_line(__doc__, walk_on, argv)


if __name__ == "__main__":
    raise SystemExit(main())
