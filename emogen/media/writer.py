"""Clips into files: MP4, WebM, GIF, WebP and APNG, with what made them inside.

A file appears under its name only when it is whole: it is written beside it, read back, and brought to the disk before
it takes the name. MP4 and WebM are encoded with BT.709's matrix and say so, for a file of 720 lines that says nothing
is shown with other colours than a small one.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from emogen.files import atomic
from emogen.media.limits import VideoError
from emogen.media.metadata import Timing, pack
from emogen.media.pictures import thinned, write_images
from emogen.media.pixels import lay_on, spread_under

VIDEO = (".mp4", ".webm")
WRITABLE = (*VIDEO, ".gif", ".webp", ".apng", ".png")
_LARGEST_SIDE = {".mp4": 16384, ".webm": 16384, ".webp": 16383}
_LARGEST_IMAGE_SIDE = 65535
_LONGEST_NAME = 255  # bytes, on every usual file system
_BT709, _VIDEO_RANGE = 1, 1


class WriteError(OSError):
    """A file could not be written; what had its name before is still there."""


def check_writable(path: str | Path) -> Path:
    """The path, when its ending is one that `write_video` knows.

    Raises:
        VideoError: another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        what = path.suffix or "a file without ending"
        raise VideoError(f"{path}: cannot write {what!r}; use one of {', '.join(WRITABLE)}")
    return path


def check_output(
    path: str | Path,
    *,
    height: int | None = None,
    width: int | None = None,
    fps: float | None = None,
    transparent: bool = False,
) -> Path:
    """Refuse what `write_video` could not do, before anything is made; leaves nothing behind.

    Args:
        height, width, fps: of the clip, as far as they are known.
        transparent: whether it will have alpha that must be kept.

    Raises:
        VideoError: the ending, the name, the folder, the size or the rate is not possible; the message says which.
    """
    path = check_writable(path)
    ending = path.suffix.lower()
    _check_name(path)
    _check_folder(path)
    if transparent and ending == ".mp4":
        raise VideoError(f"{path}: MP4 has no transparency; use .webm, .webp, .apng, .png or .gif")
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise VideoError(f"{path}: fps is {fps}; it must be positive")
    most = _LARGEST_SIDE.get(ending, _LARGEST_IMAGE_SIDE)
    for name, side in (("height", height), ("width", width)):
        if side is not None and not 1 <= side <= most:
            raise VideoError(f"{path}: a {name} of {side} pixels is not possible; {ending} takes 1 to {most}")
    return path


def _check_name(path: Path) -> None:
    name = path.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise VideoError(f"{name[:40]}...: a name of {len(os.fsencode(name))} bytes is too long; use {_LONGEST_NAME}")
    if bad := sorted({char for char in name if char == ":" or ord(char) < 32 or ord(char) == 127}):
        raise VideoError(f"the name {name!r} holds {bad[0]!r}, which not every system can store; leave it out")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise VideoError(f"the name {name!r} is not text; write another") from None


def _check_folder(path: Path) -> None:
    if path.is_dir():
        raise VideoError(f"{path}: is a folder; give a file name")
    folder = path.parent
    while not folder.exists():
        if len(os.fsencode(folder.name)) > _LONGEST_NAME:
            raise VideoError(f"{path}: its folder's name is too long")
        folder = folder.parent
    if not folder.is_dir():
        raise VideoError(f"{path}: {folder} is a file, not a folder; choose another place")
    try:  # what permissions say does not hold for root, a full disk, or a folder that is none (/proc)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        why = f" ({error.strerror})" if error.strerror else ""
        raise VideoError(f"{path}: the folder {folder} cannot be written to{why}; choose another place") from None


