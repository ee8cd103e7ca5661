"""JSON that this package wrote, or a stranger did: read whole and checked against a pydantic class before use."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from emogen.settings.check import dotted
from emogen.settings.errors import ConfigError
from emogen.settings.types import shown
from emogen.text_files import read_json


def read_checked_json(path: str | Path, cls: Any, what: str) -> Any:
    """The value of a JSON file, as it stands there, once it fits `cls`.

    Args:
        cls: what pydantic checks it against; keys that it does not name are left alone.
        what: what messages call the file, such as "results of an evaluation".

    Raises:
        ConfigError: there is no such file, it is no JSON, or a key is missing or wrong; names the file and the key.
    """
    path = Path(path)
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: holds no {what} ({str(error).removeprefix(f'{path}: ')})") from error
    check_json(value, cls, f"{path}: holds no {what}")
    return value


def check_json(value: Any, cls: Any, lead: str) -> None:
    """Refuse a value that does not fit `cls` (`ConfigError`); the message begins with `lead`."""
    try:
        _adapter(cls).validate_python(value)
    except ValidationError as error:
        found = error.errors()[0]
        where = dotted(found["loc"])
        problem = _problem(found)
        raise ConfigError(f"{lead}: {where + ' ' if where else ''}{problem}") from None


def _problem(found: dict[str, Any]) -> str:
    if found["type"] == "missing":
        return "is missing"
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    message = found["msg"].replace("Input should be", "must be")
    return f"{message}, not {shown(found['input'])}"


@functools.cache
def _adapter(cls: Any) -> TypeAdapter:
    return TypeAdapter(cls)
