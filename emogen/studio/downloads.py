"""Clips to take away: as a video or an animated image, or as the sticker that a platform takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emogen.media.pixels import enlarge
from emogen.stickers.loop import make_seamless
from emogen.stickers.output import write_clip
from emogen.stickers.platforms import PLATFORMS
from emogen.stickers.transparent import key_background
from emogen.studio.engine import SHOWN_SIDE
from emogen.studio.result import Result

FORMATS = {"MP4": ".mp4", "GIF": ".gif", "WebP": ".webp", "APNG": ".apng"}
_WRITTEN = {"whatsapp": "WhatsApp"}  # where a capital at the beginning is not all


def choices() -> list[str]:
    """The formats, and "Sticker for ..." for each platform."""
    names = (_WRITTEN.get(name, name.capitalize()) for name in PLATFORMS)
    return [*FORMATS, *(f"Sticker for {name}" for name in names)]


@dataclass(frozen=True)
class Download:
    """A file that was written, and what was done to the clip to make it."""

    path: Path
    changes: tuple[str, ...] = ()


def write_download(result: Result, choice: str, folder: str | Path, *, transparent: bool = False,
                   loop: bool = False) -> Download:  # fmt: skip
    """Write a result in the form of `choice`, with what made it inside.

    Args:
        choice: one of `choices()`.
        folder: where the file goes; its name begins as the result's does.
        transparent: take a flat background away; MP4 cannot hold that.
        loop: let the end run into the beginning.

    Raises:
        ValueError: an unknown choice, transparency in MP4, or a clip that does not fit the platform.
    """
    if choice not in choices():
        raise ValueError(f"there is no form {choice!r}; there are {', '.join(choices())}")
    if transparent and choice == "MP4":
        raise ValueError("MP4 has no transparency; choose WebP, GIF, APNG or a sticker")
    (frames, fps), changes = result.frames(), []
    if loop:
        looped = make_seamless(frames)
        frames, jump = looped.frames, f"seam of {looped.seam_before:.1f} ordinary steps"
        changes.append(f"loop: {looped.method}, {jump} before, {looped.seam_after:.1f} after"
                       if looped.method != "none" else f"loop: left alone, it has a {jump}")  # fmt: skip
    if transparent:
        frames = key_background(frames)
    frames = enlarge(frames, SHOWN_SIDE)
    about = dict(result.metadata) | {name: True for name, on in (("transparent", transparent), ("loop", loop)) if on}
    marks = "".join(f"_{name}" for name, on in (("loop", loop), ("transparent", transparent)) if on)
    stem = Path(folder) / f"{result.path.stem}{marks}"
    if choice in FORMATS:
        fitted = write_clip(stem.with_name(stem.name + FORMATS[choice]), frames, fps, about)
    else:
        platform = choice.removeprefix("Sticker for ").lower()
        path = stem.with_name(f"{stem.name}_{platform}{PLATFORMS[platform].endings[0]}")
        fitted = write_clip(path, frames, fps, about | {"platform": platform}, platform=platform)
    return Download(fitted.path, (*changes, *fitted.changes))


def size_text(path: Path) -> str:
    """A file's size for people."""
    size = path.stat().st_size
    return f"{size / 1024:.0f} KB" if size < 1024**2 else f"{size / 1024**2:.1f} MB"
