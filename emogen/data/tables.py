"""The rows of a metadata file: JSON lines, CSV or Parquet, each with its number in the file's own counting."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
SUFFIXES = tuple(Path(name).suffix for name in NAMES)
NUMBERS = ("intensity", "valence", "arousal", "agreement", "confidence")

Row = tuple[int, dict[str, Any] | ValueError]
"""A row's number and what it holds, or what is wrong with it."""


class RecordError(ValueError):
    """The metadata is missing or has wrong rows. The message lists them with their numbers."""


def place(name: str, number: int) -> str:
    """Where a row stands: `metadata.jsonl:3` is the file's third line, `metadata.csv row 3` the spreadsheet's row."""
    return f"{name}:{number}" if name.lower().endswith(".jsonl") else f"{name} row {number}"


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a table; blank ones are left out but counted.

    Numbers are what the file's own viewer shows: of a `.jsonl` the line, from 1; of a `.csv` the row of the
    spreadsheet, where the header is row 1 and a cell with line breaks is one row; of a `.parquet` the row, from 1.
    Cells without a value are left out, only an empty caption stays.

    Raises:
        RecordError: the file cannot be read as a table at all.
    """
    read = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}.get(path.suffix.lower())
    if read is None:
        raise RecordError(
            f"{path}: metadata is a .jsonl file (one JSON object a line), a .csv or a .parquet, "
            f"not {path.suffix or 'a file without ending'!r}"
        )
    return read(path)


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecordError(f"{path}: line {line} is not UTF-8 text; save the file as UTF-8") from error


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(io.StringIO(_text(path)), start=1):
        if line.strip():
            yield number, _parse_line(line)


def _parse_line(line: str) -> dict[str, Any] | ValueError:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        return ValueError(f"not valid JSON: {error.msg} at column {error.colno}")
    if not isinstance(values, dict):
        return ValueError(f"expected an object with file_name, caption and emotion, not {values!r}")
    return values


def _read_csv(path: Path) -> Iterator[Row]:
    text = _text(path)
    first = text.split("\n", 1)[0]
    # Spreadsheets of some countries separate by semicolons.
    delimiter = next((mark for mark in ",;\t" if "file_name" in _cells(first, mark)), ",")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = _cells(first, delimiter)
    if "file_name" not in header:
        raise RecordError(f"{path}: the first row must name the columns, with 'file_name'; it is {first.strip()!r}")
    if twice := {name for name in header if name and header.count(name) > 1}:
        raise RecordError(f"{path}: the column {sorted(twice)[0]!r} stands in the header twice")
    number = 0
    try:
        for number, cells in enumerate(rows, start=1):
            if number > 1 and any(cell.strip() for cell in cells):
                yield number, _parse_cells(header, cells)
    except csv.Error as error:
        hint = "look for a quotation mark that is not closed"
        yield number + 1, ValueError(f"not valid CSV from here on ({error}); {hint}")


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])]


def _parse_cells(header: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | ValueError:
    if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
        return ValueError(f"{len(cells)} cells under a header of {len(header)}; quote cells that contain separators")
    values: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=False):
        cell = cell.strip()
        if cell or name in ("caption", "text"):
            values[name] = _number(cell) if name in NUMBERS else cell
    return values


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell  # the check of the row says what is wrong with it


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise RecordError(
            f"{path}: reading Parquet needs pyarrow: pip install pyarrow (or save the table as metadata.csv)"
        ) from error
    try:
        with parquet.ParquetFile(path) as table:
            if "file_name" not in table.schema_arrow.names:
                raise RecordError(f"{path}: has no column 'file_name'; it has {', '.join(table.schema_arrow.names)}")
            number = 0
            for batch in table.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    # a missing number comes as null, or as NaN when pandas wrote it
                    empty = (name for name, value in row.items() if isinstance(value, float) and math.isnan(value))
                    gone = {*empty, *(name for name, value in row.items() if value is None)}
                    yield number, {name: value for name, value in row.items() if name not in gone}
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"{path}: cannot be read as Parquet ({error})") from error
