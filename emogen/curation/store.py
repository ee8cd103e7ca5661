"""What has been done, as lines appended to files: a stage's parts.

    OUT/parts/STAGE/VERSION-SETTINGS/HOST-PID-RANDOM.jsonl

Every process that drives a stage appends to a file of its own, so that nothing is locked and several machines may share
a network folder. A line holds a row's key, what came of it, and who made it when. A last line that was torn by a crash
is ignored. Where several lines have one key, a success counts before an error, and a later one before an earlier one.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emogen.curation.stage import Row, Stage

PARTS = "parts"


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


class Parts:
    """A stage's results in an output folder."""

    def __init__(self, output: str | Path, stage: Stage):
        self.folder = Path(output) / PARTS / stage.name / stage.folder
        self._me = f"{socket.gethostname()}-{os.getpid()}"
        self._file: Any = None

    def append(self, result: Result) -> None:
        """Add a result. It is on the disk when this returns."""
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self.folder / f"{self._me}-{secrets.token_hex(4)}.jsonl", "a", encoding="utf-8")  # noqa: SIM115
        line = asdict(result) | {"by": result.by or self._me, "when": round(result.when or time.time(), 3)}
        self._file.write(json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """End the file of this process; the next `append` begins another."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self) -> dict[str, Result]:
        """Key -> result, for every row that is done or has failed, in the order of first appearance."""
        found: dict[str, Result] = {}
        for result in self._lines():
            before = found.get(result.key)
            if before is None or (before.error is not None) or result.error is None:
                found[result.key] = result
        return found

    def _lines(self) -> Iterator[Result]:
        names = {name for name in Result.__dataclass_fields__}
        for path in sorted(self.folder.glob("*.jsonl")):
            for line in path.read_bytes().split(b"\n"):  # not splitlines(): U+2028 may stand in a caption
                try:
                    values = json.loads(line)
                    yield Result(**{name: values[name] for name in names if name in values})
                except (ValueError, TypeError):
                    continue  # a torn line: its row counts as not done


def stages_of(output: str | Path) -> dict[str, list[Path]]:
    """Stage -> the folders of its parts, the one written last at the end."""
    base = Path(output) / PARTS
    found: dict[str, list[Path]] = {}
    for folder in sorted(base.glob("*/*")) if base.is_dir() else ():
        if folder.is_dir():
            found.setdefault(folder.parent.name, []).append(folder)
    for folders in found.values():
        folders.sort(key=lambda folder: max((p.stat().st_mtime for p in folder.glob("*.jsonl")), default=0.0))
    return found
