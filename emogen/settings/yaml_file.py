"""YAML read strictly: every value as it was written, every key with its line.

YAML 1.1 turns unquoted words into other types before anybody knows what the key wants: `2025-11-24` is a date, `12:30`
is 750, `no` is false, `1e-4` is text. Here an unquoted word stays a `Word` until the key's type decides
(`emogen.settings.types`). What configurations do not need is refused, because it hides mistakes or costs without bound:
keys written twice, `<<`, anchors, tags, several documents, deep nesting, large files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from emogen.settings.errors import ConfigError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
_NULLS = ("", "~", "null", "Null", "NULL")

Key = tuple[str | int, ...]
"""Where a value stands: the keys and list places that lead to it."""


class Word(str):
    """An unquoted word, as it was written; what it means depends on the key's type."""


class FlowList(list):
    """A list written as [a, b], in which a comma always begins a new entry."""


@dataclass
class Document:
    """A tree of values and where each was written.

    Attributes:
        values: dict (keys are text), list, `Word`, str and None; from Python also numbers and bools.
        source: what messages call the whole, such as the file.
        places: key -> "file:line" or "--flag".
        names: key as checked -> key as written, where the two differ.
    """

    values: Any
    source: str
    places: dict[Key, str] = field(default_factory=dict)
    names: dict[Key, Key] = field(default_factory=dict)

    def as_written(self, key: Key) -> Key:
        """The key that the user wrote, from the one that was checked."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.names:
                return self.names[key[:length]] + key[length:]
        return key

    def place(self, key: Key) -> str:
        """Where a key, or what encloses it, was written; else the source."""
        key = self.as_written(key)
        for length in range(len(key), 0, -1):
            if key[:length] in self.places:
                return self.places[key[:length]]
        return self.source

    @classmethod
    def of(cls, raw: Any, source: str) -> Document:
        """A tree that was made in Python.

        Raises:
            ConfigError: it is nested too deeply.
        """
        return cls(_plain(raw, source, 0), source)


def read_yaml(path: str | Path) -> Document:
    """Read a configuration file.

    Raises:
        ConfigError: there is no such file, it is too large or not UTF-8, or see `read_yaml_text`.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: no such configuration file")
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_BYTES // 1024} KiB; is it a configuration?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}:{line}: is not UTF-8 (byte {content[error.start]:#04x}); save it as UTF-8"
        ) from error
    return read_yaml_text(text, str(path))


def read_yaml_text(text: str, source: str, is_file: bool = True) -> Document:
    """Read YAML.

    Args:
        source: the file, or the flag whose value this is.
        is_file: whether messages name the line.

    Raises:
        ConfigError: it is no YAML, or uses what is refused (see the module).
    """
    reader = _Reader(source, is_file)
    try:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        values = reader.document(iter(events))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).partition("\n")[0]
        where = reader.place(mark) if mark is not None else source
        raise ConfigError(f"{where}: not valid YAML: {problem}") from error
    except (ValueError, OverflowError) as error:  # an escape such as "\Uffffffff"
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{source}: not valid YAML: {error}") from error
    return Document(values, source, reader.places)


class _Reader:
    """Builds the tree from the parser's events. The depth is bounded, so that recursion is."""

    def __init__(self, source: str, is_file: bool) -> None:
        self.source, self.is_file = source, is_file
        self.places: dict[Key, str] = {}

    def place(self, mark: Any) -> str:
        return f"{self.source}:{mark.line + 1}" if self.is_file else self.source

    def refuse(self, event: yaml.Event, message: str) -> ConfigError:
        return ConfigError(f"{self.place(event.start_mark)}: {message}")

    def document(self, events: Iterator[yaml.Event]) -> Any:
        values, documents = None, 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.refuse(event, "a second document begins; remove the line ---")
                values = self.node(next(events), events, ())
        return values

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], key: Key) -> Any:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self.refuse(event, "anchors (&name) and aliases (*name) are not read; write the value itself, or put "
                                     "text that begins with & or * in quotes")  # fmt: skip
        if getattr(event, "tag", None):
            raise self.refuse(event, f"tags such as {event.tag} are not read; put text that begins with ! in quotes")
        if len(key) >= MAX_DEPTH and not isinstance(event, yaml.ScalarEvent):
            raise self.refuse(event, f"is nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.ScalarEvent):
            if event.style is not None:
                return event.value
            return None if event.value in _NULLS else Word(event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event, events, key)
        return self.mapping(events, key)

    def sequence(self, start: yaml.Event, events: Iterator[yaml.Event], key: Key) -> list[Any]:
        found: list[Any] = FlowList() if start.flow_style else []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            place = (*key, len(found))
            self.places[place] = self.place(event.start_mark)
            found.append(self.node(event, events, place))
        return found

    def mapping(self, events: Iterator[yaml.Event], key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
                raise self.refuse(event, "a key must be plain text")
            name = event.value
            if name == "<<" and event.style is None:
                raise self.refuse(event, "<< is not read; write the keys themselves")
            place = (*key, name)
            if name in found:
                dotted = ".".join(map(str, place))
                raise self.refuse(event, f"{dotted!r} is set twice (first at {self.places[place]})")
            self.places[place] = self.place(event.start_mark)
            found[name] = self.node(next(events), events, place)
        return found


def _plain(raw: Any, source: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ConfigError(f"{source}: is nested more than {MAX_DEPTH} deep")
    if isinstance(raw, Mapping):
        return {str(key): _plain(value, source, depth + 1) for key, value in raw.items()}
    if isinstance(raw, (list, tuple)):
        made = FlowList() if isinstance(raw, FlowList) else []
        made += [_plain(value, source, depth + 1) for value in raw]
        return made
    return os.fspath(raw) if isinstance(raw, os.PathLike) else raw


def quoted(text: Any) -> str:
    """How to write a text so that YAML takes it as it is."""
    return json.dumps(str(text), ensure_ascii=False)
