"""MP4 and WebM through the ffmpeg binary that imageio-ffmpeg brings."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from emogen.media.colours import spread_under
from emogen.media.video_file import VideoError

_DEFAULT_FPS = 10.0
_LONGEST_TEXT = 100_000  # the text goes to ffmpeg as one argument, and systems limit those
_MAY_HAVE_ALPHA = (".webm", ".mkv", ".mov")


def _ffmpeg(*arguments: str) -> subprocess.CompletedProcess:
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL)


@lru_cache(maxsize=1)
def can_write_webm() -> bool:
    """Whether the ffmpeg binary has libvpx's VP9 encoder."""
    return " libvpx-vp9 " in _ffmpeg("-encoders").stdout


def undecodable(path: Path, error: Exception) -> VideoError:
    """The error for a file that a decoder refused, with the decoder's last line and none of its banner."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = lines[-1][:200] if lines else "no reason given"
    return VideoError(f"{path}: cannot be decoded ({type(error).__name__}: {why})")


def _alpha_options(path: Path) -> dict[str, Any]:
    """What to tell the reader of a file with alpha; nothing for one without."""
    if path.suffix.lower() not in _MAY_HAVE_ALPHA:
        return {}
    lines = _ffmpeg("-i", str(path)).stderr.splitlines()
    stream = next((line for line in lines if "Stream #" in line and "Video:" in line), "")
    # Matroska keeps VP9's alpha in a second layer, which the stream's pixel format does not show.
    layered = any(line.split(":")[0].strip() == "alpha_mode" and line.split(":")[-1].strip() == "1" for line in lines)
    if not layered and not any(mark in stream for mark in ("yuva", "rgba", "bgra", "argb", "gbrap")):
        return {}
    options: dict[str, Any] = {"pix_fmt": "rgba", "bits_per_pixel": 32}
    for codec in ("vp9", "vp8"):  # ffmpeg's own decoders leave that layer out
        if f"Video: {codec}" in stream:
            options["input_params"] = ["-c:v", "libvpx-vp9" if codec == "vp9" else "libvpx"]
    return options


def read_ffmpeg(path: Path, header_only: bool = False) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Frames uint8 `(F, H, W, 3)`, or `(F, H, W, 4)` of a file with alpha, and the header.

    The header has `fps`, `size` (width and height as shown), and `duration` in seconds.
    """
    import imageio_ffmpeg

    options = {} if header_only else _alpha_options(path)
    channels = 4 if options else 3
    reader = imageio_ffmpeg.read_frames(str(path), **options)
    try:
        header = next(reader)
        header["fps"] = float(header.get("fps") or _DEFAULT_FPS)
        if header_only:
            return None, header
        width, height = header["size"]
        frames = [np.frombuffer(f, np.uint8).reshape(height, width, channels) for f in reader]
    finally:
        reader.close()
    if not frames:
        raise VideoError(f"{path}: has no frames")
    return np.stack(frames), header


def text_in(path: Path) -> str | None:
    """The comment of a video file.

    Raises:
        VideoError: ffmpeg cannot open it.
    """
    done = _ffmpeg("-v", "error", "-i", str(path), "-f", "ffmetadata", "-")
    for line in done.stdout.splitlines():
        key, found, value = line.partition("=")
        if found and key.lower() == "comment":  # Matroska writes its tags in capitals
            out, escaped = [], False
            for char in value:  # ffmetadata escapes = ; # and \ with a backslash
                if char == "\\" and not escaped:
                    escaped = True
                    continue
                out.append(char)
                escaped = False
            return "".join(out)
    if done.returncode:
        raise undecodable(path, OSError(done.stderr))
    return None


def check_ffmpeg_can(path: Path, text: str | None) -> None:
    """Whether the video file `path` can be written with `text` inside.

    Raises:
        VideoError: ffmpeg has no VP9 encoder, or the text is too long for a command line.
    """
    if text is not None and len(text) > _LONGEST_TEXT:
        raise VideoError(f"{path}: {len(text)} characters of metadata; {path.suffix} takes {_LONGEST_TEXT}")
    if path.suffix.lower() == ".webm" and not can_write_webm():
        import imageio_ffmpeg

        raise VideoError(
            f"{path}: this ffmpeg ({imageio_ffmpeg.get_ffmpeg_exe()}) cannot encode VP9 (libvpx-vp9); "
            "install imageio-ffmpeg's own binary or point IMAGEIO_FFMPEG_EXE to another"
        )


def write_ffmpeg(path: Path, frames: np.ndarray, fps: float, text: str | None, quality: int) -> None:
    """Write frames uint8 `(F, H, W, 3)` as MP4, or with 3 or 4 channels as WebM."""
    import imageio_ffmpeg

    if path.suffix.lower() == ".webm":
        codec, pixels = "libvpx-vp9", "yuva420p" if frames.shape[-1] == 4 else "yuv420p"
        # Alternate reference frames and an alpha stream exclude each other in libvpx.
        extra = [
            "-crf",
            str(round(60 - 0.5 * quality)),
            "-b:v",
            "0",
            "-auto-alt-ref",
            "0",
            "-deadline",
            "good",
            "-cpu-used",
            "4",
            "-row-mt",
            "1",
        ]
        frames = spread_under(frames) if frames.shape[-1] == 4 else frames
    else:
        codec, pixels = "libx264", "yuv420p"
        extra = ["-crf", str(round(40 - 0.27 * quality)), "-movflags", "+faststart+use_metadata_tags"]
        height, width = frames.shape[1:3]
        frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # even sizes only
    if text is not None:
        extra += ["-metadata", f"comment={text}"]
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (frames.shape[2], frames.shape[1]),
        fps=fps,
        codec=codec,
        pix_fmt_out=pixels,
        quality=None,
        pix_fmt_in="rgba" if frames.shape[-1] == 4 else "rgb24",
        macro_block_size=1,
        output_params=extra,
        ffmpeg_log_level="error",
    )
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
