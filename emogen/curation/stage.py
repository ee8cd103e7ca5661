"""What a stage is: a plain function from a row to rows. It knows no engine and no store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emogen.files import fingerprint_value

Row = dict[str, Any]
Work = Callable[[Row, Mapping[str, Any], Path], list[Row]]
"""(row, settings, output folder) -> the rows that come of it: usually one, for a film one a scene."""

WorkOnMany = Callable[[list[Row], Mapping[str, Any], Path], "list[list[Row] | StageError]"]
"""The same for several rows at once, as models like it: what comes of each, or why it cannot be worked on."""


class StageError(ValueError):
    """A row cannot be worked on; the message says why, and stands in the row's `error`."""


@dataclass(frozen=True)
class Stage:
    """One step of curation.

    Args:
        name: such as "attributes"; the folder of its parts.
        version: raise it when the same settings would give another result.
        work: what it does with a row. It must be importable by its name (a function of a module), for it runs in
            other processes. It raises `StageError` for what is wrong with the row.
        settings: JSON values that decide the result; they are part of the parts' folder name.
        key: the column of a row that names its content; a row whose key is in the parts is done.
        timeout: seconds a row may take before its process is ended.
        batch: rows that `many` is given at once; a batch whose process dies is tried again row by row.
        many: works on several rows at once; None: `work` on one after another.
        there: whether the file that a row's work has made, in the output folder, is still there; if not, the work is
            done again. None: it makes none.
    """

    name: str
    version: int
    work: Work
    settings: Mapping[str, Any] = field(default_factory=dict)
    key: str = "clip_id"
    timeout: float = 300.0
    batch: int = 1
    many: WorkOnMany | None = None
    there: Callable[[Row, Path], bool] | None = None

    @property
    def folder(self) -> str:
        """VERSION-SETTINGS, below `parts/NAME`."""
        return f"{self.version}-{fingerprint_value(dict(self.settings))[:12]}"
