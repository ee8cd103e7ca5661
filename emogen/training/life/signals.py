"""Being told to stop, between two steps instead of in the middle of one."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def stop_signals() -> Iterator[dict[str, int]]:
    """Note SIGTERM and SIGINT instead of dying of them; a second one acts as usual."""
    seen = {"signal": 0}
    previous: dict[int, Any] = {}

    def note(number: int, frame: Any) -> None:
        seen["signal"] = number
        signal.signal(number, previous[number])

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.signal(number, note)
    except ValueError:
        pass  # not in the main thread: signals cannot be caught there
    try:
        yield seen
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
