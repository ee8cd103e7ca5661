"""An output folder of curation: which stages have run there with which settings, and the table they come to.

OUT/stages.json        stage -> its version, settings and parts' folder, in the order of work
OUT/sources/           the files that were ingested (`sources`)
OUT/parts/             what the stages made (`store`)
OUT/votes.parquet      every vote, a row each
OUT/clips.parquet      the working table, a row a clip (`columns`)
OUT/work.parquet       a row a result of a stage: version, settings, by whom, when, seconds, tries, error
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from emogen.curation.columns import as_table, others_of
from emogen.curation.held import Held, Met, Result
from emogen.curation.sources import count_files, listed_sources
from emogen.curation.stage import Row, Stage
from emogen.curation.store import PARTS, Parts
from emogen.files import atomic, fingerprint_value, write_json

STAGES = ("ingest", "scenes", "about", "attributes", "sound", "caption", "suggest", "judge", "merge", "split")
"""In the order of work. `ingest` makes a row a source, `scenes` a row a clip; the others add columns to clips, so that
of labels those of people (`merge`) come after a model's (`judge`), and these after imported ones (`about`)."""

_BATCH = 1000  # rows in memory at once
_WORK = {"stage": "string", "key": "string", "version": "int64", "settings": "string", "by": "string",
         "when": "float64", "seconds": "float64", "tries": "int64", "error": "string"}  # fmt: skip
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

    def results(self, name: str) -> Held:
        """Key -> result of a stage, with the settings it last ran with; nothing if it has not run."""
        entry = self.stages().get(name)
        return Held(self.folder / PARTS / name / (entry["folder"] if entry else "none"))

    def sources(self) -> Iterator[Row]:
        """A row a source file: what `ingest` found, or with `error` why it could not be read. One that it has not come
        to has no `stage`."""
        yield from self._sources(self.results("ingest"))

    def _sources(self, ingested: Held) -> Iterator[Row]:
        for listed in listed_sources(self.folder):
            result = ingested.get(listed["source_key"])
            listed.pop("unusable", None)
            if result is None:
                yield listed
            elif result.error is not None:
                yield {**listed, "error": result.error, "stage": "ingest"}
            else:
                yield {**result.rows[0], **listed, "stage": "ingest"}

    def clips(self) -> Iterator[Row]:
        """The table: a row a clip with every stage's columns. A source or a clip that a stage failed on is a row too,
        with `error`, and so is a source that waits for its scenes; these have no `clip_id`. Rows are made one by one,
        in the order of folders, files and scenes."""
        yield from self._clips({name: self.results(name) for name in STAGES})

    def clips_before(self, stage: str) -> Iterator[Row]:
        """The table as it is before a stage works: with the columns, and the errors, of the stages before it."""
        yield from self._clips({name: self.results(name) for name in STAGES[: STAGES.index(stage)]})

    def _clips(self, held: Mapping[str, Held]) -> Iterator[Row]:
        met = Met()
        later = [(name, one) for name, one in held.items() if name not in STAGES[:2] and one]
        for source in self._sources(held["ingest"]):
            key = source["source_key"]
            cut = held["scenes"].get(key) if source.get("stage") and not source.get("error") else None
            if cut is None:
                yield source
            elif cut.error is not None:
                yield {**source, "error": cut.error, "stage": "scenes"}
            for scene in cut.rows if cut is not None else ():
                row = {**source, "source_duration": source.get("duration"), **scene, "stage": "scenes"}
                if not met.add(row["clip_id"]):
                    row["duplicate_of"] = row["clip_id"]
                    row["clip_id"] = f"{row['clip_id']}-{fingerprint_value([source['source_folder'], key])[:6]}"
                for name, results in later:
                    _add(row, name, results.get(row["clip_id"]))
                yield row

    def join(self) -> Path:
        """Write `clips.parquet`, and `work.parquet` with who made what when; each whole or not at all. Returns the
        path of the first."""
        import pyarrow

        held = {name: self.results(name) for name in STAGES}
        others = others_of({"source_key"}.union(*(one.columns for one in held.values())))
        path = self.folder / "clips.parquet"
        _write_table(path, self._clips(held), lambda rows: as_table(rows, others))
        schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in _WORK.items()])
        _write_table(self.folder / "work.parquet", self._work(held),
                     lambda rows: pyarrow.Table.from_pylist(rows, schema))  # fmt: skip
        return path

    def _work(self, held: Mapping[str, Held]) -> Iterator[Row]:
        """A row for each result of each stage, with what it was made with: the columns of `work.parquet`."""
        for name, entry in self.stages().items():
            for key, result in held[name].items():
                yield {
                    "stage": name, "key": key, "version": entry["version"], "settings": json.dumps(entry["settings"]),
                    "by": result.by, "when": result.when, "seconds": result.seconds, "tries": result.tries,
                    "error": result.error,
                }  # fmt: skip

    def put(self, stage: Stage, rows: Iterable[Row]) -> None:
        """The results of a stage that looks at the whole table at once (merge, split), in place of those it had with
        these settings."""
        Parts(self.folder, stage).replace(Result(str(row[stage.key]), [row]) for row in rows)
        self.register(stage)

    def status(self) -> list[Status]:
        """Every stage that has run: what is done, what failed and why, what waits for it."""
        held = {name: self.results(name) for name in STAGES}
        counts = {name: [0, 0] for name in self.stages()}  # done, waiting
        reasons: dict[str, Counter[str]] = {name: Counter() for name in counts}

        def look(name: str, key: str) -> None:
            if name in counts:
                result = held[name].get(key)
                counts[name][result is None] += result is None or result.error is None
                if result is not None and result.error is not None:
                    reasons[name][result.error] += 1

        for source in self._sources(held["ingest"]):
            look("ingest", source["source_key"])
            if source.get("stage") and not source.get("error"):
                look("scenes", source["source_key"])
        if "ingest" in counts:
            counts["ingest"][1] = max(0, count_files(self.folder) - counts["ingest"][0] - reasons["ingest"].total())
        for row in self._clips(held):
            if row.get("clip_id") and is_kept(row):
                for name in STAGES[2:]:
                    if not row.get("error") or row["clip_id"] in held[name]:  # else no stage takes it
                        look(name, row["clip_id"])
        return [
            Status(name, done, reasons[name].total(), waiting, dict(reasons[name]))
            for name, (done, waiting) in counts.items()
        ]


