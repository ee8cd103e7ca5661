"""Carries a stage over rows in guarded processes: a row that kills or hangs its process costs that row alone.

Every worker is a process of its own with a pipe. The driver hands out one row at a time, so it always knows which row a
dead worker had. Such a row is tried once more in a new process, and then becomes a result with an error. An exception
that the stage raises is an error at once: it would come again. Only the driver writes to the store.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field, replace
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emogen.curation.held import Held, Met, Result
from emogen.curation.stage import Row, Stage, StageError
from emogen.curation.store import Parts

TRIES = 2
RENEWED = 1000
"""Rows after which a worker is replaced: what decoders leak must not add up. Those that hold a model stay."""
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
    """Work on every row that the store does not hold, and append what comes of it. Rows are taken one by one as they
    are worked on, so that memory does not grow with their number.

    Args:
        rows: if they have a length, the progress line tells the time that is left.

    Raises:
        KeyError: a row has no key.
        KeyboardInterrupt: after the workers are ended; what was finished is kept.
    """
    how, output = how or How(), Path(output)
    parts = Parts(output, stage)
    count, held = Count(), parts.read()
    expected = _expected(rows, held, how)
    bar = tqdm(total=expected, desc=stage.name, unit="row", disable=how.quiet or expected == 0, mininterval=0.5)

    def keep(result: Result) -> None:
        parts.append(result)
        if result.error is None:
            count.done += 1
        else:
            count.failed[result.key] = result.error
            bar.set_postfix_str(f"{len(count.failed)} failed")
        bar.update()

    tasks = _Tasks(to_do(stage, rows, output, how, count, held), max(1, stage.batch if stage.many else 1))
    try:
        if how.workers == 0:
            while (task := tasks.next()) is not None:
                for result in work_on(stage, task.rows, output):
                    keep(result)
        else:
            _carry(stage, tasks, output, how.workers, keep)
    finally:
        bar.close()
        parts.close()
    return count


def _expected(rows: Iterable[Row], held: Held, how: How) -> int | None:
    """About how many rows there are to do; None if nobody knows."""
    if not isinstance(rows, Sized):
        return None
    return max(0, len(rows) - (held.count_done() if how.retry_failed else len(held))) // how.shard[1]


def to_do(
    stage: Stage, rows: Iterable[Row], output: Path, how: How, count: Count, held: Held | None = None
) -> Iterator[Row]:
    """The rows that this run works on: of its shard, each key once, without those that are done. `count.before` grows
    by those.

    Args:
        held: what the parts hold; None: it is read.
    """
    held = Parts(output, stage).read() if held is None else held
    met = Met()
    for row in rows:
        key = str(row[stage.key])
        if not is_mine(key, how.shard) or not met.add(key):
            continue
        if held.is_done(key) and (stage.there is None or stage.there(row, output)):
            count.before += 1
        elif held.is_done(key) or how.retry_failed or key not in held:
            yield row


class _Tasks:
    """What workers are given: new rows, a batch at a time, and at the end those that are tried again."""

    def __init__(self, rows: Iterable[Row], batch: int):
        self._rows, self._batch = iter(rows), batch
        self.again: deque[_Task] = deque()

    def next(self) -> _Task | None:
        if rows := list(islice(self._rows, self._batch)):
            return _Task(rows)
        return self.again.popleft() if self.again else None


def is_mine(key: str, shard: tuple[int, int]) -> bool:
    """Whether a key is of this share of the work.

    Args:
        key: whose end is as good as random: hexadecimal digits of a hash.
        shard: (i, n), see `How`.
    """
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
        json.dumps([one for one in found if not isinstance(one, StageError)], allow_nan=False)  # else it cannot be kept
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
        self.rows = 0

    def give(self, task: _Task) -> None:
        self.task, self.begun = task, time.monotonic()
        self.rows += len(task.rows)
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


def _carry(stage: Stage, tasks: _Tasks, output: Path, workers: int, keep: Callable[[Result], None]) -> None:
    pool: list[_Worker] = []
    try:
        while True:
            for place, worker in enumerate(pool):
                if worker.task is None and (task := tasks.next()) is not None:
                    pool[place] = _given(worker, task, stage, output)
            while len(pool) < workers and (task := tasks.next()) is not None:
                pool.append(_given(_Worker(stage, output), task, stage, output))
            busy = [worker for worker in pool if worker.task is not None]
            if not busy:
                return
            first = min(worker.left(stage) for worker in busy)
            ready = set(wait([worker.pipe for worker in busy], timeout=max(0.0, min(first, 1.0))))
            for worker in busy:
                if worker.pipe in ready:
                    try:
                        results = worker.pipe.recv()
                    except (EOFError, OSError):
                        worker.process.join(5)
                        why = f"its process ended with exit status {worker.process.exitcode}"
                        pool[pool.index(worker)] = _again(worker, why, stage, tasks, output, keep)
                        continue
                    for result in results:
                        spent = round(result.seconds + worker.task.spent, 4)
                        keep(replace(result, tries=worker.task.tries, seconds=spent))
                    worker.task = None
                elif worker.left(stage) < 0:
                    why = f"it took longer than {stage.timeout:g} s"
                    pool[pool.index(worker)] = _again(worker, why, stage, tasks, output, keep)
    finally:
        for worker in pool:
            worker.end()


def _given(worker: _Worker, task: _Task, stage: Stage, output: Path) -> _Worker:
    """Give a worker a task; one that died while it had nothing to do, or has done its share, is replaced first. Returns
    who has the task."""
    if worker.rows >= RENEWED and stage.many is None:
        worker.end()
        worker = _Worker(stage, output)
    try:
        worker.give(task)
    except (OSError, ValueError):
        worker.end()
        worker = _Worker(stage, output)
        worker.give(task)
    return worker


def _again(worker: _Worker, why: str, stage: Stage, tasks: _Tasks, output: Path, keep: Any) -> _Worker:
    """End a worker that failed its rows. Each is tried again alone and last, or becomes an error, so that of a batch
    only the guilty row is lost. Returns a new worker."""
    task = worker.task
    spent = round(task.spent + (time.monotonic() - worker.begun) / len(task.rows), 4)
    worker.end()
    if task.tries < TRIES:
        tasks.again.extend(_Task([row], task.tries + 1, spent) for row in task.rows)
    else:
        for row in task.rows:
            keep(Result(str(row[stage.key]), [], f"{why}, {task.tries} times", spent, task.tries))
    return _Worker(stage, output)
