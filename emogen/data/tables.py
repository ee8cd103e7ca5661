"""The rows of a table: JSON lines, CSV or Parquet, each with its number in the file's own counting.

One reader for metadata, batches of clips, prompts of an evaluation and lists of finished clips. What a column holds is
given as a type (`Columns`), and a cell that can be read as that type in one way only is: pandas' `1.0` is the whole
number 1, "yes" is true; anything else is wrong, with a sentence that says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emogen.text_files import TextError, parse_json, read_csv, read_text, split_lines

NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_JSON = (".jsonl", ".ndjson")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
_LONGEST_NUMBER = 40  # characters; no setting needs more, and reading digits takes time that grows with their square
_EMPTY_NUMBER = ("nan", "<na>", "n/a", "na", "null", "none")
_TRUE = ("true", "yes", "1", "on", "y", "t")
_FALSE = ("false", "no", "0", "off", "n", "f")

Row = tuple[int, dict[str, Any] | ValueError]
"""A row's number and what it holds, or what is wrong with it."""


class RecordError(ValueError):
    """A table is missing or has wrong rows. The message lists them with their numbers."""


@dataclass(frozen=True)
class Columns:
    """What a kind of table holds.

    Attributes:
        types: column -> `str`, `int` (whole numbers), `float` or `bool`; columns that are not named are kept as the
            file has them.
        needs: columns of which a table must have at least one, by which a CSV's header is told.
        may_be_empty: columns of text that keep an empty cell; elsewhere it is no value.
    """

    types: Mapping[str, type] = field(default_factory=dict)
    needs: tuple[str, ...] = ("file_name",)
    may_be_empty: tuple[str, ...] = ()


METADATA = Columns(
    types={
        **dict.fromkeys(("file_name", "caption", "text", "emotion", "split", "domain", "label_source"), str),
        **dict.fromkeys(("intensity", "valence", "arousal", "agreement", "confidence"), float),
    },
    may_be_empty=("caption", "text"),
)
"""The columns of a data set's metadata."""


def place(name: str, number: int) -> str:
    """Where a row stands: `metadata.jsonl:3` is the file's third line, `metadata.csv row 3` the spreadsheet's row."""
    return f"{name}:{number}" if name.lower().endswith(_JSON) else f"{name} row {number}"


def read_rows(path: str | Path, columns: Columns = METADATA) -> Iterator[Row]:
    """The rows of a table; blank ones are left out but counted.

    Numbers are what the file's own viewer shows: of a `.jsonl` the line, from 1; of a `.csv` the row of the
    spreadsheet, where the header is row 1 and a cell with line breaks is one row; of a `.parquet` the row, from 1.
    Cells without a value (empty, null, NaN) are left out. Names of columns count without surrounding spaces and, for
    the columns of `columns`, in any case.

    Raises:
        RecordError: the file cannot be read as a table at all; the message names the file and the place.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    read = {".jsonl": _read_jsonl, ".ndjson": _read_jsonl, ".csv": _read_csv, ".tsv": _read_csv,
            ".parquet": _read_parquet}.get(suffix)  # fmt: skip
    if read is None:
        raise RecordError(
            f"{path}: a table is a .jsonl file (one JSON object a line), a .csv or a .parquet, "
            f"not {path.suffix or 'a file without ending'!r}"
        )
    try:
        yield from read(path, columns)
    except TextError as error:
        raise RecordError(_at(path, error)) from error
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error})") from error


def good_rows(path: str | Path, columns: Columns = METADATA) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The rows of a table in which every row must be right: its place with the file's path, its number, its values.

    Raises:
        RecordError: the file is no table, holds no rows, or the first row that is wrong.
    """
    number = None
    for number, values in read_rows(path, columns):
        where = place(str(path), number)
        if isinstance(values, ValueError):
            raise RecordError(f"{where}: {values}")
        yield where, number, values
    if number is None:
        raise RecordError(f"{path}: holds no rows")


