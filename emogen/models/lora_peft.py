"""peft's configuration, as diffusers keeps it in the header of a LoRA's file: read, and seen to be safe for peft."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emogen.models.lora_names import LoraFormatError

PEFT_KEY = "lora_adapter_metadata"  # peft's configuration in the header of diffusers' files
_LITERAL = re.compile(r"\^?[\w.]+\$?")
"""What a pattern of ranks or alphas may be: a layer's name. peft takes it for a regular expression, and one that is
made for it never ends."""


def peft_config(text: str | None, file: Path) -> dict[str, Any] | None:
    """The settings of a header's text, None without any.

    Raises:
        LoraFormatError: it is no JSON object, or holds a pattern that is no layer's name.
    """
    if text is None:
        return None
    try:
        stored = {key.removeprefix("transformer."): value for key, value in json.loads(text).items()}
    except (ValueError, RecursionError, AttributeError) as error:
        raise LoraFormatError(f"{file}: {PEFT_KEY} of its header is not a JSON object ({error})") from error
    config = {key: value for key, value in stored.items() if "." not in key}  # dots: another component's
    _refuse_patterns(config, file)
    return config or None


def by_name(patterns: Mapping[str, Any], layer: str, default: Any) -> Any:
    """The value of the first pattern that is the layer's name, or the end of it after a dot, as peft takes it."""
    for pattern, value in patterns.items():
        name = pattern.replace("\\.", ".").rstrip("$")
        if layer == name.removeprefix("^") or (not name.startswith("^") and layer.endswith(f".{name}")):
            return value
    return default


def _refuse_patterns(config: Mapping[str, Any], file: Path) -> None:
    """What peft would run as a regular expression has to be a plain name."""
    for key in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(key) or {}
        if not isinstance(patterns, Mapping):
            raise LoraFormatError(f"{file}: {key} of its header is not an object")
        for pattern in patterns:
            if not _LITERAL.fullmatch(pattern.replace("\\.", ".")):
                raise LoraFormatError(f"{file}: {key} of its header holds {pattern[:60]!r}, which is no layer's name")
    for key in ("target_modules", "exclude_modules", "layers_pattern"):
        value = config.get(key)
        if isinstance(value, str) or (key == "layers_pattern" and value):
            raise LoraFormatError(f"{file}: {key} of its header is the pattern {str(value)[:60]!r}; it must be a list")
