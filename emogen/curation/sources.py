"""The files that clips come from: what lies below a folder, and the list of it that an output folder keeps.

    OUT/sources/FOLDER-SHARD-RANDOM.jsonl

The list says of every file where it lies and what the user says of all of them (domain, licence ...); what the file is
like, `ingest` finds out and keeps by contents. So a file that was moved, or is now of another domain, is listed anew
and not read again, and a file that is gone or was changed leaves the table.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emogen.curation.held import Met
from emogen.curation.runner import is_mine
from emogen.curation.sequences import MADE, Sequence, numbered
from emogen.curation.stage import Row, StageError
from emogen.files import fingerprint_bytes, fingerprint_file

BESIDE = (".csv", ".json", ".jsonl", ".log", ".md", ".parquet", ".pdf", ".srt", ".tsv", ".txt", ".vtt", ".xml", ".yaml")
"""Endings of files that lie beside clips and are none; they are not ingested."""

GROUPS = ("file", "folder")
LISTS = "sources"
FASTEST = 1000.0


@dataclass(frozen=True)
class _Found:
    """A file below the folder, or the first picture of a sequence.

    Attributes:
        name: below the folder, as text.
        problem: what is wrong with it already.
    """

    name: str
    path: Path
    problem: str | None = None
    sequence: Sequence | None = None


@dataclass(frozen=True)
class SourceFiles:
    """A row a file below a folder, in the order of names, for `ingest` to work on; read anew each time it is gone
    through. Hidden files and those that lie beside clips (`BESIDE`) are left out. Links are followed.

    Args:
        domain: such as movie, animation, sticker.
        group_by: "file": a file's clips are a group (a film); "folder": all files of one folder are (a character).
        about: further columns for all rows, such as `license` and `origin`.
        output: the output folder. It is left out if it lies below, and takes the clips that are made of sequences.
        sequence_fps: numbered pictures of one folder and name are the frames of one clip, so many a second; None: each
            is a still of its own.
        shard: the share of the files that is taken (see `runner.How`); others are not even opened.

    Raises:
        StageError: no such folder, or no files in it.
    """

    folder: Path
    domain: str
    group_by: str = "file"
    about: Mapping[str, str] = field(default_factory=dict)
    output: Path | None = None
    sequence_fps: float | None = None
    shard: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder).resolve())
        if self.output is not None:
            object.__setattr__(self, "output", Path(self.output).resolve())
        if self.sequence_fps is not None and not (0 < self.sequence_fps <= FASTEST and self.output is not None):
            raise StageError(f"the pictures of a sequence a second are {self.sequence_fps:g}; give 0 to {FASTEST:g}")
        if not self.folder.is_dir():
            what = "is a file; give the folder that it lies in" if self.folder.exists() else "no such folder"
            raise StageError(f"{self.folder}: {what}")
        if self.group_by not in GROUPS:
            raise StageError(f"group_by is one of {', '.join(GROUPS)}, not {self.group_by!r}")
        if next(self._all(), None) is None:
            raise StageError(f"{self.folder}: holds no files that could be clips")

    def __len__(self) -> int:
        return sum(1 for _ in self._mine())

    def __iter__(self) -> Iterator[Row]:
        for found in self._mine():
            problem, digest, made = found.problem, "unusable", {}
            try:
                problem = problem or _problem(found.path)
                if problem is None and found.sequence is not None:
                    digest, made = found.sequence.fingerprint(), self._made(found)
                elif problem is None:
                    digest = fingerprint_file(found.path)
            except OSError as error:
                problem = f"cannot be read: {error.strerror or error}"
            except StageError as error:
                problem = str(error)
            row: Row = {
                "source_key": f"{found.name}|{digest}",
                "source_path": found.name,
                "source_folder": str(self.folder),
                "source_sha256": digest,
                "domain": self.domain,
                "group": found.name if self.group_by == "file" else os.path.dirname(found.name) or ".",
                **made,
                **self.about,
            }
            yield row if problem is None else row | {"unusable": problem}

    def _made(self, found: _Found) -> Row:
        """Where the clip will lie that is made of a sequence."""
        base = self.output / MADE / fingerprint_bytes(str(self.folder).encode())[:12]
        return {"source_folder": str(base), "source_path": found.name + found.sequence.ending(),
                "frames_from": found.sequence.to_text()}  # fmt: skip

    def _mine(self) -> Iterator[_Found]:
        for found in self._all():
            if self.shard[1] == 1 or is_mine(fingerprint_bytes(found.name.encode()), self.shard):
                yield found

    def _all(self) -> Iterator[_Found]:
        seen: set[tuple[int, int]] = set()  # a link may lead back up

        def below(folder: Path, inside: str) -> Iterator[_Found]:
            try:
                about = folder.stat()
                names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
            except OSError as error:
                yield _Found(_said(inside.rstrip("/")), folder, f"the folder cannot be read: {error.strerror or error}")
                return
            if (about.st_dev, about.st_ino) in seen:
                return
            seen.add((about.st_dev, about.st_ino))
            sequences = numbered(names) if self.sequence_fps is not None else {}
            frames = {name: key for key, several in sequences.items() for name in several}
            told = set()
            for name in names:
                path, whole = folder / name, f"{inside}{name}"
                if path == self.output:
                    continue
                if path.is_dir():
                    yield from below(path, f"{whole}/")
                elif name in frames:
                    if frames[name] not in told:
                        told.add(frames[name])
                        sequence = Sequence(str(folder), *frames[name], float(self.sequence_fps))
                        alone = len(sequences) == 1 and inside
                        word = inside.rstrip("/") if alone else inside + (frames[name][0].rstrip("_-. ") or "frames")
                        yield _Found(_said(word), path, _no_text(word), sequence)
                elif not name.lower().endswith(BESIDE):
                    yield _Found(_said(whole), path, _no_text(whole))

        yield from below(self.folder, "")


def _said(name: str) -> str:
    """The name as text that every table can hold."""
    return name.encode("utf-8", "backslashreplace").decode()


def _no_text(name: str) -> str | None:
    return None if _said(name) == name else "its name is no UTF-8 text; rename it"


def _problem(path: Path) -> str | None:
    """Why a file cannot be opened without harm: reading a pipe, say, never ends."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is a link to a file that is gone"
    return None if stat.S_ISREG(mode) else "is no file but a pipe, socket or device"


