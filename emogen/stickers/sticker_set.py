"""A sticker set: files of one or several characters in several emotions, and what an upload needs beside them.

Beside the stickers lie `sheet.png`, all of them on one picture; `set.json`, which says for each its emotion, emoji and
seed, and how alike it is to the others of its character; for WhatsApp the `contents.json` and the tray icon of its
sample apps; and a zip of all but the sheet.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emogen.emotion import parse_emotion_or_arc
from emogen.emotion.state import EmotionState
from emogen.files import write_bytes, write_json
from emogen.media.pixels import lay_on_checks, resize_frames
from emogen.media.reader import read_metadata, read_video
from emogen.media.sheets import contact_sheet, label_grid
from emogen.stickers.alike import likeness

SHEET, ABOUT, CONTENTS, TRAY = "sheet.png", "set.json", "contents.json", "tray.png"
_EMOJI = {"amusement": "😂", "awe": "😮", "contentment": "😌", "excitement": "🤩", "anger": "😡", "disgust": "🤢",
          "fear": "😱", "sadness": "😢", "neutral": "🙂"}  # fmt: skip
_PACKS = {"telegram": (1, 120), "whatsapp": (3, 30)}
"""Stickers in one set: core.telegram.org/bots/api#addstickertoset; WhatsApp/stickers on GitHub, Android/README.md."""
_SHOWN_SIDE = 128


@dataclass(frozen=True)
class Sticker:
    """One file of a set. `emotion` is what was asked for, `character` a short name, "" where there is one only."""

    path: Path
    emotion: str
    character: str = ""


@dataclass(frozen=True)
class FinishedSet:
    """What lies beside the stickers.

    Attributes:
        alike: character -> mean likeness of its stickers (`alike.likeness`), None for fewer than two.
        odd: character -> the emotion whose sticker is least like the others, of three or more.
    """

    sheet: Path
    archive: Path
    alike: dict[str, float | None]
    odd: dict[str, str]


def check_count(count: int, platform: str | None) -> None:
    """Refuse a number of stickers that the platform does not take in one set.

    Raises:
        ValueError: with the limits.
    """
    low, high = _PACKS.get(platform or "", (1, 10_000))
    if not low <= count <= high:
        what = f"{platform} takes" if platform in _PACKS else "a set takes"
        raise ValueError(
            f"{count} stickers in a set; {what} {low} to {high}: name more or fewer emotions or characters"
        )


def short_word(text: str, longest: int = 24) -> str:
    """A text as a part of a file name that every platform takes: a-z, 0-9 and single underscores."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    words = re.sub(r"^(?:an?|the)_(?=.)", "", words)
    return words[:longest].strip("_") or "character"


def file_stem(number: int, character: str, emotion: str, platform: str | None) -> str:
    """The name of a sticker's file: for platforms where the file's name becomes the sticker's, without a number."""
    named = "_".join(part for part in (character, emotion) if part)
    return named if platform in ("slack", "discord") else f"{number:02d}_{named}"


def emoji_of(emotion: str) -> str:
    """The emoji under which a messenger files a sticker: that of the leading emotion, of an arc its last one's."""
    found = parse_emotion_or_arc(emotion)
    state = found if isinstance(found, EmotionState) else found.keyframes[-1].state
    return _EMOJI[state.dominant]


def finish_set(folder: str | Path, stickers: Sequence[Sticker], platform: str | None = None) -> FinishedSet:
    """Write sheet, `set.json` and zip of stickers that lie in the folder.

    Raises:
        OSError, ValueError: a sticker cannot be read, or a file cannot be written.
    """
    folder = Path(folder)
    clips = [read_video(sticker.path, alpha=True)[0] for sticker in stickers]
    characters = list(dict.fromkeys(sticker.character for sticker in stickers))
    rows: list[dict[str, Any]] = []
    alike: dict[str, float | None] = {}
    odd: dict[str, str] = {}
    for character in characters:
        members = [place for place, sticker in enumerate(stickers) if sticker.character == character]
        each = _likeness_of_each([clips[place] for place in members])
        alike[character] = None if each is None else float(each.mean())
        if each is not None and len(members) > 2:
            odd[character] = stickers[members[int(each.argmin())]].emotion
        rows += [_row(stickers[place], None if each is None else each[k]) for k, place in enumerate(members)]
    write_json(folder / ABOUT, {"platform": platform, "stickers": rows})
    files = [sticker.path for sticker in stickers] + [folder / ABOUT]
    if platform == "whatsapp":
        files += _whatsapp(folder, rows, clips[0])
    archive = folder / "stickers.zip"
    write_bytes(archive, _zipped(files, folder))
    return FinishedSet(_sheet(folder, stickers, clips, characters), archive, alike, odd)


