"""Work in a thread of its own, watched from outside: what the page shows while something is made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_EVERY = 0.25  # seconds between two looks


@dataclass(frozen=True)
class Step:
    """How far the work is.

    Attributes:
        share: in [0, 1].
        text: what is being done.
        seconds: since it began.
        found: what has come of it so far.
    """

    share: float
    text: str
    seconds: float
    found: tuple[Any, ...]


def watch(work: Callable[[Callable[[float, str], None]], Iterable[Any]], every: float = _EVERY) -> Iterator[Step]:
    """Run `work` in a thread, and say again and again how far it is, from the first moment to the end.

    Args:
        work: is given what it tells its progress to (share, text); what it yields is collected.
        every: seconds between two steps.

    Raises:
        Exception: what the work raised, once it has ended.
    """
    told: list[tuple[float, str]] = [(0.0, "beginning")]
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            for one in work(lambda share, text: told.append((share, text))):
                found.append(one)
        except BaseException as error:
            failed.append(error)

    start = time.monotonic()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        yield Step(*told[-1], time.monotonic() - start, tuple(found))
        thread.join(every)
    if failed:
        raise failed[0]
    yield Step(1.0, "done", time.monotonic() - start, tuple(found))
