"""Clips as streams of frames and times, whatever the file is: what one is like, and its frames as they are displayed.

Times come from presentation stamps, in seconds after the clip's first frame, so that a clip of a varying rate (a
phone's) plays as it does in a player. Memory does not depend on a file's length: frames are decoded one after another,
from the key frame before the wanted moment on, and reading stops when there are enough.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emogen.media.containers import Container, Shown, text_of_container
from emogen.media.limits import DEFAULT_LIMITS, Limits, VideoError
from emogen.media.metadata import unpack
from emogen.media.pictures import Animation, is_picture, text_of_picture
from emogen.media.pixels import lay_on

_TAIL = 0.05  # of a frame's time: less than this at a clip's end is rounding, not a frame
_FASTEST = 120.0  # frames a second of a regular grid


class DamageError(VideoError):
    """A clip is damaged before the frames that were asked for."""


class DamageWarning(UserWarning):
    """A clip is damaged, and its frames up to there were returned."""


@dataclass(frozen=True)
class Probe:
    """What a clip is like.

    Attributes:
        kind: "video", or "image" for a still.
        frames: that can be decoded.
        duration: seconds, from presentation stamps; 0 for a still.
        fps: the mean; 0 for a still.
        width, height: as displayed, with rotation and sample aspect applied.
        damaged: None, or a sentence with the frames that are declared and decoded.
        has_audio: whether there is sound.
        last: seconds after the first frame at which the last one appears.
        codec: the decoder's name: "h264", "vp9", "gif" ...
        hdr: "PQ", "HLG" (both are brought to SDR), "unnamed" (refused on reading), or None.
    """

    kind: str
    frames: int
    duration: float
    fps: float
    width: int
    height: int
    damaged: str | None
    has_audio: bool
    last: float = 0.0
    codec: str = ""
    hdr: str | None = None

    def frames_at(self, fps: float) -> int:
        """Frames that `read_frames` gives at another rate; a still stays one."""
        return 1 if self.kind == "image" else max(1, math.ceil(self.duration * fps - _TAIL))


def open_clip(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Container | Animation:
    """Open a clip or a picture by its content, not its ending; a context manager.

    Raises:
        FileNotFoundError: no such file.
        VideoError: it cannot be decoded, or is too large.
    """
    path = Path(path)
    return Animation(path, limits) if is_picture(path) else Container(path, limits)


def probe(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Probe:
    """What a clip is like. Every frame is decoded, for a damaged file does not say so; none is kept.

    Raises:
        FileNotFoundError: no such file.
        VideoError: nothing of it can be decoded, or it is too large.
    """
    with open_clip(path, limits) as clip:
        frames, last = clip.count()
        if not frames:
            raise VideoError(f"{path}: none of its frames can be decoded ({clip.damage or 'it holds no pictures'})")
        still = clip.kind == "image"
        duration = 0.0 if still else clip.end
        return Probe(
            kind=clip.kind,
            frames=frames,
            duration=duration,
            fps=0.0 if still else _mean_rate(clip, frames),
            width=clip.width,
            height=clip.height,
            damaged=_damage(clip, frames),
            has_audio=clip.has_audio,
            last=last,
            codec=clip.codec,
            hdr=clip.hdr,
        )


def _mean_rate(clip: Container | Animation, frames: int) -> float:
    """Frames a second; the file's own exact rate where its rounded stamps agree with it."""
    if clip.rate and abs(frames / clip.rate - clip.end) <= 2 * clip.grain + 1e-6:
        return clip.rate
    return frames / clip.end


