"""Carries a stage over rows in guarded processes: a row that kills or hangs its process costs that row alone.

Every worker is a process of its own with a pipe. The driver hands out one row at a time, so it always knows which row a
dead worker had. Such a row is tried once more in a new process, and then becomes a result with an error. An exception
that the stage raises is an error at once: it would come again. Only the driver writes to the store.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emogen.curation.stage import Row, Stage, StageError
from emogen.curation.store import Parts, Result

TRIES = 2
_CONTEXT = "spawn"  # a forked child of a process with threads (torch, PyAV) may hang


@dataclass
class Count:
    """What a run of a stage came to: rows done now, failed now (key -> reason), and done before."""

    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    before: int = 0


@dataclass(frozen=True)
class How:
    """How a stage is run.

    Args:
        workers: processes; 0 works in this process, without a guard, for looking into a fault.
        shard: (i, n), 1 <= i <= n: of n machines that share the work, this is number i.
        retry_failed: try rows again that have failed before.
        quiet: no progress line.
    """

    workers: int = max(1, (os.cpu_count() or 2) - 1)
    shard: tuple[int, int] = (1, 1)
    retry_failed: bool = False
    quiet: bool = False


def run_stage(stage: Stage, rows: Iterable[Row], output: str | Path, how: How | None = None) -> Count:
    """Work on every row that the store does not hold, and append what comes of it.

    Raises:
        KeyError: a row has no key.
        KeyboardInterrupt: after the workers are ended; what was finished is kept.
    """
    how, output = how or How(), Path(output)
    parts = Parts(output, stage)
    held = parts.read()
    count = Count()
    todo: deque[tuple[Row, int, float]] = deque()
    seen: set[str] = set()
    for row in rows:
        key = str(row[stage.key])
        if key in seen or not _mine(key, how.shard):
            continue
        seen.add(key)
        if key in held and not (how.retry_failed and held[key].error is not None):
            count.before += held[key].error is None
            continue
        todo.append((row, 1, 0.0))
    bar = tqdm(total=len(todo), desc=stage.name, unit="row", disable=how.quiet or not todo, mininterval=0.5)

    def keep(result: Result) -> None:
        parts.append(result)
        if result.error is None:
            count.done += 1
        else:
            count.failed[result.key] = result.error
            bar.set_postfix_str(f"{len(count.failed)} failed")
        bar.update()

    try:
        if how.workers == 0:
            for row, _, _ in todo:
                keep(_work(stage, row, output))
        else:
            _carry(stage, todo, output, min(how.workers, len(todo)), keep)
    finally:
        bar.close()
        parts.close()
    return count


def _mine(key: str, shard: tuple[int, int]) -> bool:
    number, of = shard
    return of == 1 or int.from_bytes(key.encode()[-8:], "big") % 1_000_003 % of == number - 1


def _work(stage: Stage, row: Row, output: Path) -> Result:
    """One row in this process."""
    start, key = time.perf_counter(), str(row[stage.key])
    try:
        rows, error = stage.work(row, stage.settings, output), None
    except StageError as known:
        rows, error = [], str(known)
    except Exception as unforeseen:  # the stage must not take the others with it
        rows, error = [], f"{type(unforeseen).__name__}: {unforeseen}"
    return Result(key, rows, error, round(time.perf_counter() - start, 4))


class _Worker:
    """A process that works on the rows it is sent."""

    def __init__(self, stage: Stage, output: Path):
        context = multiprocessing.get_context(_CONTEXT)
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, stage, output), daemon=True)
        self.process.start()
        theirs.close()
        self.row: Row | None = None
        self.tries, self.spent, self.begun = 0, 0.0, 0.0

    def give(self, row: Row, tries: int, spent: float) -> None:
        self.row, self.tries, self.spent, self.begun = row, tries, spent, time.monotonic()
        self.pipe.send(row)

    def end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.process.kill()
        self.process.join(10)
        self.pipe.close()


def _serve(pipe: Connection, stage: Stage, output: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(_work(stage, pipe.recv(), output))


def _carry(stage: Stage, todo: deque[tuple[Row, int, float]], output: Path, workers: int, keep: Any) -> None:
    pool = [_Worker(stage, output) for _ in range(workers)]
    try:
        while todo or any(worker.row is not None for worker in pool):
            for place, worker in enumerate(pool):
                if worker.row is None and todo:
                    try:
                        worker.give(*todo.popleft())
                    except (OSError, ValueError):  # it died while it had nothing to do
                        todo.appendleft((worker.row, worker.tries, worker.spent))
                        worker.end()
                        pool[place] = _Worker(stage, output)
            busy = [worker for worker in pool if worker.row is not None]
            first = min(worker.begun for worker in busy) + stage.timeout - time.monotonic()
            ready = set(wait([worker.pipe for worker in busy], timeout=max(0.0, min(first, 1.0))))
            for worker in busy:
                if worker.pipe in ready:
                    try:
                        result = worker.pipe.recv()
                    except (EOFError, OSError):
                        worker.process.join(5)
                        why = f"its process ended with exit status {worker.process.exitcode}"
                        pool[pool.index(worker)] = _again(worker, why, stage, todo, output, keep)
                        continue
                    keep(_with(result, worker))
                    worker.row = None
                elif time.monotonic() - worker.begun > stage.timeout:
                    why = f"it took longer than {stage.timeout:g} s"
                    pool[pool.index(worker)] = _again(worker, why, stage, todo, output, keep)
    finally:
        for worker in pool:
            worker.end()


def _again(worker: _Worker, why: str, stage: Stage, todo: deque, output: Path, keep: Any) -> _Worker:
    """End a worker that failed its row. The row is tried again last, or becomes an error. Returns a new worker."""
    row, spent = worker.row, worker.spent + time.monotonic() - worker.begun
    worker.end()
    if worker.tries < TRIES:
        todo.append((row, worker.tries + 1, spent))
    else:
        keep(Result(str(row[stage.key]), [], f"{why}, {worker.tries} times", round(spent, 4), worker.tries))
    return _Worker(stage, output)


def _with(result: Result, worker: _Worker) -> Result:
    values: Mapping[str, Any] = vars(result)
    return Result(**{**values, "tries": worker.tries, "seconds": round(result.seconds + worker.spent, 4)})
