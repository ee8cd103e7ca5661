"""Clips and pictures: read as they are displayed, written so that they play everywhere."""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "LimitError": "limits",
    "Limits": "limits",
    "Probe": "reader",
    "VideoError": "limits",
    "iterate_frames": "reader",
    "probe": "reader",
    "read_frames": "reader",
    "read_metadata": "reader",
    "read_picture": "pictures",
    "read_video": "reader",
    "write_video": "writer",
}
__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    """Loaded when it is used: configurations read the limits alone, and ffmpeg's libraries are large."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
