"""Clips in and out of files: MP4, GIF, WebP, APNG and still images, with what made them written inside.

Animated images go through Pillow, which keeps alpha and per-frame durations; MP4 goes through imageio's ffmpeg, whose
binary comes with the package. Writing is atomic: a file appears under its name only when it is whole.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

ANIMATED = (".gif", ".webp", ".apng", ".png")
VIDEO = (".mp4", ".mov", ".mkv", ".webm", ".m4v")
WRITABLE = (".mp4", ".gif", ".webp", ".apng", ".png")
METADATA_KEY = "emogen"
_EXIF_DESCRIPTION = 0x010E
_DEFAULT_FPS = 10.0


class VideoError(ValueError):
    """A file cannot be read or written as a clip; the message names it."""


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


def read_video(path: str | Path, alpha: bool = False) -> tuple[np.ndarray, float]:
    """Frames uint8 `(F, H, W, 3)`, or `(F, H, W, 4)` with `alpha`, and frames a second.

    Frames of unequal durations are repeated onto a regular grid of the shortest one. Without `alpha`, transparent
    parts lie on white. A still image is one frame at 1 frame a second.

    Raises:
        FileNotFoundError: no such file.
        VideoError: an unknown ending, or a file that cannot be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no video file {path}")
    ending = path.suffix.lower()
    try:
        if ending in VIDEO:
            frames, fps = _read_ffmpeg(path)
            if alpha:
                frames = np.concatenate([frames, np.full_like(frames[..., :1], 255)], axis=-1)
            return frames, fps
        if ending in (*ANIMATED, ".jpg", ".jpeg", ".bmp"):
            return _read_pillow(path, alpha)
    except VideoError:
        raise
    except Exception as error:  # decoders raise all sorts; what counts is which file
        raise VideoError(f"{path}: cannot be decoded ({type(error).__name__}: {error})") from error
    raise VideoError(f"{path}: cannot read {ending or 'a file without ending'!r}; use {', '.join((*VIDEO, *ANIMATED))}")


@dataclass(frozen=True)
class VideoInfo:
    """What a clip is like: frames, frames a second, height and width in pixels."""

    num_frames: int
    fps: float
    height: int
    width: int

    def frames_at(self, fps: float) -> int:
        """Frames after `resample_frames` to another rate; a still image stays one."""
        return 1 if self.num_frames == 1 else max(1, round(self.num_frames * fps / self.fps))