def _add(row: Row, name: str, result: Result | None) -> None:
    """What a stage made of a clip into its row."""
    if result is None:
        return
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


def _write_table(path: Path, rows: Iterable[Row], as_arrow: Callable[[list[Row]], Any]) -> None:
    """A Parquet file of rows, some of them at a time."""
    import pyarrow
    import pyarrow.parquet as parquet

    rows = iter(rows)
    first = as_arrow(list(islice(rows, _BATCH)))
    with atomic(path) as temporary, parquet.ParquetWriter(temporary, first.schema) as writer:
        writer.write_table(first)
        while batch := list(islice(rows, _BATCH)):
            writer.write_table(as_arrow(batch))
            pyarrow.default_memory_pool().release_unused()


def is_kept(row: Row) -> bool:
    """Whether later stages work on a clip: it is not dropped, and no other clip is the same."""
    return not row.get("dropped") and not row.get("duplicate_of")


@dataclass(frozen=True)
class Rows:
    """Rows that a stage works on, read anew from the disk each time they are gone through."""

    read: Callable[[], Iterable[Row]]
    wanted: Callable[[Row], bool]

    def __iter__(self) -> Iterator[Row]:
        return filter(self.wanted, self.read())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def source_rows(workspace: Workspace) -> Rows:
    """The sources that scenes are looked for in: those that could be read.

    Raises:
        WorkspaceError: there are none.
    """
    rows = Rows(workspace.sources, lambda row: bool(row.get("stage")) and not row.get("error"))
    if next(iter(rows), None) is None:
        raise WorkspaceError(f"{workspace.folder}: holds no source that can be read; run `emogen data ingest` first")
    return rows


def rows_for(workspace: Workspace, wanted: Callable[[Row], bool] = lambda row: True, stage: str | None = None) -> Rows:
    """The clips that a stage works on: those without an error that are wanted.

    Args:
        stage: which; its own errors and those of later stages do not count, so that it can be tried again. None: after
            all stages.

    Raises:
        WorkspaceError: there are none, because the stages before have not run.
    """
    read = workspace.clips if stage is None else lambda: workspace.clips_before(stage)
    rows = Rows(read, lambda row: bool(row.get("clip_id")) and not row.get("error") and wanted(row))
    if next(iter(rows), None) is None:
        why = Counter(row.get("error") or row.get("dropped") or "no scenes yet" for row in read() if row.get("stage"))
        if not why:
            raise WorkspaceError(
                f"{workspace.folder}: holds no clips; run `emogen data ingest` and `emogen data scenes`"
            )
        said = ", ".join(f"{reason}: {number}" for reason, number in why.most_common(3))
        raise WorkspaceError(f"{workspace.folder}: none of its {why.total()} rows is a clip to work on ({said})")
    return rows
