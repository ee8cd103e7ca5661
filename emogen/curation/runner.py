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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
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
        engine: "local", or "ray" (see `ray_engine`).
    """

    workers: int = max(1, (os.cpu_count() or 2) - 1)
    shard: tuple[int, int] = (1, 1)
    retry_failed: bool = False
    quiet: bool = False
    engine: str = "local"


@dataclass
class _Task:
    """Rows that are given to a worker together, which try it is, and the seconds that earlier tries took."""

    rows: list[Row]
    tries: int = 1
    spent: float = 0.0


def run_stage(stage: Stage, rows: Iterable[Row], output: str | Path, how: How | None = None) -> Count:
    """Work on every row that the store does not hold, and append what comes of it.

    Raises:
        KeyError: a row has no key.
        KeyboardInterrupt: after the workers are ended; what was finished is kept.
    """
    how, output = how or How(), Path(output)
    parts = Parts(output, stage)
    count = Count()
    todo = to_do(stage, rows, parts.read(), how, count)
    bar = tqdm(total=len(todo), desc=stage.name, unit="row", disable=how.quiet or not todo, mininterval=0.5)

    def keep(result: Result) -> None:
        parts.append(result)
        if result.error is None:
            count.done += 1
        else:
            count.failed[result.key] = result.error
            bar.set_postfix_str(f"{len(count.failed)} failed")
        bar.update()

    size = max(1, stage.batch if stage.many else 1)
    tasks = deque(_Task(todo[start : start + size]) for start in range(0, len(todo), size))
    try:
        if how.workers == 0:
            for task in tasks:
                for result in work_on(stage, task.rows, output):
                    keep(result)
        else:
            _carry(stage, tasks, output, min(how.workers, len(tasks)), keep)
    finally:
        bar.close()
        parts.close()
    return count


def to_do(stage: Stage, rows: Iterable[Row], held: Mapping[str, Result], how: How, count: Count) -> list[Row]:
    """The rows that this run works on: of its shard, each key once, without those that are held. `count.before` grows
    by those that are done."""
    todo: list[Row] = []
    seen: set[str] = set()
    for row in rows:
        key = str(row[stage.key])
        if key in seen or not _mine(key, how.shard):
            continue
        seen.add(key)
        if key in held and not (how.retry_failed and held[key].error is not None):
            count.before += held[key].error is None
        else:
            todo.append(row)
    return todo


def _mine(key: str, shard: tuple[int, int]) -> bool:
    number, of = shard
    return of == 1 or int.from_bytes(key.encode()[-8:], "big") % 1_000_003 % of == number - 1


def work_on(stage: Stage, rows: list[Row], output: Path) -> list[Result]:
    """Work on rows in this process; a result for each."""
    if stage.many is None:
        return [
            _timed(stage, [row], output, lambda one: [stage.work(one[0], stage.settings, output)])[0] for row in rows
        ]
    return _timed(stage, rows, output, lambda some: stage.many(some, stage.settings, output))


def _timed(stage: Stage, rows: list[Row], output: Path, work: Callable[[list[Row]], Any]) -> list[Result]:
    start = time.perf_counter()
    try:
        found = work(rows)
    except StageError as known:
        found = [known] * len(rows)
    except Exception as unforeseen:  # the stage must not take the others with it
        found = [StageError(f"{type(unforeseen).__name__}: {unforeseen}")] * len(rows)
    seconds = round((time.perf_counter() - start) / len(rows), 4)
    return [
        Result(str(row[stage.key]), [], str(one), seconds) if isinstance(one, StageError)
        else Result(str(row[stage.key]), one, None, seconds)
        for row, one in zip(rows, found, strict=True)
    ]  # fmt: skip


class _Worker:
    """A process that works on the rows it is sent."""

    def __init__(self, stage: Stage, output: Path):
        context = multiprocessing.get_context(_CONTEXT)
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, stage, output), daemon=True)
        self.process.start()
        theirs.close()
        self.task: _Task | None = None
        self.begun = 0.0

    def give(self, task: _Task) -> None:
        self.task, self.begun = task, time.monotonic()
        self.pipe.send(task.rows)

    def left(self, stage: Stage) -> float:
        """Seconds that it still may take."""
        return self.begun + stage.timeout * len(self.task.rows) - time.monotonic()

    def end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.process.kill()
        self.process.join(10)
        self.pipe.close()


def _serve(pipe: Connection, stage: Stage, output: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(work_on(stage, pipe.recv(), output))


def _carry(stage: Stage, todo: deque[_Task], output: Path, workers: int, keep: Callable[[Result], None]) -> None:
    pool = [_Worker(stage, output) for _ in range(workers)]
    try:
        while todo or any(worker.task is not None for worker in pool):
            for place, worker in enumerate(pool):
                if worker.task is None and todo:
                    try:
                        worker.give(todo.popleft())
                    except (OSError, ValueError):  # it died while it had nothing to do
                        todo.appendleft(worker.task)
                        worker.end()
                        pool[place] = _Worker(stage, output)
            busy = [worker for worker in pool if worker.task is not None]
            first = min(worker.left(stage) for worker in busy)
            ready = set(wait([worker.pipe for worker in busy], timeout=max(0.0, min(first, 1.0))))
            for worker in busy:
                if worker.pipe in ready:
                    try:
                        results = worker.pipe.recv()
                    except (EOFError, OSError):
                        worker.process.join(5)
                        why = f"its process ended with exit status {worker.process.exitcode}"
                        pool[pool.index(worker)] = _again(worker, why, stage, todo, output, keep)
                        continue
                    for result in results:
                        spent = round(result.seconds + worker.task.spent, 4)
                        keep(replace(result, tries=worker.task.tries, seconds=spent))
                    worker.task = None
                elif worker.left(stage) < 0:
                    why = f"it took longer than {stage.timeout:g} s"
                    pool[pool.index(worker)] = _again(worker, why, stage, todo, output, keep)
    finally:
        for worker in pool:
            worker.end()


def _again(worker: _Worker, why: str, stage: Stage, todo: deque[_Task], output: Path, keep: Any) -> _Worker:
    """End a worker that failed its rows. Each is tried again alone and last, or becomes an error, so that of a batch
    only the guilty row is lost. Returns a new worker."""
    task = worker.task
    spent = round(task.spent + (time.monotonic() - worker.begun) / len(task.rows), 4)
    worker.end()
    if task.tries < TRIES:
        todo.extend(_Task([row], task.tries + 1, spent) for row in task.rows)
    else:
        for row in task.rows:
            keep(Result(str(row[stage.key]), [], f"{why}, {task.tries} times", spent, task.tries))
    return _Worker(stage, output)