class SourceList:
    """The files of a folder, listed in the output folder as they are gone through. A list that was not finished counts
    as far as it goes, beside older ones; one that is takes their place, and that of lists of folders that are gone.

    Args:
        output: the output folder.

    Attributes:
        forgotten: folders that are gone, when the list is finished.
    """

    def __init__(self, output: str | Path, files: SourceFiles):
        self.files, self.forgotten = files, []
        self._of = f"{fingerprint_bytes(str(files.folder).encode())[:12]}-{files.shard[0]}of{files.shard[1]}-"
        self._base = Path(output) / LISTS
        self._path = self._base / f"{self._of}{secrets.token_hex(4)}.jsonl"

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Row]:
        self._base.mkdir(parents=True, exist_ok=True)
        with open(self._path, "w", encoding="utf-8") as file:
            file.write(json.dumps({"files": len(self), "folder": str(self.files.folder)}) + "\n")
            for row in self.files:
                file.write(json.dumps(row) + "\n")
                file.flush()  # the list goes before the work: what is worked on is listed
                yield row
            os.fsync(file.fileno())
        same = self._of if self.files.shard[1] > 1 else self._of[:13]
        for old in self._base.glob("*.jsonl"):
            folder = str(_head(old).get("folder", ""))
            gone = bool(folder) and not Path(folder).is_dir()
            if gone and folder not in self.forgotten:
                self.forgotten.append(folder)
            if old != self._path and (gone or old.name.startswith(same)):
                old.unlink(missing_ok=True)


def listed_sources(output: str | Path) -> Iterator[Row]:
    """The rows of all lists of an output folder, each file once, as the newest list has it."""
    met = Met()
    for path in _lists(output):
        with open(path, "rb") as file:
            for line in file:
                row = _line(line)
                if "source_key" in row and met.add(f"{row['source_folder']}|{row['source_path']}"):
                    yield row


def count_files(output: str | Path) -> int:
    """How many files the folders hold that have been ingested or are being."""
    newest: dict[str, int] = {}
    for path in _lists(output):
        newest.setdefault(path.name.rpartition("-")[0], int(_head(path).get("files", 0)))
    return sum(newest.values())


def _lists(output: str | Path) -> list[Path]:
    """The newest first."""
    return sorted((Path(output) / LISTS).glob("*.jsonl"), key=lambda path: (path.stat().st_mtime, path.name))[::-1]


def _head(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return _line(file.readline())


def _line(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}  # torn
    return found if isinstance(found, dict) else {}
