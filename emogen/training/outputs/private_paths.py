"""Taking the paths of this machine out of texts that travel."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_PART = r"""[^\s/\\"'`,;:()<>\[\]{}|]+"""  # of a path in running text, where its end must be guessed
_FILE_URL = re.compile(rf"(?<!\w)file://(?:{_PART}|[/\\])*")
_WINDOWS = re.compile(rf"(?<!\w)(?:[A-Za-z]:[\\/]|\\\\)(?:{_PART}|[/\\])*")
_POSIX = re.compile(rf"(?<![\w.:/~<}})\]])(?:~[\w-]*)?/+{_PART}(?:/+{_PART})*/*")


def hide_paths(text: str, known: Iterable[str] = ()) -> str:
    """The text with absolute paths (POSIX, `~`, Windows, `file://`) cut down to their last part; URLs stay.

    Args:
        known: folders of this machine. What lies in them keeps its path from there, and they are found even where
            they hold spaces; so is what lies in the working folder.
    """
    home = os.path.expanduser("~")
    for root in sorted({*known, os.getcwd(), home}, key=len, reverse=True):  # inner folders before outer ones
        below, itself = ("~/", "~") if root == home else ("", last_part(root))
        text = _without_root(text, root.rstrip("/\\"), below, itself)
    for pattern in (_FILE_URL, _WINDOWS, _POSIX):
        text = pattern.sub(lambda match: _tail(match[0]), text)
    return text


def _without_root(text: str, root: str, below: str, itself: str) -> str:
    if len(root) < 2:
        return text
    start = rf"(?<![\w./\\-]){re.escape(root)}"
    text = re.sub(rf"{start}[/\\]+(?=[^\s/\\])", lambda _: below, text)
    return re.sub(rf"{start}[/\\]*(?![\w.-])", lambda _: itself, text)


def last_part(path: str) -> str:
    """The last part of an absolute path; anything else, a hub id too, as it is."""
    return _tail(path) if is_absolute(path) else path


def _tail(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] or "."


def is_absolute(text: str) -> bool:
    """Whether a text is, as a whole, an absolute path of some system, also with `~` or `file://`."""
    rooted = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
    return "\n" not in text and (rooted or text.startswith(("file://", "~/", "~\\")))


def absolute_paths(value: Any) -> Iterator[str]:
    """The absolute paths among the texts of nested settings."""
    if isinstance(value, str):
        if is_absolute(value):
            yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from absolute_paths(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from absolute_paths(one)


def last_parts(value: Any) -> Any:
    """Nested settings with each text that is an absolute path cut down to its last part."""
    if isinstance(value, str):
        return last_part(value)
    if isinstance(value, Mapping):
        return {key: last_parts(one) for key, one in value.items()}
    return [last_parts(one) for one in value] if isinstance(value, (list, tuple)) else value