def _likeness_of_each(clips: Sequence[np.ndarray]) -> np.ndarray | None:
    """How alike each clip is to the others, on the mean; None for a single one."""
    if len(clips) < 2:
        return None
    found = likeness(clips)
    return (found.sum(1) - 1) / (len(clips) - 1)


def _row(sticker: Sticker, alike: float | None) -> dict[str, Any]:
    made = read_metadata(sticker.path) or {}
    about = {name: made[name] for name in ("prompt", "seed", "text", "chosen") if name in made}
    row = {"file": sticker.path.name, "emotion": sticker.emotion, "emoji": emoji_of(sticker.emotion), **about}
    return (
        row
        | ({"character": sticker.character} if sticker.character else {})
        | ({} if alike is None else {"alike": round(float(alike), 4)})
    )


def _whatsapp(folder: Path, rows: Sequence[dict[str, Any]], clip: np.ndarray) -> list[Path]:
    """The description that WhatsApp's sample apps read, and the icon of 96 x 96 pixels under 50 KB that it names."""
    icon = io.BytesIO()
    Image.fromarray(resize_frames(clip[:1], 96, 96)[0]).save(icon, format="PNG", optimize=True)
    write_bytes(folder / TRAY, icon.getvalue())
    pack = {"identifier": short_word(folder.resolve().name), "name": folder.resolve().name, "publisher": "emogen",
            "tray_image_file": TRAY, "image_data_version": "1", "avoid_cache": False, "animated_sticker_pack": True,
            "stickers": [{"image_file": row["file"], "emojis": [row["emoji"]]} for row in rows]}  # fmt: skip
    write_json(folder / CONTENTS, {"android_play_store_link": "", "ios_app_store_link": "", "sticker_packs": [pack]})
    return [folder / CONTENTS, folder / TRAY]


def _zipped(files: Sequence[Path], folder: Path) -> bytes:
    """A zip of the files, the same bytes for the same files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            about = zipfile.ZipInfo(file.relative_to(folder).as_posix())
            about.external_attr = 0o644 << 16
            archive.writestr(about, file.read_bytes())
    return packed.getvalue()


def _sheet(folder: Path, stickers: Sequence[Sticker], clips: Sequence[np.ndarray], characters: Sequence[str]) -> Path:
    """A row a character, a column an emotion, two frames each; a single character's in rows of four."""
    if len(characters) == 1:
        pairs = [np.concatenate([*_cell(clip)], axis=1)[None] for clip in clips]
        grid = label_grid(pairs, [sticker.emotion for sticker in stickers], columns=min(4, len(pairs)))
        picture = io.BytesIO()
        Image.fromarray(grid[0]).save(picture, format="PNG", optimize=True)
        write_bytes(folder / SHEET, picture.getvalue())
        return folder / SHEET
    emotions = list(dict.fromkeys(sticker.emotion for sticker in stickers))
    blank = np.full((2, _SHOWN_SIDE, _SHOWN_SIDE, 3), 255, np.uint8)
    cells = {(sticker.character, sticker.emotion): _cell(clip) for sticker, clip in zip(stickers, clips, strict=True)}
    rows = [[cells.get((character, emotion), blank) for emotion in emotions] for character in characters]
    labels = [character.replace("_", " ") for character in characters]
    contact_sheet(folder / SHEET, rows, labels, emotions, frames=(0, 1))
    return folder / SHEET


def _cell(clip: np.ndarray) -> np.ndarray:
    """A quarter and three quarters into the clip, `(2, side, side, 3)`, on a checkerboard where it is clear."""
    frames = clip[[len(clip) // 4, 3 * len(clip) // 4]]
    height, width = frames.shape[1:3]
    scale = _SHOWN_SIDE / max(height, width)
    small = resize_frames(frames, max(1, round(height * scale)), max(1, round(width * scale)))
    out = np.full((2, _SHOWN_SIDE, _SHOWN_SIDE, 3), 255, np.uint8)
    out[:, : small.shape[1], : small.shape[2]] = lay_on_checks(small)
    return out
