"""The working table of `emogen data`, `clips.parquet`, read as a data set as it is: what is not finished is left out.

A clip that is its whole source is read where the source lies; one that is a scene of a film is read where
`emogen data export` has cut it out. The votes' mixture is the emotion where people have voted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TABLE = "clips.parquet"
_EXTRA = ("clip_id", "group", "source_path", "label_kind", "license", "origin", "paper_hue", "paper_colourfulness",
          "paper_brightness")  # fmt: skip


def is_curated(folder: str | Path) -> bool:
    """Whether the folder is an output folder of `emogen data` (and no exported data set)."""
    folder = Path(folder)
    return (folder / TABLE).is_file() and (folder / "stages.json").is_file()


def curated_rows(folder: str | Path) -> tuple[list[tuple[int, Path, dict[str, Any]]], Counter[str]]:
    """The finished clips as (row of the table from 1, where the clip lies, its metadata), and why others are left out,
    counted.

    Raises:
        OSError: the table cannot be read.
    """
    import pyarrow.parquet as parquet

    folder = Path(folder)
    kept, left_out = [], Counter()
    for number, row in enumerate(parquet.read_table(folder / TABLE).to_pylist(), start=1):
        why = _unfinished(row)
        path = None if why else _where(folder, row)
        if path is None:
            left_out[why or "a scene that is not cut out; run `emogen data export`"] += 1
            continue
        kept.append((number, path, _metadata(row, path)))
    return kept, left_out


def _unfinished(row: Mapping[str, Any]) -> str | None:
    if row.get("error"):
        return "failed"
    if row.get("duplicate_of"):
        return "the same clip again"
    if row.get("dropped"):
        return f"dropped: {row['dropped']}"
    if not row.get("emotion"):
        return f"no label: {row.get('no_label') or 'not labelled'}"
    return None


def _where(folder: Path, row: Mapping[str, Any]) -> Path | None:
    whole = row.get("source_duration")
    start, end = row.get("start") or 0.0, row.get("end")
    if row.get("kind") != "video" or (start < 1e-3 and (end is None or whole is None or abs(end - whole) < 1e-3)):
        return Path(row["source_folder"]) / row["source_path"]
    cut = folder / "cuts" / f"{row['clip_id']}.mp4"
    return cut if cut.is_file() else None


def _metadata(row: Mapping[str, Any], path: Path) -> dict[str, Any]:
    part = row.get("split") or "train"
    values = {"file_name": f"{part}/{row['clip_id']}{path.suffix.lower()}", "caption": row.get("caption") or ""}
    values |= {"split": "test", "benchmark": True} if part == "benchmark" else {"split": part}
    values["emotion"] = row["emotion"]
    names = ["domain", "confidence"]
    if row.get("label_kind") == "human" and row.get("emotion_soft"):
        values["emotion"] = row["emotion_soft"]  # it holds the agreement already
    else:
        names += ["intensity", "agreement"]
    values |= {name: row[name] for name in (*names, *_EXTRA) if row.get(name) is not None}
    if values["emotion"] == "neutral":
        values.pop("intensity", None)
    if row.get("label_kind"):
        values["label_source"] = row["label_kind"]
    return values
