"""What has been done, as lines appended to files: a stage's parts.

    OUT/parts/STAGE/VERSION-SETTINGS/HOST-PID-RANDOM.jsonl

Every process that drives a stage appends to a file of its own, so that nothing is locked and several machines may share
a network folder. A line holds a row's key, what came of it, and who made it when. A last line that was torn by a crash
is ignored; which of several lines with one key counts is said in `held`.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emogen.curation.held import Held, Result
from emogen.curation.stage import Stage
from emogen.files import atomic

PARTS = "parts"
TABLE = "table.jsonl"
"""The file of a stage that looks at the whole set at once."""


class Parts:
    """A stage's results in an output folder."""

    def __init__(self, output: str | Path, stage: Stage):
        self.folder = Path(output) / PARTS / stage.name / stage.folder
        self._me = f"{socket.gethostname()}-{os.getpid()}"
        self._file: Any = None

    def append(self, result: Result) -> None:
        """Add a result. It is on the disk when this returns.

        Raises:
            OSError: the disk is full, or the folder cannot be written to.
        """
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self.folder / f"{self._me}-{secrets.token_hex(4)}.jsonl", "a", encoding="utf-8")  # noqa: SIM115
        self._file.write(self._line(result))
        self._file.flush()
        os.fsync(self._file.fileno())

    def replace(self, results: Iterable[Result]) -> None:
        """These results in place of all that are there."""
        with atomic(self.folder / TABLE) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(map(self._line, results))
        for old in self.folder.glob("*.jsonl"):
            if old.name != TABLE:
                old.unlink()

    def _line(self, result: Result) -> str:
        line = asdict(result) | {"by": result.by or self._me, "when": round(result.when or time.time(), 3)}
        return json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n"

    def close(self) -> None:
        """End the file of this process; the next `append` begins another."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self) -> Held:
        """Key -> result, for every row that is done or has failed by now."""
        return Held(self.folder)
