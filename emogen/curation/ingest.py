"""Ingest: every file below a folder becomes a row, with what it is, or with why it cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from emogen.curation.stage import Row, Stage, StageError
from emogen.files import atomic
from emogen.media import VideoError, probe
from emogen.media.reader import open_clip


def ingest_stage(keep_audio: bool = True) -> Stage:
    """The stage; its rows come from `sources.SourceFiles`."""
    return Stage("ingest", 3, ingest, {"keep_audio": keep_audio}, key="source_key")


def ingest(row: Row, settings: Mapping[str, Any], output: Path) -> list[Row]:
    """What the file is: kind, size, rate, frames, damage, alpha; its sound is kept as a file of its own.

    What the row says of the file already is not repeated.

    Raises:
        StageError: nothing of it can be read.
    """
    if row.get("unusable"):
        raise StageError(row["unusable"])
    path = Path(row["source_folder"]) / row["source_path"]
    try:
        about = probe(path)
        with open_clip(path) as clip:
            declared = clip.declared_frames
            first = next(iter(clip.frames(0.0)), None)
    except (VideoError, OSError) as error:
        raise StageError(str(error).replace(f"{path}: ", "")) from error
    return [
        {
            "kind": about.kind,
            "width": about.width,
            "height": about.height,
            "fps": about.fps or None,
            "variable_rate": _varies(path) if about.kind == "video" else None,
            "duration": about.duration,
            "frames_declared": declared,
            "frames_decoded": about.frames,
            "truncated": about.damaged is not None and about.damaged.startswith("truncated"),
            "damaged": about.damaged,
            "alpha": bool(first is not None and _has_alpha(first)),
            "has_audio": about.has_audio,
            "audio_file": _keep_audio(path, row, output) if about.has_audio and settings["keep_audio"] else None,
        }
    ]


def _varies(path: Path) -> bool | None:
    """Whether frames come at unequal times, by the stamps of the packets, which are not decoded; None for animated
    pictures. Stamps are rounded to the container's grain: less than two of these is no difference."""
    import av

    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            grain = 2 * float(stream.time_base) + 1e-6
            stamps = sorted(float(p.pts * p.time_base) for p in file.demux(stream) if p.pts is not None)
    except (av.FFmpegError, IndexError, ValueError):
        return None
    gaps = [after - before for before, after in pairwise(stamps)]
    return bool(gaps) and max(gaps) - min(gaps) > grain


def _has_alpha(shown: Any) -> bool:
    pixels = shown.pixels()
    return pixels.shape[-1] == 4 and bool((pixels[..., 3] < 255).any())


def _keep_audio(path: Path, row: Row, output: Path) -> str | None:
    """The sound as it is, not encoded again, in a Matroska file, which holds every kind. Returns its name."""
    import av

    name = f"audio/{row['source_sha256'][:32]}.mka"
    target = output / name
    if target.is_file():
        return name
    try:
        with atomic(target) as temporary, av.open(str(path)) as source, av.open(str(temporary), "w") as sink:
            given = source.streams.audio[0]
            made = sink.add_stream_from_template(given)
            for packet in source.demux(given):
                if packet.dts is not None:
                    packet.stream = made
                    sink.mux(packet)
    except (av.FFmpegError, ValueError, IndexError):
        return None  # a picture without its sound is still a clip; `has_audio` says that there was some
    return name
