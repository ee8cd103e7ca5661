"""The metadata of a data set: one row a clip, read and checked before anything expensive starts, and what they add up
to: counts, missing files, and clips that leak from one split into another.

The form is Hugging Face's VideoFolder or ImageFolder: a `metadata.jsonl`, `metadata.csv` or `metadata.parquet` whose
rows hold `file_name` (relative to the file's own folder), `caption` (or `text`) and `emotion`, and optionally

- `intensity` (0 to 2), `valence` and `arousal` (-1 to 1), which win over those of the emotion's word;
  an `emotion` that changes is written as an arc, "0:neutral 0.4:joy", whose words carry their own intensity;
- `label_source`, who gave the label, in any words; `agreement` (0 to 1), the share of annotators who gave it;
  `confidence` (0 to 1), the probability that a classifier gave it;
- `split` and `domain`, and any other key, which is kept but not interpreted.

One metadata file may describe the whole set, or each split's folder has its own (`train/metadata.jsonl`,
`validation/metadata.csv`). A row's `split` wins over the folder it lies in; without either it is "train". Clips in
folders named by emotions need no metadata file (`emogen.data.sorted_folder`).
"""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from emogen.data.curated import TABLE as CURATED
from emogen.data.curated import curated_rows, is_curated
from emogen.data.sorted_folder import is_sorted, sorted_rows
from emogen.data.sources import (
    NoMetadataError,
    Table,
    fetch_clips,
    fetch_metadata,
    find_tables,
    inside_folder,
    is_hub_id,
    normal_split,
    split_of_path,
)
from emogen.data.tables import METADATA, NAMES, RecordError, place, read_rows
from emogen.emotion import EmotionArc, EmotionState, parse_emotion
from emogen.files import fingerprint_file

_KNOWN = frozenset(METADATA.types) - {"text"}
_SHOWN = 20  # problems listed in one error


@dataclass(frozen=True)
class ClipRecord:
    """One clip and what it is labelled with."""

    path: Path
    """Where the clip lies."""
    file_name: str
    """The clip's name inside the data set: as written, after the folder of its metadata file if it is a split's."""
    caption: str
    emotion: EmotionState
    """The label; of a clip whose emotion changes, the last that its arc names beside neutral."""
    split: str = "train"
    domain: str | None = None
    row: int = 0
    """The row's number in its metadata file, as `emogen.data.tables.read_rows` counts."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    label_source: str | None = None
    agreement: float | None = None
    """Share of the annotators, in [0, 1], who gave the label."""
    confidence: float | None = None
    """Probability in [0, 1] that a classifier gave the label."""
    metadata: str = NAMES[0]
    """The metadata file's name inside the data set; "" where the clips are sorted into folders instead."""
    arc: EmotionArc | None = None
    """The emotion over time of a clip in which it changes."""

    @property
    def label(self) -> str:
        """The dominant of the eight emotions, or "neutral"."""
        return self.emotion.dominant

    @property
    def where(self) -> str:
        """The metadata file and row, for messages."""
        return place(self.metadata, self.row) if self.metadata else self.file_name

    def soft_target(self) -> EmotionState:
        """The emotion, as unsure as its label is.

        With p the share of annotators who gave the label (`agreement`), or if that is not known the classifier's
        probability of it (`confidence`), share i of the distribution d becomes `p d_i + (1 - p) (1 - d_i) / 7`. For a
        single emotion that is p on it and 1 - p spread evenly over the other seven: the expected votes when nothing
        is known of what the others said. At p = 1 nothing changes, at p = 1/8 all shares are equal; a lower p, which
        would say that a guess is better than the label, counts as 1/8.

        Valence, arousal and intensity stay, for they are ratings of their own. Without agreement and confidence, and
        for a neutral clip, which has no share to give, the emotion is returned as it is.
        """
        p = self.agreement if self.agreement is not None else self.confidence
        shares = self.emotion.distribution
        if p is None or self.emotion.is_neutral:
            return self.emotion
        p = max(p, 1 / len(shares))
        soft = [p * share + (1 - p) * (1 - share) / (len(shares) - 1) for share in shares]
        return replace(self.emotion, distribution=tuple(soft))


def read_records(metadata: str | Path, revision: str | None = None) -> list[ClipRecord]:
    """Read and check every row.

    Args:
        metadata: a metadata file, the folder of a data set, the output folder of `emogen data` (of which what is not
            finished is left out; `curated_rows` counts it), or the id of one on the Hugging Face hub ("owner/name"),
            whose metadata are downloaded, checked, and then the clips they name.
        revision: branch, tag or commit of a data set on the hub.

    Returns:
        The records in the order of the file; of split folders train, val and test first. Whether the clips exist is
        not checked here (`missing_clips`).

    Raises:
        RecordError: there is no metadata or it is empty, or rows are wrong; all wrong rows are named together.
    """
    source = Path(metadata)
    hub = str(metadata) if is_hub_id(metadata) else None
    if hub is not None:
        source = fetch_metadata(hub, revision)
    if hub is None and is_curated(source):
        return _read_curated(source)
    if source.is_dir():
        tables = _tables_of(source, hub is not None)
    elif source.is_file():
        tables = [Table(source)]
    else:
        raise RecordError(f"{source}: no such file; it should hold one row a clip (a JSON object a line in a .jsonl)")
    records = _read_tables(tables, tables[0].path if len(tables) == 1 else source)
    if hub is not None:
        fetch_clips(hub, revision, source, [record.file_name for record in records])
    return records


