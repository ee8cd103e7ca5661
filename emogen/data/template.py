"""A table to fill: the clips of a folder, a row each, with what the folders' names and the texts beside them say."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

from emogen.data.sorted_folder import NOT_GIVEN, clips_below, sorted_rows
from emogen.data.sources import NoMetadataError, find_tables
from emogen.files import write_text

NAME, COLUMNS = "metadata.csv", ("file_name", "caption", "emotion")


class Template(NamedTuple):
    """A table that was written: its rows, and how many of them still lack an emotion."""

    path: Path
    rows: int
    without_emotion: int


def write_template(folder: str | Path) -> Template:
    """Write `metadata.csv` into a folder of clips, for a person to fill.

    Raises:
        ValueError: it is no folder, holds no clips, or has metadata already.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; give the one that holds your clips")
    try:
        there = find_tables(folder)
    except NoMetadataError:
        there = []
    if there:
        raise ValueError(f"{there[0].path}: is there already; fill that, or move it away")
    names = clips_below(folder)
    if not names:
        raise ValueError(f"{folder}: holds no clips or pictures, such as a.mp4 or b.webp")
    known = {row["file_name"]: row for _, row in sorted_rows(folder) if isinstance(row, dict)}
    lines, blank = [], 0
    for path in names:
        row = known.get(path.as_posix(), {})
        emotion = "" if row.get("label_source", NOT_GIVEN) == NOT_GIVEN else row["emotion"]
        blank += not emotion
        lines.append((path.as_posix(), row.get("caption", ""), emotion))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *lines])
    write_text(folder / NAME, text.getvalue())
    return Template(folder / NAME, len(lines), blank)