def write_video(
    path: str | Path,
    frames: np.ndarray,
    fps: float,
    metadata: Mapping[str, Any] | None = None,
    *,
    quality: int = 90,
    colours: int | None = None,
    background: tuple[int, int, int] = (255, 255, 255),
) -> Path:
    """Write a clip by the ending of its name, atomically; animated images loop for ever.

    Alpha is kept by WebM and WebP, by APNG and PNG, and as all or nothing (from 128) by GIF. MP4 has none: there the
    clip is laid on `background`. MP4 also needs even sizes: an odd one grows by a repeated row or column. A GIF shows
    at most 50 frames a second, WebP and APNG 90; a faster clip is thinned to that. `emogen.stickers.output.write_clip`
    says in words what became of a clip.

    Args:
        path: ending in .mp4, .webm (VP9), .gif, .webp, .apng or .png (which is animated too); folders are made.
        frames: uint8 `(F, H, W, 3 or 4)`.
        metadata: what made the clip; kept inside the file as JSON and read back by `read_metadata`.
        quality: 0-100, for WebP, WebM and MP4.
        colours: 4-256, for GIF (256 when None), APNG and PNG (all colours when None).
        background: sRGB 0-255, for MP4.

    Raises:
        VideoError: an ending, name, folder or size that is not possible, frames of another form, a rate that is not
            positive, or metadata with the key `_clip`.
        ValueError: a number of colours outside 4-256.
        WriteError: the disk is full, or the file could not be written for another reason; nothing is left.
    """
    frames = np.asarray(frames)
    path = Path(path)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] not in (3, 4) or not len(frames):
        raise VideoError(f"{path}: frames must be uint8 (F, H, W, 3 or 4), not {frames.dtype} {frames.shape}")
    path = check_output(path, height=frames.shape[1], width=frames.shape[2], fps=fps)
    ending = path.suffix.lower()
    if ending not in VIDEO:
        frames, fps = thinned(frames, fps, ending)
    text = pack(metadata, None if ending in VIDEO else Timing(len(frames), float(fps)), path)
    try:
        with atomic(path) as temporary:
            if ending in VIDEO:
                _write_container(temporary, frames, fps, text, quality, background)
                _check_whole(temporary, len(frames))
            else:
                write_images(temporary, frames, fps, text, quality, colours)
    except (OSError, av.FFmpegError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise WriteError(
            f"{path}: cannot be written ({why}); free some space or choose another place. "
            "What had the name before is unchanged"
        ) from error
    return path


def _write_container(
    path: Path, frames: np.ndarray, fps: float, text: str | None, quality: int, background: tuple[int, int, int]
) -> None:
    webm = path.suffix.lower() == ".webm"
    alpha = webm and frames.shape[-1] == 4
    if webm:
        codec, pixels = "libvpx-vp9", "yuva420p" if alpha else "yuv420p"
        # Alternate reference frames and an alpha stream exclude each other in libvpx.
        options = {"crf": str(round(60 - 0.5 * quality)), "b": "0", "auto-alt-ref": "0", "deadline": "good",
                   "cpu-used": "4", "row-mt": "1"}  # fmt: skip
        frames = spread_under(frames) if alpha else frames
    else:
        codec, pixels, options = "libx264", "yuv420p", {"crf": str(round(40 - 0.27 * quality))}
        frames = lay_on(frames, background)
        frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    rate = Fraction(fps).limit_denominator(10_000)
    muxer = {} if webm else {"movflags": "+faststart+use_metadata_tags"}
    with av.open(str(path.absolute()), "w", format="webm" if webm else "mp4", container_options=muxer) as file:
        if text is not None:
            file.metadata["comment"] = text
        stream = file.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _VIDEO_RANGE
        context.time_base = 1 / rate
        convert = VideoReformatter()
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgba" if alpha else "rgb24")
            picture = convert.reformat(picture, format=pixels, dst_colorspace=_BT709, dst_color_range=_VIDEO_RANGE,
                                       interpolation=Interpolation.BICUBIC)  # fmt: skip
            picture.pts, picture.time_base = index, 1 / rate
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))


def _check_whole(path: Path, count: int) -> None:
    """Raises OSError when a muxer kept silent about what did not get onto the disk."""
    with av.open(str(path.absolute())) as file:
        stream = file.streams.video[0]
        found = sum(packet.size > 0 and not packet.is_corrupt for packet in file.demux(stream))
    if found != count:
        raise OSError(f"{found} of {count} frames are in the file")
