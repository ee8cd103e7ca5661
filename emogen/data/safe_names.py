"""Names of output files that a table gives: inside the output folder, and no two of them one file."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

_LONGEST = 255  # bytes of one name, on nearly every file system
_NEVER = re.compile(r'[\x00-\x1f\x7f:*?"<>|]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


def safe_name(name: str, folder: str | Path) -> Path:
    """Where a file of that name lies in the folder.

    Args:
        name: relative to the folder, or an absolute path inside it.
        folder: the output folder; it need not exist.

    Raises:
        ValueError: the name leaves the folder (also through a link in it), is empty or a folder's, or is one that
            some system cannot store.
    """
    folder = Path(folder)
    text = name.replace("\\", "/")
    inside = PurePosixPath(text)
    if inside.is_absolute():
        inside = PurePosixPath(os.path.relpath(os.path.normpath(text), os.path.abspath(folder)))
    if ".." in inside.parts or PureWindowsPath(name).is_absolute():
        raise ValueError(f"{name!r} leaves the output folder {folder}; give a name inside it")
    if not text.strip() or text.endswith("/") or not inside.name:
        raise ValueError(f"{name!r} names no file; give a file name such as joy.mp4")
    for part in inside.parts:
        if bad := _NEVER.search(part):
            raise ValueError(
                f"{name!r} has the character {bad[0]!r}, which file names cannot have everywhere; leave it out"
            )
        if part != part.strip() or part.endswith("."):
            raise ValueError(
                f"{part!r} begins or ends with a space, or ends with a dot; some systems cannot store that"
            )
        if _DEVICES.match(part):
            raise ValueError(f"{part!r} is a device's name on Windows; choose another")
        if len(part.encode("utf-8", "surrogatepass")) > _LONGEST:
            raise ValueError(f"the name {part[:20]!r}... is longer than {_LONGEST} bytes; shorten it")
    path = folder / inside
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise ValueError(f"{name!r} leaves the output folder {folder} through a link; give a name inside it")
    return path


def name_key(path: str | Path) -> str:
    """Equal for two paths that some file system takes for one: case and the form of accents do not count."""
    folded = unicodedata.normalize("NFD", os.path.normpath(path)).casefold()
    return unicodedata.normalize("NFC", folded)


class TakenNames:
    """The output names given so far, each with the row that gave it."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[str, str]] = {}

    def add(self, path: str | Path, row: str) -> None:
        """Note a row's output; `row` says which row, such as "row 3". A row may come again with the same output.

        Raises:
            ValueError: another row has that name, or one that some file system takes for it.
        """
        before, as_written = self._rows.setdefault(name_key(path), (row, str(path)))
        if before != row:
            same = "" if as_written == str(path) else f", written {as_written}"
            raise ValueError(f"output {path} is that of {before} too{same}; give every row a name of its own")
