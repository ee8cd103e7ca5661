"""Text that people and spreadsheets write: decoding, line ends, JSON and CSV. Pure Python, for every room.

What can be read in one way only is read; anything else is a `TextError` that says where and what to do.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MARKS = (  # the longer marks first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAVE = 'save it as UTF-8 (in Excel "CSV UTF-8", in LibreOffice "Unicode (UTF-8)")'
_LINE = re.compile(r"\r\n|\n|\r")
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=(?P<mark>[,;\t|])\"?\s*?(?:\r\n|\n|\r|\Z)", re.IGNORECASE)


class TextError(ValueError):
    """A file that cannot be read as text, or text that is not in the form it should have."""


def read_text(path: str | Path) -> str:
    """A file's text: UTF-8, or what a byte order mark at its begin says (UTF-8, UTF-16, UTF-32).

    Raises:
        TextError: it is in another encoding; the message names the file, the byte and its line.
        OSError: the file cannot be read.
    """
    data = Path(path).read_bytes()
    mark, encoding = next(((m, e) for m, e in _MARKS if data.startswith(m)), (b"", "utf-8"))
    if not mark and b"\0" in data[:200]:
        raise TextError(f"{path}: byte {data.index(0)} is zero: UTF-16 without a byte order mark, or no text; {_SAVE}")
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = len(mark) + error.start
        if mark:
            raise TextError(f"{path}: byte {at} is not valid {encoding.upper()}; the file is damaged") from error
        line = len(_LINE.findall(data[:at].decode("latin-1"))) + 1
        raise TextError(
            f"{path}: line {line}: byte {at} is 0x{data[at]:02X}, which is not UTF-8 text (the file looks like "
            f"Windows-1252 or Latin-1); {_SAVE}"
        ) from error


def split_lines(text: str) -> list[str]:
    """The lines of a text, split at LF, CRLF and CR alone: U+2028 and U+0085 are characters of a line."""
    return _LINE.split(text)


def parse_json(text: str) -> Any:
    """A JSON value. NaN, which pandas writes for an empty cell, is None.

    Raises:
        TextError: it is not valid JSON, names a key twice in one object, holds an infinite number, or is nested too
            deep.
    """
    try:
        return json.loads(text, object_pairs_hook=object_of_pairs, parse_constant=_constant, parse_float=_float)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if _LINE.search(text.strip()) else ""
        raise TextError(f"not valid JSON: {error.msg} at {line}column {error.colno}") from error
    except RecursionError as error:
        raise TextError("not usable JSON: it is nested too deep") from error
    except TextError:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise TextError("not usable JSON: a number has too many digits") from error


def read_json(path: str | Path) -> Any:
    """The JSON value that a file holds.

    Raises:
        TextError: as `read_text` and `parse_json`; the message names the file.
        OSError: the file cannot be read.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except TextError as error:
        raise TextError(f"{path}: {error}") from error


def object_of_pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`: an object whose keys are all different.

    Raises:
        TextError: a key comes twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise TextError(f"the key {key!r} stands twice in one object; keep one")
        found[key] = value
    return found


def _constant(name: str) -> None:
    if name == "NaN":
        return None
    raise TextError(f"{name} is no number that can be used")


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise TextError(f"the number {digits[:20]} is too large")
    return value


@dataclass(frozen=True)
class CsvRow:
    """A row of a CSV text below the header."""

    number: int
    """As a spreadsheet counts: the header is row 1, a cell with line breaks is in one row, blank rows count."""
    line: int
    """The line of the text on which it ends, from 1."""
    cells: dict[str, str] | TextError
    """Column -> cell without surrounding spaces, or what is wrong with the row."""


def read_csv(
    text: str, is_header: Callable[[Sequence[str]], bool], wanted: str = "name the columns"
) -> tuple[list[str], Iterator[CsvRow]]:
    """The columns of a CSV text and its rows, blank ones left out.

    Separators are commas, semicolons, tabs or bars: those that make a header of the first row, or those that a first
    line `sep=;` names. Spaces after a separator do not count. A first column without a name, as pandas writes its
    index, is passed over.

    Args:
        is_header: whether the names of the columns, without surrounding spaces, are those of such a table.
        wanted: what the first row must do, for the message.

    Raises:
        TextError: the first row is no header, or names a column twice.
    """
    said = _SEPARATOR_LINE.match(text)
    skipped = 0
    if said:
        text, skipped = text[said.end() :], 1
    marks = said["mark"] if said else _SEPARATORS
    headers = [_first_row(text, mark) for mark in marks]
    good = [(len(names), -rank) for rank, names in enumerate(headers) if is_header(names)]
    if not good:
        first = _LINE.split(text[:200].strip())[0]
        raise TextError(f"the first row must {wanted}; it is {first[:80]!r}")
    rank = -max(good)[1]
    header = headers[rank]
    if twice := [name for name in header if name and header.count(name) > 1]:
        raise TextError(f"the column {twice[0]!r} stands in the header twice; rename or delete one")
    return list(filter(None, header)), _rows(text, marks[rank], header, skipped)


def _reader(text: str, mark: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True, strict=True)


def _first_row(text: str, mark: str) -> list[str]:
    try:
        return [cell.strip() for cell in next((row for row in _reader(text, mark) if any(map(str.strip, row))), [])]
    except csv.Error:
        return []


def _rows(text: str, mark: str, header: Sequence[str], skipped: int) -> Iterator[CsvRow]:
    reader = _reader(text, mark)
    number, in_header = 0, True
    try:
        for number, row in enumerate(reader, start=1):
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if in_header:
                in_header = False
                continue
            yield CsvRow(number, reader.line_num + skipped, _named(header, cells))
    except csv.Error as error:
        what = TextError(
            f"not valid CSV from here on ({error}); look for a quotation mark that is not closed, or a space after one"
        )
        yield CsvRow(number + 1, reader.line_num + skipped, what)


def _named(header: Sequence[str], cells: Sequence[str]) -> dict[str, str] | TextError:
    if len(cells) < len(header) or any(cells[len(header) :]):
        return TextError(f"{len(cells)} cells under a header of {len(header)}; quote cells that contain separators")
    for column, (name, cell) in enumerate(zip(header, cells, strict=False)):
        if not name and cell and column > 0:
            return TextError(f"the cell {cell!r} is in column {column + 1}, which has no name; name it or delete it")
    return {name: cell for name, cell in zip(header, cells, strict=False) if name}
