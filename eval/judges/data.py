"""Labelled clips for judges: read in batches, in order, with what could not be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from emogen.data.records import ClipRecord, RecordError, read_records
from emogen.eval.clips import read_clip
from emogen.eval.judges.spec import JudgeError

SPLITS = ("held_out", "all", "train", "val", "test")


def labelled_records(data: str | Path, split: str = "all") -> list[ClipRecord]:
    """The records of a folder with metadata.

    Args:
        data: a folder or metadata file, as `emogen.data.records.read_records` takes it.
        split: "all", "train", "val", "test", or "held_out": val and test, or all if there are none.

    Raises:
        JudgeError: no such data, or the split is empty.
    """
    try:
        records = read_records(data)
    except RecordError as error:
        raise JudgeError(f"--data: {error}") from error
    if split == "all":
        return records
    wanted = ("val", "test") if split == "held_out" else (split,)
    chosen = [record for record in records if record.split in wanted]
    if not chosen and split != "held_out":
        there = ", ".join(sorted({record.split for record in records}))
        raise JudgeError(f"{data}: no clip is of split {split!r} (there are {there})")
    return chosen or records


class ClipReader:
    """Reads the clips of records; iterating gives `(records, clips uint8 [B, F, H, W, 3])` of one shape each.

    Attributes:
        excluded: file name -> why it could not be read, filled while iterating.
    """

    def __init__(self, records: Sequence[ClipRecord], batch: int = 16, quiet: bool = True):
        self.records, self.batch, self.quiet = records, batch, quiet
        self.excluded: dict[str, str] = {}

    def __iter__(self) -> Iterator[tuple[list[ClipRecord], np.ndarray]]:
        from tqdm import tqdm

        waiting: dict[tuple[int, ...], list[tuple[ClipRecord, np.ndarray]]] = {}
        for record in tqdm(self.records, desc="read clips", unit="clip", disable=self.quiet):
            try:
                clip = read_clip(record.path, least_frames=1)
            except ValueError as error:
                self.excluded[record.file_name] = str(error)
                continue
            group = waiting.setdefault(clip.shape, [])
            group.append((record, clip))
            if len(group) == self.batch:
                yield _stack(waiting.pop(clip.shape))
            elif sum(map(len, waiting.values())) >= 4 * self.batch:  # many shapes must not fill the memory
                yield _stack(waiting.pop(max(waiting, key=lambda shape: len(waiting[shape]))))
        for group in waiting.values():
            yield _stack(group)


def _stack(group: list[tuple[ClipRecord, np.ndarray]]) -> tuple[list[ClipRecord], np.ndarray]:
    return [record for record, _ in group], np.stack([clip for _, clip in group])