def _damage(clip: Container | Animation, frames: int) -> str | None:
    seconds = clip.declared_seconds
    short = seconds is not None and clip.end < seconds - clip.slack
    declared, about = clip.declared_frames, ""
    if declared is None and seconds is not None and clip.end > 0:
        declared, about = max(round(seconds * (clip.rate or 0)), round(seconds * frames / clip.end)), "about "
    if clip.damage is None and not short and not (clip.cut and frames < (declared or math.inf)):
        return None
    claims = f"{about}{declared} frames are declared" if declared else "frames are not counted in the header"
    why = clip.damage or clip.cut or f"the file ends after {clip.end:.2f} s of {seconds:.2f} s"
    errors = f"{clip.errors} errors, the last: " if clip.errors > 1 else ""
    kind = "truncated" if short or clip.cut else "damaged"
    return f"{kind}: {claims}, {frames} can be decoded ({errors}{why})"


def iterate_frames(
    path: str | Path,
    fps: float | None = None,
    num_frames: int | None = None,
    start: float = 0.0,
    *,
    alpha: bool = False,
    damage: str = "warn",
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[tuple[np.ndarray, float]]:
    """Frames one by one: uint8 `(H, W, 3)`, with `alpha` `(H, W, 4)`, and their times in seconds after the first.

    Args:
        fps: None gives the coded frames at their stamps, from the first whose time is not before `start`; a rate gives
            the frames shown at `start + k / fps`.
        num_frames: stop after so many.
        alpha: keep transparency; otherwise transparent parts lie on white.
        damage: when the file is damaged before there are enough frames: "warn" (`DamageWarning`) or "raise"
            (`DamageError`), after the intact ones. Nothing is made up for the rest.

    Raises:
        FileNotFoundError: no such file.
        VideoError: it cannot be decoded, or is too large.
        ValueError: an argument out of range.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}; it must be positive")
    if num_frames is not None and num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}; it must be at least 1")
    if not (math.isfinite(start) and start >= 0):
        raise ValueError(f"start is {start}; it must be 0 or more seconds")
    with open_clip(path, limits) as clip:
        chosen = _coded(clip, num_frames, start) if fps is None else _sampled(clip, fps, num_frames, start)
        last, picture, given = None, None, 0
        for shown, time in chosen:
            if shown is not last:
                last, picture = shown, _as_asked(shown.pixels(), alpha)
            given += 1
            yield picture, time
        if clip.damage is None or given == num_frames:
            return
        if last is None and start == 0:
            raise VideoError(f"{path}: none of its frames can be decoded ({clip.damage})")
        said = f"{path}: damaged: {given} frames from {start:g} s on can be decoded ({clip.damage})"
        if damage == "raise":
            raise DamageError(said)
        warnings.warn(said, DamageWarning, stacklevel=2)


def _coded(clip: Container | Animation, count: int | None, start: float) -> Iterator[tuple[Shown, float]]:
    given = 0
    for number, shown in enumerate(clip.frames(start), 1):
        clip.limits.check_length(clip.path, number, shown.time)
        if shown.time >= start - _slack(clip):
            yield shown, shown.time
            given += 1
            if given == count:
                return


def _sampled(clip: Container | Animation, fps: float, count: int | None, start: float) -> Iterator[tuple[Shown, float]]:
    """The frames shown at the moments of a grid."""
    held, given, slack = None, 0, _slack(clip)
    for number, shown in enumerate(clip.frames(start), 1):
        clip.limits.check_length(clip.path, number, shown.time)
        while held is not None and start + given / fps < shown.time - slack:
            yield held, start + given / fps
            given += 1
            if given == count:
                return
        held = shown
    while held is not None and start + given / fps < clip.end - _TAIL / fps:
        clip.limits.check_length(clip.path, given + 1)
        yield held, start + given / fps
        given += 1
        if given == count:
            return


def _slack(clip: Container | Animation) -> float:
    """A moment so little before a frame's stamp belongs to the frame: containers round stamps to their own grain."""
    return 0.51 * clip.grain + 1e-6


def _as_asked(pixels: np.ndarray, alpha: bool) -> np.ndarray:
    if not alpha:
        return lay_on(pixels[None])[0]
    if pixels.shape[-1] == 3:
        return np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=-1)
    return pixels


