"""Commands that the recipe starts: they end when it is told to end, and not before they have kept what they have."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within this block SIGTERM raises `SystemExit`, so that what is under way can be ended in order."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def free_port() -> int:
    """A port for processes that train together. (`torchrun --standalone` needs none, but its heartbeat shares a
    connection with its last words, and now and then it waits for ever: pytorch/pytorch#69520.)"""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def run_child(command: Sequence[str], folder: Path) -> int:
    """Run a command in a folder and give its exit code; if this is interrupted, end it with SIGTERM and wait for it."""
    process = subprocess.Popen(command, cwd=folder)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
