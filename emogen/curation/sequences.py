"""Image sequences: numbered pictures in a folder that are the frames of one clip.

Such pictures become a file in the output folder, so that every later stage has a clip like others: H.264, or animated
WebP without loss where a picture can be transparent.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.curation.stage import StageError
from emogen.files import atomic, fingerprint_bytes, fingerprint_file
from emogen.media import VideoError, read_picture, write_video
from emogen.media.limits import DEFAULT_LIMITS

MADE = "sequences"
"""Folder of the clips made, below the output folder."""
_NUMBERED = re.compile(r"(.*?)(\d{1,12})(\.(?:png|jpe?g|bmp|tiff?|webp))", re.IGNORECASE | re.DOTALL)
_CRF = "12"


@dataclass(frozen=True)
class Sequence:
    """Pictures `folder/PREFIX<number>SUFFIX`, shown at `fps` a second in the order of their numbers."""

    folder: str
    prefix: str
    suffix: str
    fps: float

    @classmethod
    def from_text(cls, text: str) -> Sequence:
        """Of what `to_text` made."""
        return cls(**json.loads(text))

    def to_text(self) -> str:
        """As it stands in the table."""
        return json.dumps(asdict(self))

    def frames(self) -> dict[int, Path]:
        """Number -> picture, in order.

        Raises:
            StageError: two pictures have one number, such as 1 and 01.
        """
        found: dict[int, Path] = {}
        for name in sorted(os.listdir(self.folder)):
            parts = _NUMBERED.fullmatch(name)
            if parts and (parts[1], parts[3]) == (self.prefix, self.suffix):
                number = int(parts[2])
                if number in found:
                    raise StageError(f"{found[number].name} and {name} are both number {number}")
                found[number] = Path(self.folder) / name
        return dict(sorted(found.items()))

    def fingerprint(self) -> str:
        """Of the pictures' contents, in order, and the rate."""
        lines = [f"{number} {fingerprint_file(path)}" for number, path in self.frames().items()]
        return fingerprint_bytes("\n".join([f"fps {self.fps:g}", *lines]).encode())

    def ending(self) -> str:
        """Of the clip that is made: ".webp" if a picture says that it can be transparent, else ".mp4"."""
        return ".webp" if any(map(_can_be_transparent, self.frames().values())) else ".mp4"


def numbered(names: Iterable[str]) -> Mapping[tuple[str, str], list[str]]:
    """(prefix, suffix) -> the names of a folder that are numbered pictures, where there are two or more."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if parts := _NUMBERED.fullmatch(name):
            found.setdefault((parts[1], parts[3]), []).append(name)
    return {key: names for key, names in found.items() if len(names) > 1}


def missing_numbers(numbers: Iterable[int]) -> str | None:
    """What lies between the first and the last number and is not there, in words."""
    gaps = [(before + 1, after - 1) for before, after in pairwise(numbers) if after - before > 1]
    if not gaps:
        return None
    said = [f"{first}" if first == last else f"{first} to {last}" for first, last in gaps]
    return f"{', '.join(said[:5])}{' ...' if len(said) > 5 else ''}"


def make_clip(sequence: Sequence, target: Path) -> None:
    """Write the pictures as a clip. A number that is missing takes no time.

    Raises:
        StageError: a picture cannot be read, is of another size than the first, or the clip cannot be written.
    """
    try:
        if target.suffix == ".webp":
            frames = list(_pictures(sequence, "RGBA"))
            DEFAULT_LIMITS.check_memory(target, len(frames), frames[0].nbytes)
            write_video(target, np.stack(frames), sequence.fps, quality=100)
        else:
            _encode(sequence, target)
    except (VideoError, OSError) as error:
        raise StageError(str(error)) from error


def _pictures(sequence: Sequence, mode: str) -> Iterator[np.ndarray]:
    size = None
    for path in sequence.frames().values():
        picture = read_picture(path)
        size = size or picture.size
        if picture.size != size:
            raise StageError(
                f"{path.name} is of {picture.size[0]}x{picture.size[1]} pixels, the first of {size[0]}x{size[1]}"
            )
        yield np.asarray(picture.convert(mode))


def _encode(sequence: Sequence, target: Path) -> None:
    import av

    from emogen.curation.cutting import picture_of, video_stream

    with atomic(target) as temporary, av.open(str(temporary), "w") as sink:
        stream: Any = None
        for number, pixels in enumerate(_pictures(sequence, "RGB")):
            pixels = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
            stream = stream or video_stream(sink, *pixels.shape[:2], _CRF, sequence.fps)
            sink.mux(stream.encode(picture_of(pixels, number / sequence.fps)))
        sink.mux(stream.encode(None))


def _can_be_transparent(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # reading it will say why