def typed(name: str, value: Any, kind: type) -> Any:
    """A cell as the type of its column; None where it holds no value.

    Args:
        name: of the column, for the message.
        value: text from a CSV, or what JSON or Parquet hold.
        kind: `str`, `int`, `float` or `bool`.

    Raises:
        ValueError: it is of another type.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    read = {str: _typed_text, int: _typed_whole, float: _typed_number, bool: _typed_flag}[kind]
    return read(name, value)


def _typed_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name!r} must be text, not {_short(value)}; put it in quotation marks")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{name!r} holds half a character (U+{ord(value[error.start]):04X}); write it anew") from error
    return value


def _typed_number(name: str, value: Any) -> float | None:
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in _EMPTY_NUMBER:
            return None
        if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
            hint = "; write the decimals after a point" if re.fullmatch(r"[-+]?\d+,\d+", text) else ""
            raise ValueError(f"{name!r} must be a number, not {_short(value)}{hint}")
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name!r} must be a number, not {_short(value)}")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError(f"{name!r} must be a finite number")
    return value


def _typed_whole(name: str, value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+", value.strip()) and len(value) <= _LONGEST_NUMBER:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = _typed_number(name, value)
    if number is not None and not number.is_integer():
        raise ValueError(f"{name!r} must be a whole number, not {_short(value)}")
    return None if number is None else int(number)


def _typed_flag(name: str, value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, (str, int, float)) else None
    if word in ("1.0", "0.0"):  # pandas' whole numbers in a column with an empty cell
        word = word[0]
    if word in _EMPTY_NUMBER and word not in _TRUE + _FALSE:
        return None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(f"{name!r} must be true or false, not {_short(value)}")


def _at(path: Path, error: TextError) -> str:
    message = str(error)
    return message if message.startswith(str(path)) else f"{path}: {message}"


def _either(columns: Columns) -> str:
    return " or ".join(map(repr, columns.needs))


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "so long a number"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _convert(values: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """The values of a row by the types of their columns.

    Raises:
        ValueError: a value is of another type.
    """
    row: dict[str, Any] = {}
    for name, value in values.items():
        kind = columns.types.get(name)
        if kind is not None:
            value = typed(name, value, kind)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        row[name] = value
    return row


def _names(names: Iterable[str], columns: Columns) -> list[str]:
    """Names of columns as the table's kind spells them."""
    known = {name.lower(): name for name in (*columns.types, *columns.needs)}
    return [known.get(" ".join(name.split()).replace(" ", "_").lower(), name.strip()) for name in names]


def _checked(values: Mapping[str, Any], columns: Columns) -> dict[str, Any] | ValueError:
    names = _names(values, columns)
    if twice := [name for name in names if names.count(name) > 1]:
        return ValueError(f"{twice[0]!r} is given twice, in two spellings; keep one")
    try:
        return _convert(dict(zip(names, values.values(), strict=True)), columns)
    except ValueError as error:
        return error


def _read_jsonl(path: Path, columns: Columns) -> Iterator[Row]:
    for number, line in enumerate(split_lines(read_text(path)), start=1):
        if not line.strip():
            continue
        try:
            values = parse_json(line)
        except TextError as error:
            alone = line.strip() in ("{", "[")
            yield number, TextError(f"{error}; a row is one object on one line") if alone else error
            continue
        if not isinstance(values, dict):
            first = columns.needs[0] if columns.needs else "its keys"
            yield number, ValueError(f"expected an object with {first}, not {_short(values)}")
            continue
        yield number, _checked(values, columns)


def _read_csv(path: Path, columns: Columns) -> Iterator[Row]:
    def is_header(names: Sequence[str]) -> bool:
        return any(name in columns.needs for name in _names(names, columns))

    try:
        header, rows = read_csv(read_text(path), is_header, f"name the columns, with {_either(columns)}")
    except TextError as error:
        raise RecordError(_at(path, error)) from error
    spelled = dict(zip(header, _names(header, columns), strict=True))
    if twice := [name for name in spelled.values() if list(spelled.values()).count(name) > 1]:
        raise RecordError(f"{path}: the column {twice[0]!r} stands in the header twice, in two spellings; keep one")
    for row in rows:
        if isinstance(row.cells, ValueError):
            yield row.number, row.cells
            continue
        given = {n: cell for n, cell in row.cells.items() if cell or spelled[n] in columns.may_be_empty}
        yield row.number, _checked(given, columns)


def _read_parquet(path: Path, columns: Columns) -> Iterator[Row]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise RecordError(
            f"{path}: reading Parquet needs pyarrow: pip install pyarrow (or save the table as {path.stem}.csv)"
        ) from error
    try:
        with parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            if columns.needs and not set(_names(names, columns)) & set(columns.needs):
                raise RecordError(f"{path}: has no column {_either(columns)}; it has {', '.join(names)}")
            number = 0
            for batch in table.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, _checked(row, columns)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"{path}: cannot be read as Parquet ({error})") from error
