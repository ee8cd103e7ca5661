"""Export: the finished clips as a data set that `train_lora.py`, the judges and Hugging Face's VideoFolder read.

A clip that is its whole source is linked (or copied, where the file system cannot link). One that is a scene of a film
is cut out: decoded, encoded anew with every frame at its own time, and its sound copied beside it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from emogen.curation.stage import Row, StageError
from emogen.files import atomic, write_text
from emogen.media import VideoError, iterate_frames

METADATA = (
    "caption", "emotion", "intensity", "emotion_soft", "split", "domain", "label_kind", "agreement", "confidence",
    "clip_id", "group", "source_path", "start", "end", "license", "origin", "paper_hue", "paper_colourfulness",
    "paper_brightness",
)  # fmt: skip
"""The columns of the working table that go along, beside `file_name`."""
SHARD = 1 << 30
_TICK = Fraction(1, 90_000)
_CRF = "16"
_MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "opus", "alac")


def exportable(rows: Sequence[Row], soft: bool = False) -> tuple[list[Row], Counter[str]]:
    """The clips that can be learned from, and why the others are left out, counted.

    Args:
        rows: of the working table.
        soft: take the votes' mixture as the emotion where there is one, also without a majority.
    """
    kept, left_out = [], Counter()
    for row in rows:
        label = (row.get("emotion_soft") if soft else None) or row.get("emotion")
        if row.get("error"):
            left_out["failed"] += 1
        elif row.get("duplicate_of"):
            left_out["the same clip again"] += 1
        elif row.get("dropped"):
            left_out[f"dropped: {row['dropped']}"] += 1
        elif not label:
            left_out[f"no label: {row.get('no_label') or 'not labelled'}"] += 1
        else:
            kept.append({**row, "emotion": label})
    return kept, left_out


def export_folder(rows: Sequence[Row], folder: str | Path, done: Callable[[], Any] = lambda: None) -> list[str]:
    """Write the clips and `metadata.jsonl`. Clips that are there already are kept. Returns what could not be written.

    Args:
        rows: of `exportable`.
        done: called after every clip.
    """
    import json

    folder = Path(folder)
    lines, failed = [], []
    for row in sorted(rows, key=lambda row: (str(row.get("source_path")), row.get("order") or 0)):
        source = Path(row["source_folder"]) / row["source_path"]
        part = row.get("split") or "train"
        whole = _is_whole(row)
        name = f"{part}/{row['clip_id']}{source.suffix.lower() if whole else '.mp4'}"
        target = folder / name
        try:
            if not target.is_file():
                if whole:
                    _link(source, target)
                else:
                    cut_clip(source, float(row["start"]), float(row["end"]), target)
            values = {"file_name": name} | {k: row[k] for k in METADATA if row.get(k) is not None}
            values.setdefault("caption", "")
            if row.get("label_kind"):
                values["label_source"] = row["label_kind"]
            if row.get("split") == "benchmark":  # a part of its own here; elsewhere it is what must not be trained on
                values |= {"split": "test", "benchmark": True}
            lines.append(json.dumps(values, ensure_ascii=False))
        except (OSError, VideoError, StageError, av.FFmpegError) as error:
            failed.append(f"{row['clip_id']} ({row['source_path']}): {error}")
        done()
    write_text(folder / "metadata.jsonl", "".join(f"{line}\n" for line in lines))
    return failed


def write_shards(folder: str | Path, most: int = SHARD) -> list[Path]:
    """Pack an exported folder into WebDataset shards, `shards/PART-000000.tar`: of every clip `ID.mp4` (or its ending),
    `ID.txt` with the caption and `ID.json` with its metadata. Returns the shards.

    Args:
        most: bytes of clips a shard; a shard holds at least one.
    """
    import io
    import json
    import tarfile

    folder = Path(folder)
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").split("\n")
    parts: dict[str, list[dict[str, Any]]] = {}
    for line in filter(None, lines):
        row = json.loads(line)
        parts.setdefault(row["file_name"].partition("/")[0], []).append(row)
    made = []
    for part, rows in parts.items():
        groups: list[list[dict[str, Any]]] = []
        room = 0
        for row in rows:
            size = (folder / row["file_name"]).stat().st_size
            if not groups or size > room:
                groups.append([])
                room = most
            groups[-1].append(row)
            room -= size
        for number, group in enumerate(groups):
            path = folder / "shards" / f"{part}-{number:06d}.tar"
            with atomic(path) as temporary, tarfile.open(temporary, "w") as tar:
                for row in group:
                    clip = folder / row["file_name"]
                    tar.add(clip, f"{row['clip_id']}{clip.suffix}", recursive=False, filter=_nobody)
                    for ending, text in ((".txt", row["caption"]), (".json", json.dumps(row, ensure_ascii=False))):
                        content = text.encode()
                        info = tarfile.TarInfo(row["clip_id"] + ending)
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))
            made.append(path)
    return made


def _nobody(info: Any) -> Any:
    """Without who packed it when, so that the same clips give the same shard."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def _is_whole(row: Row) -> bool:
    return row.get("kind") != "video" or (row.get("detector") == "start" and _last_scene(row))


def _last_scene(row: Row) -> bool:
    whole = row.get("source_duration")
    return not row.get("start") and (whole is None or abs(float(row["end"]) - float(whole)) < 1e-3)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)


def cut_clip(source: str | Path, start: float, end: float, target: str | Path) -> int:
    """Cut a span out of a video into an MP4, frame by frame, so that memory does not grow with it.

    Every frame keeps its own time, so a variable rate stays one. Sound that MP4 can hold is copied as it is.

    Args:
        start, end: seconds; frames shown in [start, end) are taken.

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
                stream = _video_stream(sink, height, width)
                sound = _sound(sounding, sink, start, end)
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            shown = shown.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
            shown.pts, shown.time_base = round((time - start) / _TICK), _TICK
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


def _video_stream(sink: av.container.OutputContainer, height: int, width: int) -> Any:
    stream = sink.add_stream("libx264", rate=Fraction(30), options={"crf": _CRF, "preset": "veryfast"})
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