def probe_video(path: str | Path) -> VideoInfo:
    """What a clip is like, without decoding more than its header where that says it.

    Raises:
        FileNotFoundError: no such file.
        VideoError: it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() not in VIDEO:
        frames, fps = read_video(path)  # durations of a WebP are known only after decoding
        return VideoInfo(len(frames), fps, *frames.shape[1:3])
    if not path.is_file():
        raise FileNotFoundError(f"no video file {path}")
    import imageio.v3 as iio

    try:
        about = iio.immeta(path, plugin="FFMPEG")
        width, height = about["size"]
        count, fps = round(about["duration"] * about["fps"]), float(about["fps"])
    except Exception as error:  # decoders raise all sorts; what counts is which file
        raise VideoError(f"{path}: cannot be decoded ({type(error).__name__}: {error})") from error
    if about.get("rotate") in (90, 270, -90):
        width, height = height, width
    return VideoInfo(max(1, count), fps, height, width)


def _read_ffmpeg(path: Path) -> tuple[np.ndarray, float]:
    import imageio.v3 as iio

    fps = float(iio.immeta(path, plugin="FFMPEG").get("fps") or _DEFAULT_FPS)
    frames = iio.imread(path, plugin="FFMPEG")
    if not len(frames):
        raise VideoError(f"{path}: has no frames")
    return np.asarray(frames)[..., :3], fps


def _read_pillow(path: Path, alpha: bool) -> tuple[np.ndarray, float]:
    frames, durations = [], []
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()  # the duration of a WebP frame is known only after decoding
            durations.append(float(image.info.get("duration") or 1000 / _DEFAULT_FPS))
            rgba = np.asarray(image.convert("RGBA"))
            frames.append(rgba if alpha else _on_white(rgba))
    if len(frames) == 1:
        return np.stack(frames), 1.0
    step = min(durations)
    if max(durations) - step < 1.5:  # GIF and APNG round to hundredths
        return np.stack(frames), 1000.0 * len(durations) / sum(durations)
    ends = np.cumsum(durations)
    times = np.arange(0, ends[-1] - step / 2, step)
    return np.stack(frames)[np.searchsorted(ends, times + 1e-6, side="right").clip(max=len(frames) - 1)], 1000.0 / step


def _on_white(rgba: np.ndarray) -> np.ndarray:
    share = rgba[..., 3:].astype(np.float32) / 255
    return (rgba[..., :3] * share + 255 * (1 - share)).round().astype(np.uint8)


def resample_frames(frames: np.ndarray, src_fps: float, dst_fps: float, num_frames: int | None = None) -> np.ndarray:
    """Bring frames to another rate by taking the nearest in time.

    Args:
        frames: `(F, ...)`.
        num_frames: stop after so many; None gives the whole length.

    Returns:
        `(F', ...)`, the first frame first.

    Raises:
        ValueError: a rate that is not positive.
    """
    if src_fps <= 0 or dst_fps <= 0:
        raise ValueError(f"frame rates must be positive, not {src_fps:g} and {dst_fps:g}")
    count = max(1, round(len(frames) * dst_fps / src_fps))
    rows = np.floor(np.arange(count) * src_fps / dst_fps + 0.5 - 1e-6).astype(int).clip(0, len(frames) - 1)
    return frames[rows[:num_frames]]


def enlarge(frames: np.ndarray, min_side: int) -> np.ndarray:
    """Enlarge frames `(F, H, W, C)` by a whole factor until the shorter side is at least `min_side`; never shrinks.

    Lanczos, for stickers are smooth; a whole factor keeps sizes even.
    """
    factor = -(-min_side // min(frames.shape[1:3]))
    if factor <= 1:
        return frames
    size = (frames.shape[2] * factor, frames.shape[1] * factor)
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.LANCZOS)) for f in frames])


def write_video(path: str | Path, frames: np.ndarray, fps: float, metadata: Mapping[str, Any] | None = None, *,
                quality: int = 90) -> Path:
    """Write a clip by the ending of its name, atomically; animated images loop for ever.

    Args:
        path: ending in .mp4, .gif, .webp, .apng or .png (which is animated too); folders are made.
        frames: uint8 `(F, H, W, 3)`, or `(F, H, W, 4)` for all but MP4.
        metadata: what made the clip; kept inside the file as JSON and read back by `read_metadata`.
        quality: 0-100, for WebP and MP4.

    Raises:
        VideoError: an unknown ending, or frames of another form.
    """
    path = check_writable(path)
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] not in (3, 4) or not len(frames):
        raise VideoError(f"{path}: frames must be uint8 (F, H, W, 3 or 4), not {frames.dtype} {frames.shape}")
    if not (math.isfinite(fps) and fps > 0):
        raise VideoError(f"{path}: fps is {fps}; it must be positive")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    text = json.dumps(dict(metadata), ensure_ascii=True, default=str) if metadata is not None else None
    try:
        if path.suffix.lower() == ".mp4":
            _write_mp4(temporary, frames[..., :3], fps, text, quality)
        else:
            _write_pillow(temporary, frames, fps, text, quality)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _write_mp4(path: Path, frames: np.ndarray, fps: float, text: str | None, quality: int) -> None:
    import imageio_ffmpeg

    height, width = frames.shape[1:3]
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # yuv420p needs even sizes
    crf = round(40 - 0.27 * quality)
    extra = ["-crf", str(crf), "-movflags", "+faststart+use_metadata_tags"]
    if text is not None:
        extra += ["-metadata", f"comment={text}"]
    writer = imageio_ffmpeg.write_frames(
        str(path), (frames.shape[2], frames.shape[1]), fps=fps, codec="libx264", pix_fmt_out="yuv420p", quality=None,
        macro_block_size=1, output_params=extra, ffmpeg_log_level="error")
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()


def _write_pillow(path: Path, frames: np.ndarray, fps: float, text: str | None, quality: int) -> None:
    images = [Image.fromarray(f) for f in frames]
    ending = path.suffix.lower()
    duration = 1000.0 / fps
    options: dict[str, Any] = {"save_all": True, "append_images": images[1:], "loop": 0}
    if ending == ".gif":
        options |= {"duration": max(20, round(duration, -1)), "disposal": 2}
        if text is not None:
            options["comment"] = text.encode("ascii")
    elif ending == ".webp":
        options |= {"duration": round(duration), "quality": quality, "method": 2, "format": "WEBP"}
        if text is not None:
            exif = Image.Exif()
            exif[_EXIF_DESCRIPTION] = text
            options["exif"] = exif.tobytes()
    else:
        options |= {"duration": duration, "format": "PNG"}
        if text is not None:
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_text(METADATA_KEY, text)
    images[0].save(path, **options)


def read_metadata(path: str | Path) -> dict[str, Any] | None:
    """What `write_video` kept inside a clip; None when there is nothing of emogen's.

    Raises:
        FileNotFoundError: no such file.
        VideoError: an image that cannot be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no video file {path}")
    text: Any = None
    if path.suffix.lower() in VIDEO:
        text = _mp4_comment(path)
    else:
        try:
            image = Image.open(path)
        except OSError as error:
            raise VideoError(f"{path}: cannot be decoded ({error})") from error
        with image:
            text = image.info.get(METADATA_KEY) or image.info.get("comment")
            if text is None and "exif" in image.info:
                text = image.getexif().get(_EXIF_DESCRIPTION)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        data = json.loads(text) if text else None
    except json.JSONDecodeError:
        return None
    return data if isinstance(data, dict) else None


def _mp4_comment(path: Path) -> str | None:
    import subprocess

    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "ffmetadata", "-"]
    listing = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    for line in listing.splitlines():
        if line.startswith("comment="):
            out, escaped = [], False
            for char in line.removeprefix("comment="):  # ffmetadata escapes = ; # and \ with a backslash
                if char == "\\" and not escaped:
                    escaped = True
                    continue
                out.append(char)
                escaped = False
            return "".join(out)
    return None
