"""A sticker set of clips that were made together: files as a platform takes them, a sheet, and a zip of all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emogen.media.pixels import enlarge
from emogen.stickers.output import write_clip
from emogen.stickers.platforms import PLATFORMS
from emogen.stickers.sticker_set import Sticker, check_count, file_stem, finish_set, short_word
from emogen.studio.engine import SHOWN_SIDE
from emogen.studio.result import Result


@dataclass(frozen=True)
class Made:
    """A set that was written.

    Attributes:
        alike: how alike its stickers are (1: the same colours in the same places), None for a single one.
        odd: the emotion whose sticker differs most, None for fewer than three.
        changes: what was given up to fit, sticker by sticker.
    """

    folder: Path
    archive: Path
    sheet: Path
    alike: float | None
    odd: str | None
    changes: tuple[str, ...]


def write_set(results: Sequence[Result], platform: str, folder: Path) -> Made:
    """Write a set below `folder`, in a folder of its own.

    Raises:
        ValueError: the platform is unknown, takes another number of stickers, or a clip does not fit it.
    """
    if platform not in PLATFORMS:
        raise ValueError(f"there is no platform {platform!r}; there are {', '.join(PLATFORMS)}")
    check_count(len(results), platform)
    home = folder / f"{time.strftime('%Y%m%d-%H%M%S')}_{short_word(results[0].prompt)}_{platform}"
    stickers, changes = [], []
    for number, result in enumerate(results, 1):
        frames, fps = result.frames()
        path = home / f"{file_stem(number, '', result.emotion_text, platform)}{PLATFORMS[platform].endings[0]}"
        about = {**result.metadata, "platform": platform}
        fitted = write_clip(path, enlarge(frames, SHOWN_SIDE), fps, about, platform=platform)
        stickers.append(Sticker(fitted.path, result.emotion_text))
        changes += [f"{result.emotion_text}: {change}" for change in fitted.changes]
    done = finish_set(home, stickers, platform)
    return Made(home, done.archive, done.sheet, done.alike.get(""), done.odd.get(""), tuple(changes))
