"""Ingest: every file below a folder becomes a row, with what it is, or with why it cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emogen.curation.declared import declared
from emogen.curation.sequences import Sequence, make_clip, missing_numbers
from emogen.curation.stage import Row, Stage, StageError
from emogen.files import atomic
from emogen.media import VideoError, probe
from emogen.media.reader import open_clip


def ingest_stage(keep_audio: bool = True) -> Stage:
    """The stage; its rows come from `sources.SourceFiles`."""
    return Stage("ingest", 3, ingest, {"keep_audio": keep_audio}, key="source_key", there=_is_there)


def _is_there(row: Row, output: Path) -> bool:
    return "frames_from" not in row or _path(row).is_file()


def _path(row: Row) -> Path:
    return Path(row["source_folder"]) / row["source_path"]


def ingest(row: Row, settings: Mapping[str, Any], output: Path) -> list[Row]:
    """What the file is: kind, size, rate, frames, damage, alpha; its sound is kept as a file of its own.

    What the row says of the file already is not repeated.

    Raises:
        StageError: nothing of it can be read.
    """
    if row.get("unusable"):
        raise StageError(row["unusable"])
    path, numbers = _path(row), []
    if "frames_from" in row:
        sequence = Sequence.from_text(row["frames_from"])
        numbers = list(sequence.frames())
        make_clip(sequence, path)
    try:
        about = probe(path)
        with open_clip(path) as clip:
            frames, timing = clip.declared_frames, getattr(clip, "timing", None)
            first = next(iter(clip.frames(0.0)), None)
        says = declared(path)
    except (VideoError, OSError) as error:
        raise StageError(str(error).replace(f"{path}: ", "")) from error
    damaged = about.damaged
    if missing := missing_numbers(numbers):
        frames, damaged = numbers[-1] - numbers[0] + 1, f"truncated: pictures {missing} of the sequence are missing"
    return [
        {
            "kind": about.kind,
            "width": about.width,
            "height": about.height,
            "fps": about.fps or None,
            # of our own writing, which merges frames that are alike, the rate stands in the file
            "variable_rate": (timing is None and says.variable_rate) if about.kind == "video" else None,
            "rotation": says.rotation,
            "sample_aspect": says.sample_aspect,
            "codec": about.codec,
            "transfer": about.hdr or "SDR",
            "duration": about.duration,
            "frames_declared": frames,
            "frames_decoded": about.frames,
            "truncated": damaged is not None and (damaged.startswith("truncated") or about.frames < (frames or 0)),
            "damaged": damaged,
            "alpha": bool(first is not None and _has_alpha(first)),
            "has_audio": about.has_audio,
            "audio_file": _keep_audio(path, row, output) if about.has_audio and settings["keep_audio"] else None,
        }
    ]


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
