"""The types that settings have: an unquoted word of YAML becomes what its key wants, or is refused with the way out.

pydantic checks ranges and nesting; these say how a value is read. Values from Python are taken with the same rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from emogen.settings.yaml_file import FlowList, Word, quoted

LARGEST = 2**63 - 1
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9_]*)", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", re.ASCII)
_LEADING_ZERO = re.compile(r"[+-]?0[0-9_xXoObB]", re.ASCII)
_CLOCK = re.compile(r"[+-]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?", re.ASCII)
_DIGITS = 40
_CONTINUES = re.compile(r"(and|or|with|without|in|on|at|by|of|to|for|from|under|over|near|beside|behind|while|as|like|"
                        r"who|which|that|then|but|its|his|her|their|\w{3,}ing)\b")  # fmt: skip


def shown(value: Any) -> str:
    """A value for a message: short, and as the user knows it."""
    if value is None:
        return "null"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST:
        return "a number of more than 19 digits"
    text = repr(str(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def as_text(value: Any) -> str:
    """Text, as it was written."""
    if not isinstance(value, str):
        way_out = f"; write it in quotes: {quoted(value)}" if isinstance(value, (int, float)) else ""
        way_out = '; for the word itself write "null"' if value is None else way_out
        raise ValueError(f"must be text, not {shown(value)}{way_out}")
    if any((ord(c) < 32 and c not in "\t\n\r") or 0xD800 <= ord(c) < 0xE000 for c in value):
        raise ValueError("holds a character that cannot be written (a control character or half of one)")
    return str(value)


def as_name(value: Any) -> str:
    """Text that is not empty."""
    text = as_text(value)
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def as_whole(value: Any) -> int:
    """A whole number: 8, 1_000, 1.0, 1e3, "8". Not 010 or 0x10, which YAML reads in other bases, nor 12:30."""
    number = value
    if isinstance(value, str):
        text = value.strip()
        _refuse_long(text)
        if _WHOLE.fullmatch(text):
            number = int(text)
        elif _NUMBER.fullmatch(text) and not _LEADING_ZERO.match(text):
            number = float(text)
        else:
            plain = "; write it in plain decimal digits" if _LEADING_ZERO.match(text) else ""
            raise ValueError(f"must be a whole number, not {shown(value)}{plain}")
    number = _from_numpy(number)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"must be a whole number, not {shown(value)}")
    if abs(number) > LARGEST:
        raise ValueError(f"must be between -(2**63 - 1) and 2**63 - 1, not {shown(value)}")
    return number


def as_number(value: Any) -> float:
    """A finite number: 1e-4, .5, 2, "0.1"."""
    number = value
    if isinstance(value, str):
        text = value.strip()
        _refuse_long(text)
        if _NUMBER.fullmatch(text):
            number = float(text)
        elif text.lower().lstrip("+-").lstrip(".") in ("inf", "infinity", "nan"):
            raise ValueError(f"must be finite, not {shown(value)}")
        else:
            comma = f"; write {text.replace(',', '.')}" if _NUMBER.fullmatch(text.replace(",", ".", 1)) else ""
            raise ValueError(f"must be a number such as 0.5, not {shown(value)}{comma}")
    number = _from_numpy(number)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise ValueError(f"must be a number such as 0.5, not {shown(value)}")
    if (isinstance(number, int) and abs(number) > LARGEST) or not math.isfinite(number):
        raise ValueError(f"must be finite, not {shown(value)}")
    return float(number)


def as_number_as_written(value: Any) -> int | float:
    """The same, but 2 stays a whole number: for what is written into names and fingerprints."""
    number = as_number(value)
    whole = isinstance(value, int) or (isinstance(value, str) and _WHOLE.fullmatch(value.strip()))
    return int(number) if whole else number


def as_flag(value: Any) -> bool:
    """true or false, also as yes, no, on and off."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in (*_TRUE, *_FALSE):
        return value.lower() in _TRUE
    raise ValueError(f"must be true or false, not {shown(value)}")


