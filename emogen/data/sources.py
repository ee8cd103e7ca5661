"""Where a data set's metadata lies: a file, a folder with or without split folders, or a data set of the hub."""

from __future__ import annotations

import glob
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from emogen.data.tables import NAMES, SUFFIXES, RecordError

_SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "validation": "val", "valid": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MANY = 1000  # clips asked for by name; more are asked for by folder and ending


class NoMetadataError(RecordError):
    """A folder holds no metadata file."""


@dataclass(frozen=True)
class Table:
    """A metadata file of a data set."""

    path: Path
    prefix: str = ""
    """Its folder inside the data set, "" or ending in a slash."""

    is_remote: bool = False
    """Whether its clips are still to be downloaded."""

    @property
    def name(self) -> str:
        """The file's name inside the data set; "" for a folder that is sorted by emotions and has no such file."""
        return "" if self.path.is_dir() else self.prefix + self.path.name

    @property
    def folder(self) -> Path:
        """What names of clips are relative to."""
        return self.path if self.path.is_dir() else self.path.parent


def normal_split(word: str) -> str:
    """The split that a word stands for, in any case: "train", "val" or "test".

    Raises:
        ValueError: it is none of the words that Hugging Face uses for these.
    """
    split = _SPLITS.get(word.strip().lower())
    if split is None:
        raise ValueError(f"'split' is {word!r}; write train, val or test, or leave the row out")
    return split


def inside_folder(file_name: str, table: Table) -> str:
    """The name of a clip with slashes, relative to the folder of its table. Backslashes, as Windows writes them, are
    read as slashes if the clip is found so.

    Raises:
        ValueError: it lies outside the folder, or its backslashes lead nowhere.
    """
    slashed = file_name.replace("\\", "/")
    parts = PurePosixPath(slashed).parts
    if ".." in parts or slashed.startswith("/") or PureWindowsPath(file_name).drive:
        raise ValueError(f"file_name {file_name!r} must lie inside the metadata's folder")
    if "\0" in file_name:
        raise ValueError(f"file_name {file_name!r} holds a zero character")
    if slashed == file_name or (table.folder / file_name).exists():
        return file_name
    if not table.is_remote and not (table.folder / slashed).exists():
        raise ValueError(f"file_name {file_name!r}: no such file; write the path with / and check it")
    return slashed


def split_of_path(file_name: str) -> str | None:
    """The split that one of a file's two outermost folders is named after, as in `train/a.mp4`, `data/valid/a.mp4`."""
    folders = PurePosixPath(file_name).parts[:-1][:2]
    return next((_SPLITS[folder.lower()] for folder in folders if folder.lower() in _SPLITS), None)


def find_tables(folder: Path) -> list[Table]:
    """The metadata files of a folder: its own, or those of its subfolders down to the second level.

    Raises:
        NoMetadataError: there is none.
        RecordError: two would describe the same clips.
    """
    found = []
    for level in ("", "*/", "*/*/"):
        for name in NAMES:
            inside = (path.relative_to(folder) for path in folder.glob(level + name) if path.is_file())
            found += [path for path in inside if not any(part.startswith(".") for part in path.parts)]
    if not found:
        raise NoMetadataError(
            f"{folder}: no such file as {', '.join(NAMES[:-1])} or {NAMES[-1]}, here or in folders like train/ and "
            "validation/; it holds one row a clip with file_name, caption and emotion. Or sort the clips into folders "
            "named by emotions, such as joy/a.mp4 with its caption in joy/a.txt; or fill in the table that "
            "`emogen data template FOLDER` writes"
        )
    for outer in found:
        for inner in found:
            if inner != outer and inner.is_relative_to(outer.parent):
                raise RecordError(
                    f"{folder}: {outer} and {inner} would describe the same clips; keep one, or name the file to read"
                )
    found.sort(key=lambda path: (_order(path), path))
    return [Table(folder / path, "".join(f"{part}/" for part in path.parent.parts)) for path in found]


def _order(path: Path) -> int:
    splits = ("train", "val", "test")
    split = split_of_path(path.as_posix())
    return splits.index(split) if split else len(splits)


def is_hub_id(source: str | Path) -> bool:
    """Whether this is no file or folder and could name a data set of the hub ("owner/name")."""
    text = str(source)
    if Path(source).exists() or Path(text).suffix.lower() in SUFFIXES:
        return False
    return bool(_HUB_ID.fullmatch(text))


def fetch_metadata(name: str, revision: str | None = None) -> Path:
    """Download the metadata files of a data set of the hub; returns the folder they lie in.

    Raises:
        RecordError: there is no such data set, no way to it, or no connection.
    """
    return _fetch(name, revision, [*NAMES, *(f"*/{file}" for file in NAMES)])


def fetch_clips(name: str, revision: str | None, folder: Path, file_names: Iterable[str]) -> None:
    """Download the clips of a data set of the hub beside its metadata in `folder`, at the same commit.

    Raises:
        RecordError: as `fetch_metadata`, or the clips came to lie elsewhere.
    """
    names = [posixpath.normpath(name) for name in file_names]
    if len(names) > _MANY:  # every file of the repository is matched against every pattern
        paths = [PurePosixPath(name) for name in names]
        patterns = sorted({f"{glob.escape(str(path.parent / 'x')[:-1])}*{glob.escape(path.suffix)}" for path in paths})
    else:
        patterns = [glob.escape(name) for name in names]
    if _COMMIT.fullmatch(folder.name):
        revision = folder.name
    where = _fetch(name, revision, patterns)
    if where != folder:
        raise RecordError(f"{name}: the data set changed on the hub between two downloads; start again")


def _fetch(name: str, revision: str | None, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub's client and what it stands on raise all sorts; what counts is the name
        what = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise RecordError(
            f"{name}: no such folder here, and as a data set of the Hugging Face hub it cannot be had: {what}. "
            "Check the name; offline, give a folder that holds metadata.jsonl; for a private or gated data set run "
            "`hf auth login`"
        ) from error
