"""An output folder of curation: which stages have run there with which settings, and the table they come to.

OUT/stages.json        stage -> its version, settings and parts' folder, in the order of work
OUT/parts/             what the stages made (`store`)
OUT/votes.parquet      every vote, a row each
OUT/clips.parquet      the working table, a row a clip (`columns`)
OUT/work.parquet       a row a result of a stage: version, settings, by whom, when, seconds, tries, error
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emogen.curation.columns import as_table
from emogen.curation.stage import Row, Stage
from emogen.curation.store import PARTS, Parts, Result
from emogen.files import atomic, fingerprint_value, write_json

STAGES = ("ingest", "scenes", "about", "attributes", "caption", "suggest", "judge", "merge", "split")
"""In the order of work. `ingest` makes a row a source, `scenes` a row a clip; the others add columns to clips, so that
of labels those of people (`merge`) come after a model's (`judge`), and these after imported ones (`about`)."""

_NO_LABEL = ("no majority", "no specific emotion")
"""What people say against a label that stood before; too few votes say nothing against it."""


class WorkspaceError(ValueError):
    """The folder cannot be used for what is asked; the message says what to run first."""


@dataclass(frozen=True)
class Status:
    """How far a stage is: how many rows are done, have failed, and wait; the reasons with their counts."""

    stage: str
    done: int
    failed: int
    pending: int
    reasons: Mapping[str, int]


class Workspace:
    """An output folder.

    Args:
        folder: made when a stage first runs.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._file = self.folder / "stages.json"

    def stages(self) -> dict[str, dict[str, Any]]:
        """Stage -> what it ran with, in the order of work.

        Raises:
            WorkspaceError: `stages.json` is damaged.
        """
        if not self._file.is_file():
            return {}
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            return {name: found[name] for name in STAGES if name in found}
        except (ValueError, TypeError) as error:
            raise WorkspaceError(
                f"{self._file}: not readable ({error}); remove it and run the stages again: "
                "what they made is kept and found again"
            ) from error

    def register(self, stage: Stage) -> None:
        """Say that the stage's results are now those of these settings. What other settings made stays in the parts."""
        known = self.stages()
        entry = {"version": stage.version, "settings": dict(stage.settings), "folder": stage.folder, "key": stage.key}
        if known.get(stage.name) != entry:
            known[stage.name] = entry
            write_json(self._file, known)

    def results(self, name: str) -> dict[str, Result]:
        """Key -> result of a stage, with the settings it last ran with; nothing if it has not run."""
        entry = self.stages().get(name)
        return _Folder(self.folder / PARTS / name / entry["folder"]).read() if entry else {}

    def sources(self) -> list[Row]:
        """A row a source file: what `ingest` found, or with `error` why it could not be read."""
        return [
            row
            for key, result in self.results("ingest").items()
            for row in (result.rows or [_failed(key, "ingest", result.error)])
        ]

    def clips(self) -> list[Row]:
        """The table: a row a clip with every stage's columns. A source or a clip that a stage failed on is a row too,
        with `error`."""
        sources = {row["source_key"]: row for row in self.sources()}
        rows: list[Row] = [row for row in sources.values() if row.get("error")]
        clips: dict[str, Row] = {}
        for key, result in self.results("scenes").items():
            source = sources.get(key, {})
            if result.error is not None:
                rows.append({**source, "error": result.error, "stage": "scenes"})
            for scene in result.rows:
                row = {**source, "source_duration": source.get("duration"), **scene, "stage": "scenes"}
                if row["clip_id"] in clips:
                    row["duplicate_of"] = row["clip_id"]
                    row["clip_id"] = f"{row['clip_id']}-{fingerprint_value(key)[:6]}"
                clips[row["clip_id"]] = row
        for name in STAGES[2:]:
            for key, result in self.results(name).items():
                row = clips.get(key)
                if row is None:
                    continue
                row["stage"] = name
                if result.error is not None:
                    row["error"] = result.error
                for values in result.rows:
                    if name == "judge" and row.get("emotion"):  # an imported label stays
                        values = {k: v for k, v in values.items() if k not in ("emotion", "label_kind")}
                    row.update({k: v for k, v in values.items() if k != "clip_id" and v is not None})
                    if name == "merge" and values.get("no_label") in _NO_LABEL:
                        row.update(emotion=None, label_kind=None)
                    elif values.get("emotion"):
                        row["no_label"] = None
        return [*clips.values(), *rows]

    def join(self) -> Path:
        """Write `clips.parquet`, and `work.parquet` with who made what when; each whole or not at all. Returns the
        path of the first."""
        import pyarrow
        import pyarrow.parquet as parquet

        if work := self.work():
            with atomic(self.folder / "work.parquet") as temporary:
                parquet.write_table(pyarrow.Table.from_pylist(work), temporary)

        path = self.folder / "clips.parquet"
        with atomic(path) as temporary:
            parquet.write_table(as_table(self.clips()), temporary)
        return path

    def work(self) -> list[Row]:
        """A row for each result of each stage, with what it was made with: the columns of `work.parquet`."""
        return [
            {
                "stage": name, "key": key, "version": entry["version"], "settings": json.dumps(entry["settings"]),
                "by": result.by, "when": result.when, "seconds": result.seconds, "tries": result.tries,
                "error": result.error,
            }
            for name, entry in self.stages().items()
            for key, result in self.results(name).items()
        ]  # fmt: skip

    def put(self, stage: Stage, rows: Iterable[Row]) -> None:
        """The results of a stage that looks at the whole table at once (merge, split), in place of those it had with
        these settings."""
        parts = Parts(self.folder, stage)
        for old in parts.folder.glob("*.jsonl"):
            old.unlink()
        for row in rows:
            parts.append(Result(str(row[stage.key]), [row]))
        parts.close()
        self.register(stage)

    def status(self) -> list[Status]:
        """Every stage that has run: what is done, what failed and why, what waits for it."""
        found = []
        stages = self.stages()
        sources = [row for row in self.sources() if not row.get("error")]
        clips = [row["clip_id"] for row in self.clips() if row.get("clip_id") and is_kept(row)]
        for name in stages:
            results = self.results(name)
            reasons: dict[str, int] = {}
            for result in results.values():
                if result.error is not None:
                    reasons[result.error] = reasons.get(result.error, 0) + 1
            if name == "ingest":
                waiting = 0
            else:
                keys = [row["source_key"] for row in sources] if name == "scenes" else clips
                waiting = sum(key not in results for key in keys)
            failed = sum(reasons.values())
            found.append(Status(name, len(results) - failed, failed, waiting, reasons))
        return found


class _Folder(Parts):
    """The parts in a folder that is known by its path."""

    def __init__(self, folder: Path):
        self.folder = folder


def _failed(key: str, stage: str, error: str | None) -> Row:
    return {"source_key": key, "source_path": key.partition("|")[0], "error": error, "stage": stage}


def is_kept(row: Row) -> bool:
    """Whether later stages work on a clip: it is not dropped, and no other clip is the same."""
    return not row.get("dropped") and not row.get("duplicate_of")


def rows_for(workspace: Workspace, wanted: Callable[[Row], bool] = lambda row: True) -> list[Row]:
    """The clips that a stage works on: those without an error that are not dropped.

    Raises:
        WorkspaceError: there are none, because the stages before have not run.
    """
    clips = [row for row in workspace.clips() if row.get("clip_id") and not row.get("error") and wanted(row)]
    if not clips:
        raise WorkspaceError(f"{workspace.folder}: holds no clips; run `emogen data ingest` and `emogen data scenes`")
    return clips
