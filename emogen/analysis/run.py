"""Running the analyses one after the other, and what they leave in the output folder.

OUT/report.html     the page, which needs no other file
OUT/analysis.json   every result: analysis, name, value, low, high, n, note
OUT/tables/*.csv    the tables behind the pictures
OUT/figures/*.svg   the pictures
OUT/*.json          what other programs read, such as emogen_priors.json
"""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import REGISTRY, Analysis, NotPossible, Settings
from emogen.analysis.page import Part, page
from emogen.files import only_writer, remove_leftovers, write_json, write_text

_HOW = {
    "emotion": "label the clips (`emogen data label`, or `emotion` in the metadata)",
    "caption": "add captions (`emogen data caption`, or `caption` in the metadata)",
    "saturation": "measure the clips (`emogen data attributes`)",
    "answers": "give people's votes (`emogen data votes`, or --votes)",
}
_NAMES = {"answers": "votes of people"}


def chosen(only: Sequence[str] | None) -> list[Analysis]:
    """The analyses of these names, in the order of the registry; all of them for None.

    Raises:
        ValueError: there is no such analysis.
    """
    for name in only or ():
        if name not in REGISTRY:
            raise ValueError(f"--only {name}: there is no such analysis; there are {', '.join(REGISTRY)}")
    return [analysis for analysis in REGISTRY.values() if not only or analysis.name in only]


def analyze(
    clips: Clips,
    output: str | Path,
    settings: Settings | None = None,
    only: Sequence[str] | None = None,
    done: Callable[[str], Any] = lambda name: None,
) -> list[Part]:
    """Run the analyses and write their results.

    Args:
        output: folder, made if it is missing; an earlier page in it is replaced.
        only: names of analyses.
        done: called with an analysis' name after it.

    Raises:
        ValueError: an unknown analysis, or a setting's file is wrong.
        FolderInUse: another process writes there.
    """
    settings, output = settings or Settings(), Path(output)
    picked = chosen(only)
    parts = []
    for analysis in picked:
        parts.append(_part(analysis, clips, settings))
        done(analysis.name)
    with only_writer(output):
        remove_leftovers(output)
        _write(parts, clips, output)
    return parts


def _part(analysis: Analysis, clips: Clips, settings: Settings) -> Part:
    for column in analysis.needs:
        there = bool(clips.answers) if column == "answers" else clips.where(clips.usable).has(column)
        if not there:
            way = f"; {_HOW[column]}" if column in _HOW else ""
            return Part(analysis, None, f"No clip has {_NAMES.get(column, column)}{way}.")
    try:
        return Part(analysis, analysis.run(clips, settings), None)
    except NotPossible as error:
        return Part(analysis, None, str(error))


def _write(parts: Sequence[Part], clips: Clips, output: Path) -> None:
    for folder in ("tables", "figures"):
        shutil.rmtree(output / folder, ignore_errors=True)
    results: list[dict[str, Any]] = []
    for part in parts:
        name = part.analysis.name
        if part.found is None:
            empty = {"value": None, "low": None, "high": None, "n": 0}
            results.append({"analysis": name, "name": "not possible", **empty, "note": part.why})
            continue
        results += [{"analysis": name, **finite(asdict(result))} for result in part.found.results]
        for stem, drawn in part.found.pictures.items():
            write_text(output / "figures" / f"{stem}.svg", drawn.svg)
        for stem, rows in part.found.tables.items():
            write_text(output / "tables" / f"{stem}.csv", as_csv(rows))
        for file, value in part.found.files.items():
            write_json(output / file, finite(value))
    write_json(output / "analysis.json", results)
    write_text(output / "report.html", page(parts, clips))


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV; the columns of all rows in the order they are met."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in finite(row).items()} for row in rows)
    return buffer.getvalue()


def finite(value: Any) -> Any:
    """A value as JSON can hold it: numpy's numbers become Python's, NaN and infinity None."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    json.dumps(value)  # anything else must be JSON already
    return value
