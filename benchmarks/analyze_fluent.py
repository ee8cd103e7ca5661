"""The animated Fluent emoji as a labelled table that `emogen analyze` reads.

    npm pack @lobehub/fluent-emoji-anim-1 ... -4           # into ART
    python benchmarks/analyze_fluent.py ART SET            # SET/clips.parquet, about a minute
    emogen analyze SET --output_dir PAGE

Labels are the reviewed table's; the group is the code point; a skin tone or a neutral emoji is left out. The attributes
are those of `emogen data attributes`.
"""

from __future__ import annotations

import argparse
import tarfile
from pathlib import Path

import pyarrow.parquet as parquet

from emogen.curation.attributes import EVERY, attributes
from emogen.curation.columns import as_table
from emogen.files import atomic
from emogen.media.reader import open_clip
from emogen.stickers.fluent import FluentEmoji, find_emoji


def row_of(emoji: FluentEmoji, folder: Path) -> dict:
    """A row of the working table, the art beside it in `folder`."""
    path = folder / f"{emoji.codepoint}.webp"
    if emoji.member:
        with tarfile.open(emoji.location) as tar:
            path.write_bytes(tar.extractfile(emoji.member).read())
    else:
        path.write_bytes(emoji.location.read_bytes())
    with open_clip(path) as clip:
        times = [frame.time for frame in clip.frames()]
    row = {
        "clip_id": emoji.codepoint, "source_path": path.name, "source_folder": str(folder), "domain": "sticker",
        "group": emoji.codepoint.split("-")[0], "license": "MIT", "caption": emoji.caption, "emotion": emoji.emotion,
        "label_kind": "human", "kind": "video" if len(times) > 1 else "image", "split": emoji.split,
        "duration": times[-1] * len(times) / max(len(times) - 1, 1), "caption_by": "fluent_table.csv",
    }  # fmt: skip
    return {**row, **attributes(row, {"every": EVERY}, folder)[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("art", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    folder = args.output / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row_of(emoji, folder) for emoji in find_emoji(args.art) if emoji.expressive]
    with atomic(args.output / "clips.parquet") as temporary:
        parquet.write_table(as_table(rows), temporary)
    print(f"{len(rows)} emoji: {args.output / 'clips.parquet'}")


if __name__ == "__main__":
    main()
