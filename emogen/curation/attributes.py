"""The stage that measures how clips look (`emogen.data.paper_look`), with hashes by which near-duplicates are found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.curation.stage import Row, Stage, StageError
from emogen.data.paper_look import attributes_of
from emogen.media import VideoError
from emogen.media.reader import open_clip

EVERY = 20
"""The paper samples each 20th coded frame, the first included."""


def attributes_stage() -> Stage:
    """The stage; its rows are clips."""
    return Stage("attributes", 1, attributes, {"every": EVERY})


def attributes(row: Row, settings: Mapping[str, Any], output: Path) -> list[Row]:
    """The attributes of a clip and its perceptual hash.

    Raises:
        StageError: the clip cannot be read.
    """
    path = Path(row["source_folder"]) / row["source_path"]
    sampled: list[np.ndarray] = []

    def kept() -> Iterator[tuple[np.ndarray, float]]:
        for frame, time in _each(path, row, settings["every"]):
            sampled.append(_small(frame))
            yield frame, time

    try:
        found = attributes_of(kept())
    except (VideoError, OSError, ValueError) as error:
        raise StageError(str(error)) from error
    three = [sampled[0], sampled[len(sampled) // 2], sampled[-1]]
    return [{"clip_id": row["clip_id"], **found.to_row(), "phash": "".join(map(_difference_hash, three))}]


def _each(path: Path, row: Row, every: int) -> Iterator[tuple[np.ndarray, float]]:
    """Each `every`-th coded frame of the clip's span, the first included, with alpha where the source has it. The other
    frames are decoded but not converted."""
    start, end, whole = float(row.get("start") or 0.0), row.get("end"), row.get("source_duration")
    ends = row.get("kind") == "video" and end is not None and (whole is None or float(end) < float(whole) - 1e-6)
    number = 0
    with open_clip(path) as clip:
        for shown in clip.frames(start):
            if shown.time < start - 1e-6:
                continue
            if ends and shown.time >= float(end) - 1e-6:
                return
            if number % every == 0:
                yield shown.pixels(), shown.time
            number += 1


def _small(frame: np.ndarray) -> np.ndarray:
    """Grey [8, 9], on white."""
    picture = Image.fromarray(frame)
    if frame.shape[-1] == 4:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)


def _difference_hash(grey: np.ndarray) -> str:
    """64 bits in hexadecimal: whether each place is brighter than its right neighbour."""
    return np.packbits(grey[:, :-1] > grey[:, 1:]).tobytes().hex()