def _read_curated(folder: Path) -> list[ClipRecord]:
    try:
        rows, left_out = curated_rows(folder)
    except (OSError, ValueError) as error:
        raise RecordError(f"{folder / CURATED}: cannot be read ({error}); `emogen data join` writes it anew") from error
    if not rows:
        why = "; ".join(f"{count} {reason}" for reason, count in left_out.most_common(5)) or "it is empty"
        raise RecordError(f"{folder / CURATED}: no clip is finished ({why})")
    table = Table(folder / CURATED)
    return [replace(_parse_row(values, number, table), path=path) for number, path, values in rows]


def _tables_of(folder: Path, is_remote: bool) -> list[Table]:
    try:
        return [replace(table, is_remote=is_remote) for table in find_tables(folder)]
    except NoMetadataError:
        if is_remote or not is_sorted(folder):
            raise
        return [Table(folder)]


def _read_tables(tables: Sequence[Table], source: Path) -> list[ClipRecord]:
    records: list[ClipRecord] = []
    problems: list[str] = []
    first: dict[str, ClipRecord] = {}
    for table in tables:
        for number, values in read_rows(table.path) if table.name else sorted_rows(table.path):
            here = place(table.name, number) if table.name else str(table.path)
            try:
                if isinstance(values, ValueError):
                    raise values
                record = _parse_row(values, number, table)
            except ValueError as error:
                problems.append(f"  {here}: {error}")
                continue
            other = first.setdefault(posixpath.normpath(record.file_name), record)
            if other is record:
                records.append(record)
                continue
            on = "on line" if other.metadata.lower().endswith(".jsonl") else "in row"
            of = f" of {other.metadata}" if other.metadata != table.name else ""
            problems.append(f"  {here}: {record.file_name!r} is already {on} {other.row}{of}")
    if problems:
        more = f"\n  ... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise RecordError(f"{source}: {len(problems)} wrong rows\n" + "\n".join(problems[:_SHOWN]) + more)
    if not records:
        raise RecordError(f"{source}: holds no rows")
    return records


def _parse_row(values: Mapping[str, Any], row: int, table: Table) -> ClipRecord:
    file_name = inside_folder(_text(values, "file_name"), table)
    word = "text" if values.get("caption") is None and values.get("text") is not None else "caption"
    inside = table.prefix + file_name
    split = _optional(values, "split")
    arc = _arc(values)
    known = {*_KNOWN, word}
    return ClipRecord(
        path=table.folder / file_name,
        file_name=inside,
        caption=_text(values, word, empty=True),
        emotion=_emotion(values) if arc is None else _last_of(arc),
        split=normal_split(split) if split is not None else split_of_path(inside) or "train",
        domain=_optional(values, "domain"),
        row=row,
        extra={key: value for key, value in values.items() if key not in known},
        label_source=_optional(values, "label_source"),
        agreement=_number(values, "agreement", 0, 1),
        confidence=_number(values, "confidence", 0, 1),
        metadata=table.name,
        arc=arc,
    )


def _text(values: Mapping[str, Any], key: str, empty: bool = False) -> str:
    value = values.get(key, "")
    if key not in values or not (value.strip() or empty):
        raise ValueError(f"{key!r} is missing")
    return value


def _optional(values: Mapping[str, Any], key: str) -> str | None:
    return (values.get(key) or "").strip() or None


def _number(values: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = values.get(key)
    if value is not None and not low <= value <= high:
        raise ValueError(f"{key!r} must lie between {low:g} and {high:g}, not {value:g}")
    return value


def _arc(values: Mapping[str, Any]) -> EmotionArc | None:
    """The row's arc, if its emotion is one that moves."""
    text = values.get("emotion")
    if not isinstance(text, str) or not EmotionArc.looks_like_arc(text):
        return None
    given = [key for key in ("valence", "arousal", "intensity") if values.get(key) is not None]
    if given:
        raise ValueError(
            f"the emotion changes, so {given[0]!r} would be of no moment; write it into the arc, as in "
            '"0:sadness:0.4 1:joy:0.8" or "0:va:0.3,0.2 1:joy"'
        )
    arc = EmotionArc.parse(text)
    return None if arc.is_constant else arc


def _last_of(arc: EmotionArc) -> EmotionState:
    return next(key.state for key in reversed(arc.keyframes) if not key.state.is_neutral)


def _emotion(values: Mapping[str, Any]) -> EmotionState:
    """The row's emotion. The row's own valence, arousal and intensity win over those of the word."""
    valence = _number(values, "valence", -1, 1)
    arousal = _number(values, "arousal", -1, 1)
    intensity = _number(values, "intensity", 0, 2)
    if values.get("emotion") is None:
        if valence is None or arousal is None:
            raise ValueError("'emotion' is missing (write \"neutral\" for none, or give valence and arousal)")
        state = EmotionState.from_va(valence, arousal)
    else:
        text = _text(values, "emotion")
        state = EmotionArc.parse(text).at(0) if EmotionArc.looks_like_arc(text) else parse_emotion(text)
    if state.is_neutral:
        if intensity:
            raise ValueError(f"the emotion is neutral, so 'intensity' cannot be {intensity:g}")
        return state
    changes = {"valence": valence, "arousal": arousal, "intensity": intensity}
    return replace(state, **{key: value for key, value in changes.items() if value is not None})


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
    train: dict[str, list[ClipRecord]] = defaultdict(list)
    suspects = set()
    for size, same in sizes.items():
        if len({record.split == "train" for record in same}) == 2:
            suspects.add(size)
            for record in same:
                if record.split == "train":
                    train[fingerprint_file(record.path)].append(record)
    return [
        Leak(record, tuple(train[digest]))
        for record in records
        if record.split != "train"
        and record.path.stat().st_size in suspects
        and (digest := fingerprint_file(record.path)) in train
    ]
