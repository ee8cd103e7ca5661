"""How large a file may be before it is refused: a few kilobytes can claim gigabytes of pixels."""

from __future__ import annotations

from dataclasses import dataclass

_GIB = 2**30


class VideoError(ValueError):
    """A file cannot be read or written as a clip; the message names it."""


class LimitError(VideoError):
    """A file is larger than the limits allow; the message says by what, and which limit to raise."""


@dataclass(frozen=True)
class Limits:
    """What may be read. The defaults take a ten-minute film in 4K and any photograph.

    Attributes:
        pixels: of a frame of a clip, as displayed.
        picture_pixels: of a still picture. Pillow refuses more than 178 million whatever is given here.
        frames: of a clip, declared or decoded.
        seconds: that a clip lasts.
        memory: bytes of the frames that one call returns.
    """

    pixels: int = 4096 * 2304
    picture_pixels: int = 100_000_000
    frames: int = 100_000
    seconds: float = 7200.0
    memory: int = 4 * _GIB

    def check_size(self, path: object, height: int, width: int, still: bool = False) -> None:
        """Raises LimitError for too many pixels."""
        allowed, name = (self.picture_pixels, "picture_pixels") if still else (self.pixels, "pixels")
        if width * height > allowed:
            raise LimitError(
                f"{path}: {width}x{height} is {width * height:,} pixels a frame, more than {allowed:,}; "
                f"make it smaller or raise the limit ({name})"
            )

    def check_length(self, path: object, frames: int | None = None, seconds: float | None = None) -> None:
        """Raises LimitError for too many frames or seconds; None is not known."""
        if frames is not None and frames > self.frames:
            raise LimitError(
                f"{path}: claims {frames:,} frames, more than {self.frames:,}; cut it or raise the limit (frames)"
            )
        if seconds is not None and seconds > self.seconds:
            raise LimitError(
                f"{path}: claims {seconds:,.0f} s, more than {self.seconds:,.0f}; cut it or raise the limit (seconds)"
            )

    def check_memory(self, path: object, count: int, frame_bytes: int) -> None:
        """Raises LimitError when `count` frames are more than one call may return."""
        if count * frame_bytes > self.memory:
            raise LimitError(
                f"{path}: its frames take more than {self.memory / _GIB:.3g} GiB; read fewer (num_frames, start), "
                "read them one by one (iterate_frames), or raise the limit (memory)"
            )


DEFAULT_LIMITS = Limits()