def read_frames(
    path: str | Path,
    fps: float | None = None,
    num_frames: int | None = None,
    start: float = 0.0,
    *,
    alpha: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 `(F, H, W, 3)`, with `alpha` `(F, H, W, 4)`, and times float64 `(F,)`, as of `iterate_frames`.

    A damaged file gives its intact frames and a `DamageWarning`.

    Raises:
        FileNotFoundError: no such file.
        VideoError: it cannot be decoded, is too large, or has no frame from `start` on.
        ValueError: an argument out of range.
    """
    frames, times, into = [], [], None
    for frame, time in iterate_frames(path, fps, num_frames, start, alpha=alpha, limits=limits):
        limits.check_memory(path, len(times) + 1, frame.nbytes)
        if into is None and num_frames is not None and num_frames * frame.nbytes <= limits.max_memory:
            into = np.empty((num_frames, *frame.shape), np.uint8)
        if into is None:
            frames.append(frame)
        else:
            into[len(times)] = frame
        times.append(time)
    if not times:
        raise VideoError(f"{path}: has no frame at {start:g} s; start earlier")
    return _stacked(frames) if into is None else into[: len(times)], np.array(times)


def _stacked(frames: list[np.ndarray]) -> np.ndarray:
    """As `np.stack`, but each frame is let go when it is copied, so that the clip is not held twice."""
    out = np.empty((len(frames), *frames[0].shape), np.uint8)
    for index in range(len(frames)):
        out[index] = frames[index]
        frames[index] = None
    return out


def read_video(path: str | Path, alpha: bool = False, limits: Limits = DEFAULT_LIMITS) -> tuple[np.ndarray, float]:
    """Frames uint8 `(F, H, W, 3)`, or `(F, H, W, 4)` with `alpha`, and frames a second.

    A file from `write_video` gives the frames and the rate that were written, equal neighbours included. Frames of
    unequal durations are repeated onto a regular grid of the shortest one, and a still is one frame at 1 frame a
    second. Without `alpha`, transparent parts lie on white.

    Raises:
        FileNotFoundError: no such file.
        VideoError: a file that cannot be decoded, or is too large.
    """
    frames: list[np.ndarray] = []
    times: list[float] = []
    with open_clip(path, limits) as clip:
        for shown in clip.frames():
            frames.append(_as_asked(shown.pixels(), alpha))
            times.append(shown.time)
            limits.check_length(path, len(frames), shown.time)
            limits.check_memory(path, len(frames), frames[-1].nbytes)
        if not frames:
            raise VideoError(f"{path}: none of its frames can be decoded ({clip.damage or 'it holds no pictures'})")
        if clip.kind == "image":
            return frames[0][None], 1.0
        if clip.damage:
            warnings.warn(f"{path}: damaged: {len(frames)} frames can be decoded ({clip.damage})", DamageWarning,
                          stacklevel=2)  # fmt: skip
        end, grain = clip.end, clip.grain
        fps = _mean_rate(clip, len(frames))
    gaps = np.diff([*times, end])
    if gaps.max() - gaps.min() <= 1.05 * grain + 5e-4:
        return _stacked(frames), fps
    step = max(round(float(gaps[gaps > 0].min()), 6), 1 / _FASTEST)
    moments = np.arange(0, end - step / 2, step)
    limits.check_memory(path, len(moments), frames[0].nbytes)
    rows = np.searchsorted(times, moments + 0.51 * grain + 1e-6, side="right") - 1
    return np.stack([frames[row] for row in rows.clip(min=0)]), 1 / step


def read_metadata(path: str | Path) -> dict[str, Any] | None:
    """What `write_video` kept inside a clip; None when there is nothing of emogen's.

    It comes back as JSON keeps it: tuples are lists, keys are text.

    Raises:
        FileNotFoundError: no such file.
        VideoError: a file that cannot be opened.
    """
    path = Path(path)
    return unpack(text_of_picture(path) if is_picture(path) else text_of_container(path))[0]
