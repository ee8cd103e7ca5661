"""Reading a lexicon of one's own from a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emogen.emotion.lexicon import LEXICON, normal_word, register_word
from emogen.emotion.parse import shortened
from emogen.emotion.taxonomy import MIKELS
from emogen.text_files import TextError, object_of_pairs, read_csv, read_text

COLUMNS = ("word", *MIKELS, "intensity", "valence", "arousal", "source")
KEYS = ("blend", "intensity", "va", "source")

Row = tuple[int, str, dict[str, Any]]
"""The line, the word, and what `register_word` takes."""

_SPACE = re.compile(r"\s*")


class _LineError(ValueError):
    """What is wrong, with the line it is on (1 is the first)."""

    def __init__(self, line: int, message: object) -> None:
        super().__init__(message)
        self.line = line


def load_lexicon(path: str | Path) -> int:
    """Add the words of a file to the lexicon, replacing words it has, and return how many they are.

    A `.csv` has a column `word` and any of the eight names, `intensity`, `valence` with `arousal`, and `source`; an
    empty cell is a value left out. A `.json` maps words to objects with any of `blend`, `intensity`, `va` and
    `source`. What may be left out is as in `register_word`: a table of valence-arousal norms needs no shares.

    Raises:
        ValueError: names the file and the line at fault; then no word of the file is added.
        OSError: the file cannot be read.
    """
    path = Path(path)
    read = {".csv": _read_csv, ".json": _read_json}.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{path}: a lexicon is a .csv or a .json file")
    before = dict(LEXICON)
    lines: dict[str, int] = {}
    try:
        for line, word, values in read(path):
            key = normal_word(word)
            if key in lines:
                raise _LineError(line, f"{shortened(word)} stands on line {lines[key]} already")
            lines[key] = line
            try:
                register_word(word, **({"source": path.name} | values))
            except (TypeError, ValueError) as error:
                raise _LineError(line, error) from error
        if not lines:
            raise _LineError(1, "no words in the file")
    except _LineError as error:
        LEXICON.clear()
        LEXICON.update(before)
        raise ValueError(f"{path}, line {error.line}: {error}") from error
    return len(lines)


def _read_csv(path: Path) -> Iterator[Row]:
    columns = f"the columns are {', '.join(COLUMNS)}"
    try:
        header, rows = read_csv(read_text(path), lambda names: "word" in map(str.lower, names), "have a column 'word'")
    except TextError as error:
        raise _LineError(1, f"{error}; {columns}") from error
    names = {name: name.lower() for name in header}
    if unknown := [name for name in header if names[name] not in COLUMNS]:
        raise _LineError(1, f"unknown column {shortened(unknown[0])}; {columns}")
    if len(set(names.values())) < len(header):
        raise _LineError(1, f"a column stands in the header twice, in two spellings; {columns}")
    for table_row in rows:
        line, cells = table_row.line, table_row.cells
        if isinstance(cells, TextError):
            raise _LineError(line, cells)
        row = {names[name]: cell for name, cell in cells.items() if cell}
        word = row.pop("word", "")
        values: dict[str, Any] = {"source": row.pop("source")} if "source" in row else {}
        numbers: dict[str, float] = {}
        for name, cell in row.items():
            try:
                numbers[name] = float(cell)
            except ValueError:
                raise _LineError(line, f"{name} of {shortened(word)} is {shortened(cell)}, not a number") from None
        if ("valence" in numbers) != ("arousal" in numbers):
            raise _LineError(line, f"{shortened(word)} needs both valence and arousal, or neither")
        if "valence" in numbers:
            values["va"] = (numbers.pop("valence"), numbers.pop("arousal"))
        if "intensity" in numbers:
            values["intensity"] = numbers.pop("intensity")
        yield line, word, values | {"blend": numbers}


def _read_json(path: Path) -> Iterator[Row]:
    text = read_text(path)
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise _LineError(error.lineno, f"not JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise _LineError(1, f"not usable JSON ({error})") from error
    if not isinstance(whole, dict):
        raise _LineError(1, 'a lexicon is an object of words, such as {"giddy": {"blend": {"excitement": 1}}}')
    # The text is valid JSON, so this walk over its top level only has to keep count of where each word stands.
    decode = json.JSONDecoder(object_pairs_hook=object_of_pairs).raw_decode
    at = text.index("{") + 1
    while whole:
        at = _SPACE.match(text, at).end()
        line = text.count("\n", 0, at) + 1
        word, at = decode(text, at)
        at = _SPACE.match(text, at).end() + 1  # the colon
        try:
            item, at = decode(text, _SPACE.match(text, at).end())
        except TextError as error:
            raise _LineError(line, f"{shortened(word)}: {error}") from error
        at = _SPACE.match(text, at).end()
        if not isinstance(item, dict):
            raise _LineError(line, f"{shortened(word)} must be an object with any of {', '.join(KEYS)}")
        if unknown := [key for key in item if key not in KEYS]:
            raise _LineError(
                line, f"{shortened(word)} has the unknown key {shortened(unknown[0])}; the keys are {', '.join(KEYS)}"
            )
        if not isinstance(item.get("blend", {}), dict):
            raise _LineError(line, f"blend of {shortened(word)} must be an object of emotions and their shares")
        yield line, word, item
        if text[at] == "}":
            return
        at += 1  # the comma
