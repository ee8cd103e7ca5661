"""Cutting: a clip that is a scene of a film becomes a file of its own.

The scene is decoded and encoded anew with every frame at its own time, and its sound copied beside it. It lies in the
output folder by its `clip_id`, which tells its contents, so that it is made once, however the set is split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from emogen.curation.stage import Row, Stage, StageError
from emogen.files import atomic
from emogen.media import VideoError, iterate_frames

CUTS = "cuts"
"""Folder of the scenes, below the output folder."""
_TICK = Fraction(1, 90_000)
_CRF = "16"
_MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "opus", "alac")


def cutting_stage() -> Stage:
    """The stage; its rows are clips that are no whole sources (see `whole_source`)."""
    return Stage("cut", 1, cut, {"crf": _CRF}, timeout=1800.0, there=_is_there)


def cut(row: Row, settings: Mapping[str, Any], output: Path) -> list[Row]:
    """Cut a clip out of its source.

    Raises:
        StageError: the source cannot be read, or has no frame there.
    """
    source = Path(row["source_folder"]) / row["source_path"]
    try:
        target = cut_path(row, output / CUTS)
        frames = cut_clip(source, float(row["start"]), float(row["end"]), target, row.get("fps"))
    except (VideoError, OSError, av.FFmpegError) as error:
        raise StageError(str(error)) from error
    return [{"clip_id": row["clip_id"], "frames_cut": frames}]


def cut_path(row: Row, cuts: str | Path) -> Path:
    """Where a clip lies when it is cut out.

    Args:
        cuts: the folder of the scenes.
    """
    return Path(cuts) / f"{row['clip_id']}.mp4"


def _is_there(row: Row, output: Path) -> bool:
    return cut_path(row, output / CUTS).is_file()


def whole_source(row: Row) -> Path | None:
    """The source of a clip that is all of it; None for a scene among others."""
    whole = row.get("source_duration")
    alone = row.get("kind") != "video" or (
        row.get("detector") == "start"
        and not row.get("start")
        and (whole is None or abs(float(row["end"]) - float(whole)) < 1e-3)
    )
    return Path(row["source_folder"]) / row["source_path"] if alone else None


def cut_clip(source: str | Path, start: float, end: float, target: str | Path, fps: float | None = None) -> int:
    """Cut a span out of a video into an MP4, frame by frame, so that memory does not grow with it.

    Every frame keeps its own time, so a variable rate stays one. Sound that MP4 can hold is copied as it is.

    Args:
        start, end: seconds; frames shown in [start, end) are taken.
        fps: the source's mean rate.

    Returns:
        How many frames were written.

    Raises:
        StageError: no frame lies in the span.
        VideoError, OSError: the source cannot be read, or the target not written.
    """
    count = 0
    with atomic(target) as temporary, av.open(str(temporary), "w") as sink, av.open(str(source)) as sounding:
        stream, sound = None, iter(())
        for frame, time in iterate_frames(source, start=start):
            if time >= end - 1e-6:
                break
            if stream is None:
                height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
                stream = video_stream(sink, height, width, _CRF, fps)
                sound = _sound(sounding, sink, start, end)
            shown = picture_of(frame[:height, :width], time - start)
            for packet in sound:
                sink.mux(packet)
                if packet.pts * packet.time_base > time - start:
                    break
            sink.mux(stream.encode(shown))
            count += 1
        if stream is None:
            raise StageError(f"no frame of {source} lies between {start:g} and {end:g} s")
        for packet in sound:
            sink.mux(packet)
        sink.mux(stream.encode(None))
    return count


def picture_of(pixels: np.ndarray, time: float) -> av.VideoFrame:
    """A frame for `video_stream`.

    Args:
        pixels: uint8 `(H, W, 3)` of even sides.
        time: seconds after the clip's beginning.
    """
    shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    shown = shown.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
    shown.pts, shown.time_base = round(time / _TICK), _TICK
    return shown


def video_stream(
    sink: av.container.OutputContainer, height: int, width: int, crf: str, fps: float | None = None
) -> Any:
    """An H.264 stream in which every frame has a time of its own, with BT.709's matrix.

    Args:
        fps: the mean rate, which says how long the last frame is shown; None: 30.
    """
    rate = Fraction(fps or 30).limit_denominator(10_000)
    stream = sink.add_stream("libx264", rate=rate, options={"crf": crf, "preset": "veryfast"})
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.time_base = stream.codec_context.time_base = _TICK
    stream.codec_context.colorspace = stream.codec_context.color_primaries = 1  # BT.709
    stream.codec_context.color_trc, stream.codec_context.color_range = 1, 1
    return stream


def _sound(source: av.container.InputContainer, sink: av.container.OutputContainer, start: float, end: float) -> Any:
    """The packets of the span's sound, their times counted from its start."""
    given = source.streams.audio[0] if source.streams.audio else None
    if given is None or given.codec_context.name not in _MP4_SOUND:
        return iter(())
    made = sink.add_stream_from_template(given)

    def packets() -> Iterator[av.Packet]:
        source.seek(int(start / given.time_base), stream=given)
        offset = round(start / given.time_base)
        for packet in source.demux(given):
            if packet.pts is None or packet.dts is None or packet.pts < offset:
                continue
            if packet.pts * given.time_base >= end:
                return
            packet.pts, packet.dts, packet.stream = packet.pts - offset, packet.dts - offset, made
            yield packet

    return packets()
