"""What was found in clips before, so that a second look at a large data set takes seconds."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emogen.files import fingerprint_bytes, write_json
from emogen.media.limits import DEFAULT_LIMITS, Limits
from emogen.media.reader import Probe, probe

_VERSION = 1  # raise it when a probe means something else


def cache_file(name: str) -> Path:
    """Where the probes of the data set of that name are kept: in the user's cache folder (`XDG_CACHE_HOME`), for a dry
    run leaves nothing in the folders of the run."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "emogen" / "probes" / f"{fingerprint_bytes(name.encode())[:32]}.json"


class ProbeCache:
    """Probes by a file's path, size and time of change, kept in a JSON file; several threads may ask at once.

    Files that cannot be read are not kept: they are looked at again.

    Args:
        file: where the probes are kept. One that is damaged or of another version counts as empty.
    """

    def __init__(self, file: str | Path, limits: Limits = DEFAULT_LIMITS):
        self.file, self.limits = Path(file), limits
        self._known: dict[str, dict[str, Any]] = {}
        self._changed = False
        with contextlib.suppress(OSError, ValueError, AttributeError):
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            if kept.get("version") == _VERSION and isinstance(kept.get("clips"), dict):
                self._known = kept["clips"]

    def probe(self, path: str | Path) -> Probe:
        """As `emogen.media.probe`."""
        path = Path(path).resolve()
        if not path.is_file():
            raise FileNotFoundError(f"no video file {path}")
        about = path.stat()
        key = [about.st_size, about.st_mtime_ns]
        kept = self._known.get(str(path))
        if isinstance(kept, dict) and kept.get("file") == key:
            with contextlib.suppress(TypeError, KeyError):
                found = Probe(**kept["probe"])
                self.limits.check_size(path, found.height, found.width, still=found.kind == "image")
                self.limits.check_length(path, found.frames, found.duration)
                return found
        found = probe(path, self.limits)
        self._known[str(path)] = {"file": key, "probe": asdict(found)}
        self._changed = True
        return found

    def save(self) -> None:
        """Write what was learned; a folder that cannot be written to costs only time."""
        if self._changed:
            with contextlib.suppress(OSError):
                write_json(self.file, {"version": _VERSION, "clips": self._known}, indent=None)
