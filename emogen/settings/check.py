"""From a document to a checked object: pydantic decides, and its findings become sentences with place and key."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from emogen.settings.errors import ConfigError
from emogen.settings.types import LARGEST, shown
from emogen.settings.yaml_file import Document, Key

T = TypeVar("T")
_BOUNDS = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le"),
           "greater_than": ("above", "gt"), "less_than": ("below", "lt")}  # fmt: skip


def build(cls: type[T], document: Document, missing: str = "") -> T:
    """An object of a pydantic dataclass.

    Args:
        missing: follows the message about a key that is not set, such as a hint at a flag.

    Raises:
        ConfigError: what is wrong first; unknown keys come before all else, as they explain missing ones.
    """
    values = document.values
    if not isinstance(values, Mapping):
        names = ", ".join(field.name for field in dataclasses.fields(cls))
        raise ConfigError(f"{document.source}: expected keys such as {names}")
    parts = {field.name for field in dataclasses.fields(cls) if _dataclass_in(_hints(cls)[field.name]) is not None}
    values = {key: value for key, value in values.items() if value is not None or key not in parts}
    try:
        return _adapter(cls).validate_python(values)
    except ValidationError as error:
        found = sorted(error.errors(), key=lambda one: one["type"] != "unexpected_keyword_argument")
        raise ConfigError(_sentence(cls, document, found[0], missing)) from None


def refuser(document: Document) -> Callable[[bool, str, str], None]:
    """A function for rules that span several keys: `refuse(wrong, "section.key", message)`.

    It raises `ConfigError` with the place where that key was written, or the nearest that encloses it.
    """

    def refuse(wrong: bool, key: str, message: str) -> None:
        if wrong:
            raise ConfigError(f"{document.place(tuple(key.split('.')))}: {message}")

    return refuse


def keys_of(cls: type, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> type of every setting of a dataclass of dataclasses."""
    found: dict[str, Any] = {}
    for name, hint in _hints(cls).items():
        if dataclasses.is_dataclass(hint):
            found |= keys_of(hint, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = hint
    return found


def nearest(word: Any, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


@functools.cache
def _adapter(cls: type) -> TypeAdapter:
    return TypeAdapter(cls)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _sentence(cls: type, document: Document, error: Mapping[str, Any], missing: str) -> str:
    checked: Key = tuple(error["loc"])
    key = document.as_written(checked)
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "unexpected_keyword_argument":
        return f"{document.place(checked)}: unknown key {dotted(key)!r}{_nearest_key(cls, checked, document)}"
    if kind == "missing":
        return f"{document.place(checked[:-1])}: {dotted(key)} must be set{missing.format(key[-1])}"
    if kind == "value_error":
        message = str(context["error"])
    elif kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        bound = "2**63 - 1" if context[name] == LARGEST else f"{context[name]:.12g}"
        message = f"must be {words} {bound}, not {value if isinstance(value, str) else shown(value)}"
    elif kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"])
        message = f"must be one of {', '.join(choices)}, not {shown(value)}"
    elif kind == "dataclass_type":
        message = f"must be a section with keys below it, not {shown(value)}"
    elif kind == "dict_type":
        message = f"must be a mapping such as {{a: 1}}, not {shown(value)}"
    else:
        message = f"{error['msg']}, not {shown(value)}"
    joint = " " if message.startswith("must") else ": "
    return f"{document.place(checked)}: {dotted(key)}{joint}{message}"


def dotted(key: Key) -> str:
    """`systems.base.model`, `judges[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).removeprefix(".")


def _nearest_key(cls: type, key: Key, document: Document) -> str:
    """The nearest key at this place; if there is none, the nearest of all."""
    holder = _holder(cls, key[:-1])
    known = [field.name for field in dataclasses.fields(holder)] if holder is not None else []
    last = str(key[-1])
    if close := difflib.get_close_matches(last, known, n=1, cutoff=0.6):
        return f"; did you mean {dotted((*document.as_written(key[:-1]), close[0]))!r}?"
    everywhere = {name.rpartition(".")[2]: name for name in keys_of(cls)}
    if close := difflib.get_close_matches(last, everywhere, n=1, cutoff=0.5):
        return f"; did you mean {everywhere[close[0]]!r}?"
    return f"; known are {', '.join(known)}"


def _holder(cls: type, key: Key) -> type | None:
    """The dataclass whose field the next part of a key names."""
    found: type | None = cls
    for part in key:
        if found is None:
            return None
        if isinstance(part, int):
            continue  # an entry of a list of the class just found
        found = _dataclass_in(_hints(found).get(part))
    return found


def _dataclass_in(hint: Any) -> type | None:
    """The dataclass in a hint: itself, or in a tuple, list or option of it."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint
    return next((found for part in typing.get_args(hint) if (found := _dataclass_in(part)) is not None), None)
