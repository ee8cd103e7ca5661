"""The sticker artist's walk: from nothing to a set of one's own character, as docs/tutorials/artist.md tells it.

python benchmarks/walks/artist.py --work FOLDER [--pictures docs/pictures] [--quick]
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence

from walk import StepFailed, Walk, command_line, told


def quicker(command: str) -> str:
    """The same command with fewer steps, seeds and stickers."""
    if not command.startswith("emogen sample"):
        return command
    fewer = command.replace("--emotion all", "--emotion joy,fear").replace("--best_of 4", "--best_of 2")
    return f"{fewer} --steps 2 --num_frames 5"


def walk_on(walk: Walk) -> None:
    """A clip, the best of several, then the set for Telegram."""
    for step in told("artist"):
        walk.type(quicker(step.text) if walk.quick else step.text)
    clips = [walk.made(name)[0] for name in ("joy.webp", "fear.webp")]
    walk.strip(clips, "tutorial_character.webp")
    stickers = walk.made("set/*.webm", at_least=2 if walk.quick else 8)
    (archive,) = walk.made("set/*.zip")
    with zipfile.ZipFile(archive) as packed:
        missing = {path.name for path in stickers} - {name.rpartition("/")[2] for name in packed.namelist()}
    if missing:
        raise StepFailed(f"{archive.name} lacks {', '.join(sorted(missing))}")
    large = [path.name for path in stickers if path.stat().st_size > 256 * 1024]
    if large or len(json.loads(walk.made("set/set.json")[0].read_text())["stickers"]) != len(stickers):
        raise StepFailed(f"Telegram does not take {', '.join(large) or 'what set.json says'}")
    walk.keep(walk.made("set/*.png")[0], "set.webp")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    return command_line(__doc__, walk_on, argv)


if __name__ == "__main__":
    raise SystemExit(main())
