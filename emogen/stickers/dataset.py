"""A training set of drawn stickers: clips, captions without emotion words, exact labels."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from emogen.emotion import MIKELS
from emogen.files import write_text
from emogen.media.writer import write_video
from emogen.stickers.content import caption, combinations, sample_spec
from emogen.stickers.expression import EXPRESSIONS
from emogen.stickers.render import StickerSpec, render
from emogen.stickers.transition import transition_states

VALIDATION_SHARE = 9
"""One clip in so many is held out, and one in so many combinations of shape, colour and background is kept for it."""

_EMOTIONS = tuple(EXPRESSIONS)
_VERSION = 1  # raise it when the same arguments draw other clips


def write_sticker_dataset(
    folder: str | Path,
    clips: int = 540,
    *,
    seed: int = 0,
    size: int = 96,
    num_frames: int = 13,
    fps: float = 12,
    changing: bool = False,
    quiet: bool = False,
) -> Path:
    """Draw stickers of neutral and the eight emotions in turn into WebP clips and a `metadata.jsonl`.

    What is held out for validation shows other combinations of shape, colour and background than what is trained on;
    both leave out those of the judge and of the test (`content.split_of`). Each clip depends on the seed and its
    number alone, so a folder that was stopped half-way goes on, a clip that was deleted is drawn again, and a
    finished folder is left as it is.

    Args:
        folder: made if needed.
        clips: how many; about one in `VALIDATION_SHARE`, the nine labels equally often, is of split "val".
        seed: two seeds draw different stickers.
        size: height and width in pixels.
        num_frames, fps: of the clips; at `fps + 1` frames their movement ends where it began.
        changing: the clips begin neutral (those of neutral with an emotion) and come to what they are labelled with, so
            that their first frame does not tell it: what image-to-video models learn from.
        quiet: no progress bar.

    Returns:
        The path of the metadata, which is written last.

    Raises:
        ValueError: fewer clips than two of each of the nine labels, too few frames to change in, or the folder holds
            something else.
    """
    if clips < 2 * len(_EMOTIONS):
        raise ValueError(f"clips is {clips}; at least {2 * len(_EMOTIONS)} are needed, two of each label")
    folder = Path(folder)
    metadata = folder / "metadata.jsonl"
    settings = {"clips": clips, "seed": seed, "size": size, "num_frames": num_frames, "fps": fps, "version": _VERSION}
    if changing:
        settings["changing"] = True
    _claim(folder, settings)
    missing = [index for index in range(clips) if not (folder / _name(index)).is_file()]
    for index in tqdm(missing, desc="drawing stickers", unit="clip", disable=quiet or not missing):
        spec, rng = _spec(index, clips, seed)
        frames = render(spec, num_frames, size, fps, _change(spec, num_frames, rng) if changing else None)
        write_video(folder / _name(index), frames, fps, quality=95)
    if not metadata.is_file():
        write_text(metadata, "".join(json.dumps(_row(index, clips, seed)) + "\n" for index in range(clips)))
    return metadata


def _name(index: int) -> str:
    return f"clips/{index:05d}.webp"


def _held_out(index: int, clips: int) -> bool:
    """Whether a clip is for validation: the first whole rounds of the nine labels, at least one."""
    rounds = max(1, clips // len(_EMOTIONS) // VALIDATION_SHARE)
    return index < rounds * len(_EMOTIONS)


@cache
def _kept_content() -> frozenset[tuple[str, str, str]]:
    return frozenset(combinations("train")[::VALIDATION_SHARE])


def _spec(index: int, clips: int, seed: int) -> tuple[StickerSpec, np.random.Generator]:
    """What a clip shows, and the generator for what else is drawn by lot about it."""
    rng = np.random.default_rng([seed, index])
    while True:
        spec = sample_spec(rng, "train", _EMOTIONS[index % len(_EMOTIONS)])
        if ((spec.shape, spec.color, spec.background) in _kept_content()) == _held_out(index, clips):
            return spec, rng


def _change(spec: StickerSpec, num_frames: int, rng: np.random.Generator) -> list[tuple[str, float]]:
    start = "neutral" if spec.emotion != "neutral" else str(rng.choice(MIKELS))
    return transition_states((start, 1.0), (spec.emotion, spec.intensity), num_frames, 1, max(1, num_frames // 3))


def _row(index: int, clips: int, seed: int) -> dict[str, Any]:
    spec, rng = _spec(index, clips, seed)
    row = {
        "file_name": _name(index),
        "caption": caption(spec, rng),
        "emotion": spec.emotion,
        "domain": "rendered",
        "label_source": "rendered",
        "split": "val" if _held_out(index, clips) else "train",
    }
    return row if spec.emotion == "neutral" else row | {"intensity": spec.intensity}


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Note in the folder what its stickers are drawn with, or check that it is the same."""
    note = folder / "stickers.json"
    if note.is_file():
        try:
            found = json.loads(note.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{note}: not JSON ({error}); delete the folder, or choose another one") from error
        if found != settings:
            raise ValueError(f"{folder}: holds stickers drawn with {found}, not {settings}; choose another folder")
        return
    if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise ValueError(f"{folder}: holds files that are no stickers drawn by emogen; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(note, json.dumps(settings) + "\n")
