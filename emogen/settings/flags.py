"""Settings on the command line: `--key value`, `--key=value`, `--section.key value`, and `--key` alone for true."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Any

from emogen.settings.check import keys_of, nearest
from emogen.settings.errors import ConfigError
from emogen.settings.yaml_file import Document, Word, read_yaml_text


def apply_flags(document: Document, cls: type, words: Sequence[str]) -> None:
    """Put the command line's words into a document, over what its file says.

    Args:
        cls: the dataclass of sections that the document is for; a key is found by its own name, as no two sections
            share one.

    Raises:
        ConfigError: naming the flag.
    """
    keys = keys_of(cls)
    short = {key.rpartition(".")[2]: key for key in keys}
    words = list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--") or word == "--":
            raise ConfigError(f"{word!r}: expected a flag such as --learning_rate 2e-4")
        flag, equals, text = word[2:].partition("=")
        key = short.get(flag, flag)
        if key not in keys:
            raise ConfigError(f"--{flag}: unknown key {flag!r}{_nearest_flag(flag, short)}")
        if not equals and (not words or words[0].startswith("--")):
            if bool not in _parts(keys[key]):
                raise ConfigError(f"--{flag}: needs a value")
            text = "true"
        elif not equals:
            text = words.pop(0)
        _set(document, key, _value(text, keys[key], flag), f"--{flag}")


def _nearest_flag(flag: str, short: Mapping[str, str]) -> str:
    found = nearest(flag.rpartition(".")[2], short)
    for name, key in short.items():
        found = found.replace(f"did you mean {name!r}", f"did you mean {key!r}")
    return found if "did you mean" in found else "; the flags are the keys of the configuration"


def _value(text: str, hint: Any, flag: str) -> Any:
    """Lists and mappings are written in YAML; everything else is taken as it stands."""
    kinds = _parts(hint)
    if text == "null" and type(None) in kinds:
        return None
    if kinds & {list, tuple, dict} or (len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"):
        return read_yaml_text(text, f"--{flag}", is_file=False).values
    return Word(text)


def _set(document: Document, dotted: str, value: Any, place: str) -> None:
    *sections, name = dotted.split(".")
    if document.values is None:
        document.values = {}
    inside = document.values
    for section in sections:
        if not isinstance(inside, dict):
            return  # refused when the document is checked
        if inside.get(section) is None:
            inside[section] = {}
        inside = inside[section]
    if isinstance(inside, dict):
        inside[name] = value
        path = tuple(dotted.split("."))
        document.places = {key: at for key, at in document.places.items() if key[: len(path)] != path}
        document.places[path] = place


def _parts(hint: Any) -> set[Any]:
    """The types that a hint is made of, through options and annotations; what lists hold is left out."""
    origin = typing.get_origin(hint)
    if origin in (list, tuple, dict):
        return {origin}
    if origin is None:
        return {hint}
    return set().union(*(_parts(part) for part in typing.get_args(hint)[: 1 if _annotated(hint) else None]))


def _annotated(hint: Any) -> bool:
    return hasattr(hint, "__metadata__")
