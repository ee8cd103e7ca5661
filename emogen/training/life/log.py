"""`log.jsonl`: a line for every reading of the losses, of one run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from emogen.files import write_text


class RunLog:
    """Appends lines; a killed run leaves at most half a line."""

    def __init__(self, path: Path):
        self.path = path

    def begin(self, step: int, say: Callable[[str], None]) -> None:
        """Drop the lines of steps that will be run again. A run that begins puts what another left aside."""
        if not self.path.is_file():
            return
        if step == 0:
            aside = self.path.with_name("log.before.jsonl")
            self.path.replace(aside)
            say(f"the log of a run without a checkpoint is put aside as {aside}")
            return
        lines = [line for line in self.path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        write_text(self.path, "".join(line + "\n" for line in kept))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
