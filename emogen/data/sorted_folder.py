"""A data set without metadata: clips sorted into folders named by emotions (`joy/a.png`, `train/fear/b.mp4`), with
captions in text files of the same name beside them (`joy/a.txt`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from emogen.data.tables import Row
from emogen.emotion import LEXICON, NEUTRAL
from emogen.emotion.lexicon import normal_word
from emogen.text_files import TextError, read_text

CLIPS = (
    ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".flv", ".3gp", ".wmv", ".ogv",
    ".gif", ".webp", ".apng", ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".avif", ".heic",
)  # fmt: skip
"""Endings of files that are taken for clips here; what they hold is looked at when they are opened."""

NOT_GIVEN = "none given"
"""The source of an emotion that nothing says."""

CAPTIONS = (".txt", ".caption")
_SENTENCE = re.compile(r'the video is in the\s+"(?P<word>\w+)"\s+emotion\b', re.IGNORECASE)


def is_sorted(folder: Path) -> bool:
    """Whether the folder holds clips in folders named by emotions, or with captions beside them."""
    return any(_emotion(path) or _caption_file(folder / path) for path in clips_below(folder))


def sorted_rows(folder: Path) -> Iterator[Row]:
    """A row for every clip under a folder, in the order of their names, as a metadata file would hold it.

    The emotion is the innermost folder's whose name is a word of the lexicon. Where no folder is named by an emotion,
    clips with captions beside them are read as neutral, or as the emotion of EmoVid's sentence in the caption.
    """
    clips = clips_below(folder)
    emotions = {path: _emotion(path) for path in clips}
    is_sorted_by_emotion = any(emotions.values())
    for number, path in enumerate(clips, start=1):
        name, emotion, source = path.as_posix(), emotions[path], "the folder's name"
        if is_sorted_by_emotion and emotion is None:
            yield (
                number,
                ValueError(
                    f"{name}: no folder above it is named by an emotion, as others here are; move it into one "
                    f'("{NEUTRAL}" for none)'
                ),
            )
            continue
        try:
            beside = _caption_file(folder / path)
            caption = " ".join(read_text(beside).split()) if beside else ""
        except TextError as error:
            yield number, error
            continue
        if emotion is None:
            said = _SENTENCE.search(caption)
            emotion, source = (said["word"], "the caption") if said else (NEUTRAL, NOT_GIVEN)
        yield number, {"file_name": name, "caption": caption, "emotion": emotion, "label_source": source}


def clips_below(folder: Path) -> list[Path]:
    """The clips under a folder, relative to it, hidden files left out."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in CLIPS and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.parts))


def _emotion(path: PurePath) -> str | None:
    """The word of the innermost folder that is named by an emotion."""
    words = (normal_word(part) for part in reversed(path.parts[:-1]))
    return next((word for word in words if word in LEXICON), None)


def _caption_file(clip: Path) -> Path | None:
    return next((path for path in map(clip.with_suffix, CAPTIONS) if path.is_file()), None)
