"""What a list of records holds: counts, missing files, and clips that leak from one split into another."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from emogen.data.records import ClipRecord

_CHUNK = 1 << 20


class Leak(NamedTuple):
    """A clip outside the training split whose bytes are those of training clips."""

    held_out: ClipRecord
    train: tuple[ClipRecord, ...]

    def __str__(self) -> str:
        copies = ", ".join(f"{record.file_name} ({record.where})" for record in self.train)
        one = self.held_out
        return f"{one.file_name} ({one.where}, {one.split}) has the same bytes as in training: {copies}"


def missing_clips(records: Iterable[ClipRecord]) -> list[ClipRecord]:
    """The records whose file does not exist."""
    return [record for record in records if not record.path.is_file()]


def count_emotions(records: Iterable[ClipRecord]) -> dict[str, int]:
    """How many records carry each label, most frequent first."""
    return dict(Counter(record.label for record in records).most_common())


def describe(records: Sequence[ClipRecord]) -> str:
    """Tables as aligned text: a line for each label with a column for each split and, if any clip has a domain, a
    line for each domain with a column for each label."""
    labels = list(count_emotions(records))
    usual = ("train", "val", "test")
    found = dict.fromkeys(record.split for record in records)
    splits = [*(split for split in usual if split in found), *(split for split in found if split not in usual)]
    text = _cross(records, "emotion", labels, lambda r: r.label, splits, lambda r: r.split)
    if any(record.domain for record in records):
        counts = Counter(record.domain or "(none)" for record in records)
        domains = [domain for domain, _ in counts.most_common()]
        text += "\n\n" + _cross(records, "domain", domains, lambda r: r.domain or "(none)", labels, lambda r: r.label)
    return text


def _cross(
    records: Sequence[ClipRecord],
    title: str,
    lines: Sequence[str],
    line_of: Callable[[ClipRecord], str],
    columns: Sequence[str],
    column_of: Callable[[ClipRecord], str],
) -> str:
    """Counts of records by line and column, with a line of totals."""
    counts = Counter((line_of(record), column_of(record)) for record in records)
    rows = [(title, *columns)]
    rows += [(line, *(str(counts[line, column]) for column in columns)) for line in lines]
    rows.append(("total", *(str(sum(counts[line, column] for line in lines)) for column in columns)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def find_leaks(records: Iterable[ClipRecord]) -> list[Leak]:
    """The clips outside the split "train" that are byte for byte a clip inside it, in the order of the records.

    Held-out numbers say nothing about such clips. Only files whose size occurs on both sides are read; files that do
    not exist are passed over (`missing_clips`). A clip that was encoded again is not found: its bytes differ.
    """
    records = [record for record in records if record.path.is_file()]
    sizes: dict[int, list[ClipRecord]] = defaultdict(list)
    for record in records:
        sizes[record.path.stat().st_size].append(record)
    train: dict[bytes, list[ClipRecord]] = defaultdict(list)
    suspects = set()
    for size, same in sizes.items():
        if len({record.split == "train" for record in same}) == 2:
            suspects.add(size)
            for record in same:
                if record.split == "train":
                    train[_digest(record.path)].append(record)
    return [
        Leak(record, tuple(train[digest]))
        for record in records
        if record.split != "train"
        and record.path.stat().st_size in suspects
        and (digest := _digest(record.path)) in train
    ]


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