def as_flag_or_whole(value: Any) -> bool | int:
    """true, false or a whole number."""
    try:
        return as_flag(value)
    except ValueError:
        pass
    try:
        return as_whole(value)
    except ValueError as error:
        raise ValueError(str(error).replace("must be a whole", "must be true, false or a whole")) from None


def as_list(value: Any) -> list[Any]:
    """A list that is not empty."""
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"must be a list such as [a, b], not {shown(value)}")
    return list(value)


def as_sentences(value: Any) -> list[str]:
    """A list of sentences. In [a cat, on a mat] YAML sees two; what looks like the rest of the sentence before is
    refused, because a comma inside a sentence needs quotes."""
    entries = as_list(value)
    if isinstance(value, FlowList):
        for before, after in pairwise(entries):
            if isinstance(before, Word) and isinstance(after, Word) and _CONTINUES.match(after):
                raise ValueError(f"{shown(after)} looks like the rest of the sentence before it; a comma inside a "
                                 f"sentence needs quotes: [{quoted(f'{before}, {after}')}]; for two sentences write "
                                 f"[{quoted(before)}, {quoted(after)}]")  # fmt: skip
    return [as_text(entry) for entry in entries]


def as_choice(value: Any) -> Any:
    """One of several words; a no that YAML 1.1 has already read as false is the word again."""
    return "no" if value is False else value


def as_free(value: Any) -> Any:
    """A value of no declared type, as the arguments of a call: words are read as YAML does, except that 1e-4 is a
    number, a date is text, and what reads as two things is refused."""
    if isinstance(value, Word):
        return _free_word(value)
    if isinstance(value, Mapping):
        return {as_name(key): as_free(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_free(entry) for entry in value]
    value = _from_numpy(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, int):
        return as_whole(value)
    if isinstance(value, float):
        return as_number(value)
    raise ValueError(f"must be text, a number, true, false, a list or a mapping, not {shown(value)}")


def as_mapping(value: Any) -> dict[str, Any]:
    """Names and values of no declared type."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping such as {{a: 1}}, not {shown(value)}")
    return as_free(value)


def _free_word(word: Word) -> Any:
    if word.lower() in (*_TRUE, *_FALSE):
        return word.lower() in _TRUE
    if _CLOCK.fullmatch(word) or (_LEADING_ZERO.match(word) and word.replace("_", "").isalnum()):
        raise ValueError(f"{shown(word)} can be read as text or as a number; write {quoted(word)}, or the number in "
                         "plain decimal digits")  # fmt: skip
    if _WHOLE.fullmatch(word):
        return as_whole(word)
    if _NUMBER.fullmatch(word) or word.lower().lstrip("+-") in (".inf", ".nan"):
        return as_number(word)
    return as_text(word)


def _refuse_long(text: str) -> None:
    """Before any conversion, whose time grows with the square of the digits."""
    if len(text) > _DIGITS:
        raise ValueError(f"must be a number of at most {_DIGITS} characters, not of {len(text)}")


def _from_numpy(value: Any) -> Any:
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value


T = TypeVar("T")
_read: Callable[..., Any] = BeforeValidator

Text = Annotated[str, _read(as_text)]
Name = Annotated[str, _read(as_name)]
Whole = Annotated[int, _read(as_whole)]
Count = Annotated[int, _read(as_whole), Field(ge=1)]
Seed = Annotated[int, _read(as_whole), Field(ge=0, le=LARGEST)]
Number = Annotated[float, _read(as_number)]
Flag = Annotated[bool, _read(as_flag)]
FlagOrWhole = Annotated[bool | int, _read(as_flag_or_whole)]
NumberAsWritten = Annotated[int | float, _read(as_number_as_written)]
Listed = Annotated[list[T], _read(as_list)]
Several = Annotated[tuple[T, ...], _read(as_list)]
Sentences = Annotated[list[str], _read(as_sentences)]
Free = Annotated[dict[str, Any], _read(as_mapping)]
