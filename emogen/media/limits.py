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
        max_pixels: of a frame of a clip, as displayed.
        max_picture_pixels: of a still picture. Pillow refuses more than 178 million whatever is given here.
        max_frames: of a clip, declared or decoded.
        max_seconds: that a clip lasts.
        max_memory: bytes of the frames that one call returns.
    """

    max_pixels: int = 4096 * 2304
    max_picture_pixels: int = 100_000_000
    max_frames: int = 100_000
    max_seconds: float = 7200.0
    max_memory: int = 4 * _GIB

    def check_size(self, path: object, height: int, width: int, still: bool = False) -> None:
        """Raises LimitError for too many pixels."""
        allowed, name = (self.max_picture_pixels, "max_picture_pixels") if still else (self.max_pixels, "max_pixels")
        if width * height > allowed:
            raise LimitError(
                f"{path}: {width}x{height} is {width * height:,} pixels a frame, more than {allowed:,}; "
                f"make it smaller or raise the limit ({name})"
            )

    def check_length(self, path: object, frames: int | None = None, seconds: float | None = None) -> None:
        """Raises LimitError for too many frames or seconds; None is not known."""
        if frames is not None and frames > self.max_frames:
            raise LimitError(
                f"{path}: claims {frames:,} frames, more than {self.max_frames:,}; "
                "cut it or raise the limit (max_frames)"
            )
        if seconds is not None and seconds > self.max_seconds:
            raise LimitError(
                f"{path}: claims {seconds:,.0f} s, more than {self.max_seconds:,.0f}; "
                "cut it or raise the limit (max_seconds)"
            )

    def check_memory(self, path: object, count: int, frame_bytes: int) -> None:
        """Raises LimitError when `count` frames are more than one call may return."""
        if count * frame_bytes > self.max_memory:
            raise LimitError(
                f"{path}: its frames take more than {self.max_memory / _GIB:.3g} GiB; read fewer (num_frames, start), "
                "read them one by one (iterate_frames), or raise the limit (max_memory)"
            )


DEFAULT_LIMITS = Limits()
