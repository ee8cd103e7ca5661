"""What parts hold, found by key, on the disk and not in memory: a set of a million clips needs no more of it than one
of a thousand.

SQLite keeps the keys in a temporary file of its own, which vanishes with the process, with where in the parts each
result stands. A result is read from there when it is asked for.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from emogen.curation.stage import Row

_CACHE = 64  # KiB of each base; the rest is the operating system's to keep
_OPEN = 32  # files at once


@dataclass(frozen=True)
class Result:
    """What came of one row.

    Args:
        key: of the row that was worked on.
        rows: what the stage made of it; empty after an error.
        error: None, or why it failed.
        seconds: of work, the tries before included.
        tries: how often it was begun.
        by, when: the process, and the time in seconds since 1970.
    """

    key: str
    rows: list[Row] = field(default_factory=list)
    error: str | None = None
    seconds: float = 0.0
    tries: int = 1
    by: str = ""
    when: float = 0.0


_NAMES = tuple(Result.__dataclass_fields__)


class Held(Mapping[str, Result]):
    """Key -> result of all lines in a folder of parts, as they were when this was made; in the order of keys.

    A torn line counts as not there. Where several lines have one key, a success counts before an error, and a later one
    before an earlier one.

    Args:
        folder: of JSON lines; one that is missing holds nothing.
    """

    def __init__(self, folder: str | Path):
        self.columns: set[str] = set()
        """The names of the values in all rows."""
        self._paths = sorted(Path(folder).glob("*.jsonl"))
        self._open: dict[int, BinaryIO] = {}
        self._base = _temporary("CREATE TABLE held (key TEXT PRIMARY KEY, error TEXT, at REAL, file INTEGER, "
                                "place INTEGER) WITHOUT ROWID")  # fmt: skip
        self._base.execute("BEGIN")
        self._base.executemany(
            "INSERT INTO held VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
            "error = excluded.error, at = excluded.at, file = excluded.file, place = excluded.place "
            "WHERE (excluded.error IS NULL, excluded.at) >= (held.error IS NULL, held.at)",
            self._lines(),
        )
        self._base.execute("COMMIT")

    def _lines(self) -> Iterator[tuple[str, str | None, float, int, int]]:
        for number, path in enumerate(self._paths):
            with open(path, "rb") as file:
                place = 0
                for line in file:
                    result = _parsed(line)
                    if result is not None:
                        for row in result.rows:
                            self.columns.update(row)
                        yield result.key, result.error, result.when, number, place
                    place += len(line)

    def __getitem__(self, key: str) -> Result:
        found = self._base.execute("SELECT file, place FROM held WHERE key = ?", (key,)).fetchone()
        if found is None:
            raise KeyError(key)
        file = self._file(found[0])
        file.seek(found[1])
        result = _parsed(file.readline())
        if result is None:
            raise ValueError(f"{self._paths[found[0]]}: was changed while it was read; run the command again")
        return result

    def __iter__(self) -> Iterator[str]:
        for (key,) in self._base.execute("SELECT key FROM held ORDER BY key"):
            yield key

    def __len__(self) -> int:
        return self._base.execute("SELECT COUNT(*) FROM held").fetchone()[0]

    def __contains__(self, key: object) -> bool:
        return self._base.execute("SELECT 1 FROM held WHERE key = ?", (key,)).fetchone() is not None

    def is_done(self, key: str) -> bool:
        """Whether there is a result, and no error."""
        return self._base.execute("SELECT 1 FROM held WHERE key = ? AND error IS NULL", (key,)).fetchone() is not None

    def count_done(self) -> int:
        """How many results are no errors."""
        return self._base.execute("SELECT COUNT(*) FROM held WHERE error IS NULL").fetchone()[0]

    def errors(self) -> Counter[str]:
        """Reason -> how many rows have failed for it."""
        query = "SELECT error, COUNT(*) FROM held WHERE error IS NOT NULL GROUP BY error"
        return Counter(dict(self._base.execute(query)))

    def _file(self, number: int) -> BinaryIO:
        if number not in self._open:
            if len(self._open) >= _OPEN:
                self._open.pop(next(iter(self._open))).close()
            self._open[number] = open(self._paths[number], "rb")  # noqa: SIM115
        return self._open[number]

    def __del__(self) -> None:
        for file in getattr(self, "_open", {}).values():
            file.close()
        if hasattr(self, "_base"):
            self._base.close()


class Met:
    """Keys that have been met."""

    def __init__(self) -> None:
        self._base = _temporary("CREATE TABLE met (key TEXT PRIMARY KEY) WITHOUT ROWID")

    def add(self, key: str) -> bool:
        """Whether the key is new."""
        return self._base.execute("INSERT OR IGNORE INTO met VALUES (?)", (key,)).rowcount > 0

    def __contains__(self, key: str) -> bool:
        return self._base.execute("SELECT 1 FROM met WHERE key = ?", (key,)).fetchone() is not None

    def __del__(self) -> None:
        if hasattr(self, "_base"):
            self._base.close()


def _temporary(schema: str) -> sqlite3.Connection:
    base = sqlite3.connect("", isolation_level=None)
    base.execute(f"PRAGMA cache_size = -{_CACHE}")
    base.execute("PRAGMA journal_mode = OFF")
    base.execute("PRAGMA synchronous = OFF")
    base.execute(schema)
    return base


def _parsed(line: bytes) -> Result | None:
    try:
        values: Any = json.loads(line)
        result = Result(**{name: values[name] for name in _NAMES if name in values})
    except (ValueError, TypeError, KeyError):
        return None
    well = isinstance(result.key, str) and isinstance(result.rows, list) and isinstance(result.error, (str, type(None)))
    return result if well and line.endswith(b"\n") else None
