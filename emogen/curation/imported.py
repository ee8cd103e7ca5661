"""What other people's tables say of source files: captions, labels, films, licences. Tolerant of names.

Layouts:
    table               any JSONL, JSON, CSV or Parquet with a column that names the file
    emovid              EmoVid's release, MagicAnime's and the like: the same, with domains and words of their own
    condensed_movies    the folder of Condensed Movies' metadata: clips.csv, descriptions.csv
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from emogen.curation.labels import NONE
from emogen.curation.stage import Row, StageError
from emogen.data.tables import Columns, read_rows
from emogen.emotion import MIKELS, NEUTRAL
from emogen.emotion.lexicon import UnknownEmotionError, lookup
from emogen.text_files import TextError, read_json

LAYOUTS = ("table", "emovid", "magicanime", "condensed_movies")
KINDS = ("curated", "human", "model")

NAMES: dict[str, tuple[str, ...]] = {
    "source_path": (
        "source_path", "file_name", "filename", "file", "path", "video_path", "video_file", "clip_path", "video",
        "clip", "video_name", "name", "video_id", "videoid", "clip_name", "id",
    ),
    "caption": ("caption", "text", "description", "video_caption", "prompt", "content"),
    "caption_by": ("caption_by",),
    "emotion": ("emotion", "emotion_label", "label", "emotions", "emotion_category"),
    "intensity": ("intensity",),
    "no_label": ("no_label",),
    "domain": ("domain", "video_type", "type", "category", "style"),
    "group": ("group", "film", "movie", "imdbid", "imdb_id", "movie_id", "character", "codepoint", "source_id"),
    "license": ("license", "licence"),
    "origin": ("origin", "source", "url"),
    "agreement": ("agreement",),
    "confidence": ("confidence",),
}  # fmt: skip
"""Column of the working table -> the names it goes by elsewhere, the first that a table has counts."""
_NUMBERS = ("intensity", "agreement", "confidence")
_DOMAINS = {"cartoon": "animation", "anime": "animation", "film": "movie", "movies": "movie", "stickers": "sticker",
            "animations": "animation", "emoji": "sticker"}  # fmt: skip


@dataclass(frozen=True)
class About:
    """A table to import.

    Args:
        path: a file, or the folder of a layout that has several.
        layout: one of `LAYOUTS`.
        kind: what its labels are: one of `KINDS`.
        folder: only for sources below this folder; None: for all.
    """

    path: Path
    layout: str = "table"
    kind: str = "human"
    folder: Path | None = None


def import_about(clips: Sequence[Row], tables: Iterable[About]) -> tuple[list[Row], dict[str, int]]:
    """What tables say, for the clips they say it of.

    A label or caption of a source that is cut into several scenes is left out: it is said of the whole.

    Args:
        clips: rows of the working table.

    Returns:
        Rows with `clip_id` and the columns that are known; and counts: "clips" with something known, "labels", and
        under the reason what could not be used.

    Raises:
        StageError: a table cannot be read, or names no files.
    """
    scenes = Counter((row["source_folder"], row["source_path"]) for row in clips)
    found: dict[str, Row] = {}
    counts: Counter[str] = Counter()
    for table in tables:
        table_rows = read_about(table.path, table.layout)
        inside = None if table.folder is None else str(table.folder.resolve())
        here = {row["source_path"] for row in clips if inside in (None, row["source_folder"])}
        said = table_rows.of(here)
        used: set[int] = set()
        for row in clips:
            if inside is not None and row["source_folder"] != inside:
                continue
            values = said.get(row["source_path"])
            if values is None:
                continue
            used.add(id(values))
            values = dict(values)
            if scenes[row["source_folder"], row["source_path"]] > 1:
                for name in ("emotion", "intensity", "caption", "caption_by", "no_label", "agreement", "confidence"):
                    values.pop(name, None)
            values = _with_label(values, table.kind, counts)
            found[row["clip_id"]] = found.get(row["clip_id"], {"clip_id": row["clip_id"]}) | values
        if left := len(table_rows.rows) - len(used):
            counts[f"{table.path.name}: rows of files that were not ingested"] += left
    counts["clips"] = len(found)
    counts["labels"] = sum(row.get("emotion") is not None for row in found.values())
    return list(found.values()), dict(counts)


class Said:
    """Rows by the file they speak of: by its path, else by its name, else by its name without ending, if it is one."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]):
        self.rows = rows
        self._by: list[dict[str, Any]] = [{}, {}, {}]
        for row in rows:
            path = PurePosixPath(str(row["source_path"]).replace("\\", "/"))
            for level, name in enumerate((path.as_posix().removeprefix("./"), path.name, path.stem)):
                known = self._by[level]
                known[name] = row if name not in known or known[name] is row else None

    def of(self, sources: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Source path -> the row that speaks of it. Where several rows could be meant, or one row could mean several
        files, there is none."""
        found: dict[str, Mapping[str, Any]] = {}
        loose: dict[int, list[str]] = {}
        for source in sources:
            path = PurePosixPath(source)
            if self._by[0].get(path.as_posix()) is not None:
                found[source] = self._by[0][path.as_posix()]
                continue
            for level, name in ((1, path.name), (2, path.stem)):
                row = self._by[level].get(name)
                if row is not None and _one_ends_the_other(path, row["source_path"]):
                    found[source] = row
                    loose.setdefault(id(row), []).append(source)
                    break
        for several in loose.values():
            if len(several) > 1:
                for source in several:
                    del found[source]
        return found


def _one_ends_the_other(path: PurePosixPath, said: str) -> bool:
    """Whether folders agree as far as both name them: "a/x.mp4" is not "b/x.mp4", but may be "x"."""
    folders, other = path.parts[:-1], PurePosixPath(said.replace("\\", "/")).parts[:-1]
    common = min(len(folders), len(other))
    return common == 0 or folders[-common:] == other[-common:]


def read_about(path: str | Path, layout: str = "table") -> Said:
    """The rows of a layout with the columns of the working table.

    Raises:
        StageError: the table cannot be read, or has no column that names files.
    """
    path = Path(path)
    if layout not in LAYOUTS:
        raise StageError(f"layout is one of {', '.join(LAYOUTS)}, not {layout!r}")
    if layout == "condensed_movies":
        return Said(_condensed_movies(path))
    found = []
    for place, values in _rows(path):
        lower = {str(key).strip().lower(): value for key, value in values.items()}
        row: Row = {}
        for name, others in NAMES.items():
            value = next((lower[other] for other in others if lower.get(other) not in (None, "")), None)
            if value is not None:
                row[name] = _value(name, value, place)
        if not row.get("source_path"):
            raise StageError(f"{place}: names no file; one of these columns must: {', '.join(NAMES['source_path'])}")
        row["source_path"] = str(row["source_path"])
        if "domain" in row:
            row["domain"] = _DOMAINS.get(row["domain"].lower(), row["domain"].lower())
        found.append(row)
    if not found:
        raise StageError(f"{path}: holds no rows")
    return Said(found)


def _rows(path: Path) -> Iterable[tuple[str, Mapping[str, Any]]]:
    if path.suffix.lower() != ".json":
        for number, values in read_rows(path, Columns(needs=NAMES["source_path"])):
            if isinstance(values, ValueError):
                raise StageError(f"{path} row {number}: {values}")
            yield f"{path} row {number}", values
        return
    try:
        content = read_json(path)
    except (OSError, TextError, ValueError) as error:
        raise StageError(f"{path}: cannot be read ({error})") from error
    if isinstance(content, Mapping):  # {"clips": [...]}, or a row a file name
        lists = [value for value in content.values() if isinstance(value, list)]
        if len(lists) == 1:
            content = lists[0]
        else:
            content = [{"source_path": key, **value} for key, value in content.items() if isinstance(value, Mapping)]
    for number, values in enumerate(content if isinstance(content, list) else [], start=1):
        if not isinstance(values, Mapping):
            raise StageError(f"{path} row {number}: is no object with names and values")
        yield f"{path} row {number}", values


def _value(name: str, value: Any, place: str) -> Any:
    if name in _NUMBERS:
        try:
            return float(value)
        except (TypeError, ValueError):
            raise StageError(f"{place}: {name} is {str(value)[:60]!r}, not a number") from None
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return value[0]
    return value if isinstance(value, str) else json.dumps(value)


def _with_label(values: Row, kind: str, counts: Counter[str]) -> Row:
    """The label as one of the eight or neutral; "none" is no label; what means nothing is counted and left out."""
    word = str(values.pop("emotion", "") or "").strip().lower()
    if not word:
        return values
    if word in (NONE, "no specific emotion", "no emotion"):
        return values | {"no_label": "no specific emotion"}
    if word not in (*MIKELS, NEUTRAL):
        try:
            word = lookup(word).dominant
        except UnknownEmotionError:
            counts[f"label {word[:40]!r} means none of the eight"] += 1
            return values | {"no_label": f"imported label {word[:40]!r} means none of the eight"}
    return values | {"emotion": word, "label_kind": kind}


def _condensed_movies(folder: Path) -> list[Row]:
    clips, texts = folder / "clips.csv", folder / "descriptions.csv"
    if not clips.is_file():
        raise StageError(f"{folder}: no clips.csv; give the folder of Condensed Movies' metadata")
    said = {str(row.get("videoid")): row.get("description") for _, row in _rows(texts)} if texts.is_file() else {}
    found = []
    for place, row in _rows(clips):
        if not row.get("videoid"):
            raise StageError(f"{place}: has no videoid")
        name = str(row["videoid"])
        values = {
            "source_path": name, "group": row.get("imdbid") or row.get("title"), "domain": "movie",
            "origin": "Condensed Movies", "film": row.get("title"), "clip_in_film": row.get("clip_idx"),
            "caption": said.get(name), "caption_by": "imported" if said.get(name) else None,
        }  # fmt: skip
        found.append({key: str(value) for key, value in values.items() if value not in (None, "")})
    return found
