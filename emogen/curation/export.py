"""Export: the finished clips as a data set that `train_lora.py`, the judges and Hugging Face's VideoFolder read.

A clip that is its whole source, or a scene that was cut out of it (`cutting`), is linked, or copied where the file
system cannot link.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from emogen.curation.cutting import cut_path, whole_source
from emogen.curation.held import Met
from emogen.curation.stage import Row
from emogen.files import atomic

METADATA = (
    "caption", "emotion", "intensity", "emotion_soft", "split", "domain", "label_kind", "agreement", "confidence",
    "clip_id", "group", "source_path", "start", "end", "license", "origin", "paper_hue", "paper_colourfulness",
    "paper_brightness",
)  # fmt: skip
"""The columns of the working table that go along, beside `file_name`."""
METADATA_FILE = "metadata.jsonl"
PARTS = ("train", "val", "test", "benchmark")
SHARDS = "shards"
SHARD = 1 << 30
_OURS = re.compile(r"[0-9a-f]{16}(-[0-9a-f]{6})?\.\w+")  # CLIP_ID.ENDING


def exportable(rows: Iterable[Row], left_out: Counter[str], soft: bool = False) -> Iterator[Row]:
    """The clips that can be learned from.

    Args:
        rows: of the working table.
        left_out: grows by why others are left out.
        soft: take the votes' mixture as the emotion where there is one, also without a majority.
    """
    for row in rows:
        label = (row.get("emotion_soft") if soft else None) or row.get("emotion")
        if row.get("error"):
            left_out["failed"] += 1
        elif row.get("duplicate_of"):
            left_out["the same clip again"] += 1
        elif row.get("dropped"):
            left_out[f"dropped: {row['dropped']}"] += 1
        elif not label:
            left_out[f"no label: {row.get('no_label') or 'not labelled'}"] += 1
        else:
            yield {**row, "emotion": label}


def export_folder(
    rows: Iterable[Row], folder: str | Path, cuts: str | Path, done: Callable[[], Any] = lambda: None
) -> tuple[int, list[str]]:
    """Write the clips and `metadata.jsonl`; clips of an earlier export that are none of these are removed. Returns how
    many were written, and what could not be.

    Args:
        rows: of `exportable`.
        cuts: the folder that holds scenes that were cut out (see `cutting`).
        done: called after every clip.
    """
    folder = Path(folder)
    failed, kept = [], Met()
    count = 0
    with atomic(folder / METADATA_FILE) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for row in rows:
            source = whole_source(row)
            made = source or cut_path(row, cuts)
            name = f"{row.get('split') or PARTS[0]}/{row['clip_id']}{made.suffix.lower()}"
            try:
                _link(made, folder / name)
                file.write(json.dumps(_metadata(row, name), ensure_ascii=False) + "\n")
                kept.add(name)
                count += 1
            except OSError as error:
                why = error.strerror or str(error)
                failed.append(f"{row['clip_id']} ({row['source_path']}): {made}: {why}")
            done()
    for part in PARTS:
        with contextlib.suppress(FileNotFoundError), os.scandir(folder / part) as entries:
            for entry in entries:
                if _OURS.fullmatch(entry.name) and f"{part}/{entry.name}" not in kept:
                    os.unlink(entry.path)
    return count, failed


def _metadata(row: Row, name: str) -> Row:
    values = {"file_name": name} | {k: row[k] for k in METADATA if row.get(k) is not None}
    values.setdefault("caption", "")
    if row.get("label_kind"):
        values["label_source"] = row["label_kind"]
    if row.get("split") == "benchmark":  # a part of its own here; elsewhere it is what must not be trained on
        values |= {"split": "test", "benchmark": True}
    return values


def write_shards(folder: str | Path, most: int = SHARD) -> list[Path]:
    """Pack an exported folder into WebDataset shards, `shards/PART-000000.tar`: of every clip `ID.mp4` (or its ending),
    `ID.txt` with the caption and `ID.json` with its metadata. Shards of an earlier export are removed. Returns the
    shards.

    Args:
        most: bytes of clips a shard; a shard holds at least one.
    """
    folder = Path(folder)
    made = []
    for part in PARTS:
        group: list[Row] = []
        room, number = most, 0
        for row in _exported(folder, part):
            size = (folder / row["file_name"]).stat().st_size
            if group and size > room:
                made.append(_write_shard(folder, f"{part}-{number:06d}", group))
                group, room, number = [], most, number + 1
            group.append(row)
            room -= size
        if group:
            made.append(_write_shard(folder, f"{part}-{number:06d}", group))
    for old in (folder / SHARDS).glob("*.tar"):
        if old not in made:
            old.unlink()
    return made


def _exported(folder: Path, part: str) -> Iterator[Row]:
    with open(folder / METADATA_FILE, encoding="utf-8", newline="\n") as file:
        for line in file:
            row = json.loads(line)
            if row["file_name"].startswith(f"{part}/"):
                yield row


def _write_shard(folder: Path, name: str, rows: Sequence[Row]) -> Path:
    path = folder / SHARDS / f"{name}.tar"
    with atomic(path) as temporary, tarfile.open(temporary, "w") as tar:
        for row in rows:
            clip = folder / row["file_name"]
            tar.add(clip, f"{row['clip_id']}{clip.suffix}", recursive=False, filter=_nobody)
            for ending, text in ((".txt", row["caption"]), (".json", json.dumps(row, ensure_ascii=False))):
                content = text.encode()
                info = tarfile.TarInfo(row["clip_id"] + ending)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def _nobody(info: Any) -> Any:
    """Without who packed it when, so that the same clips give the same shard."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def _link(source: Path, target: Path) -> None:
    """The file under another name; a copy, where the file system cannot link."""
    if target.is_file():
        if target.samefile(source):
            return
        target.unlink()  # of an older source
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)
