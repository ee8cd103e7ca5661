"""Clips that a studio made before: read back from its folder, so that the gallery outlives a restart."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emogen.emotion import MIKELS, parse_emotion_or_arc
from emogen.media.reader import read_metadata
from emogen.studio.result import Reading, Result

MOST = 60
"""Clips that are shown again, the newest."""


def earlier_results(folder: Path, served: Path) -> list[Result]:
    """The newest clips of a folder, the oldest first; what is damaged or was not made here is passed over.

    Args:
        served: where the copies go that a page may show.
    """
    files = sorted(folder.glob("*.webp"), key=lambda path: path.name)[-MOST:]
    found: list[Result] = []
    for path in files:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found.append(_read(path, len(found) + 1, served))
    return found


def _read(path: Path, number: int, served: Path) -> Result:
    made = read_metadata(path) or {}
    emotion = parse_emotion_or_arc(str(made["emotion"]))
    shown = served / path.name
    shutil.copyfile(path, shown)
    return Result(
        number=number, prompt=str(made["prompt"]), emotion=emotion, seed=int(made["seed"]), path=path, frames_path=None,
        fps=None, seconds=None, reading=_reading(made.get("reading")), metadata=made, served=shown,
    )  # fmt: skip


def _reading(given: Any) -> Reading | None:
    """A reading as `Reading.to_dict` wrote it."""
    if not isinstance(given, Mapping):
        return None
    shares = tuple(float(given["distribution"][name]) for name in MIKELS)
    if not all(0 <= share <= 1 for share in shares):
        return None
    return Reading(shares, *(float(given[name]) for name in ("valence", "arousal", "confidence")), str(given["judge"]))
