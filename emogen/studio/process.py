"""A command of emogen in a process of its own, which outlives the page and the studio.

What is known of it lies in files, so that a studio that is started again finds it: `NAME.json` says which process it is
and what it was asked, `NAME.log` holds what it has said, `NAME.status` its exit status.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from emogen.files import write_json

_TAIL = 12_000  # bytes of a log that are shown
_NOISE = ("[transformers]",)
"""Beginnings of lines that libraries say to whoever develops them."""
RUNNING, DONE, REFUSED, FAILED, STOPPED, NEVER = "running", "done", "refused", "failed", "stopped", "never"


class WorkError(RuntimeError):
    """The process cannot be started or stopped; the message says why."""


@dataclass(frozen=True)
class State:
    """How a process is.

    Attributes:
        how: "running", "done" (status 0, or 3: with failures that are listed), "refused" (2), "failed", "stopped" (by
            `Work.stop`), or "never" started.
        seconds: since it began, or how long it ran as far as that is known.
        said: the end of its log.
        about: what `start` was told of it.
    """

    how: str = NEVER
    seconds: float = 0.0
    said: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self.how == RUNNING


class Work:
    """One command at a time, under a name.

    Args:
        folder: where the files lie.
        name: of the files.
        command: what runs a command's words; for tests.
    """

    def __init__(self, folder: Path, name: str, command: Callable[[Path], Sequence[str]] | None = None):
        self.folder, self.name = Path(folder), name
        self._command = command or (lambda status: [sys.executable, "-m", "emogen.studio.child", str(status)])
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The file of what it says."""
        return self._file("log")

    def start(self, words: Sequence[str], about: Mapping[str, Any] | None = None) -> None:
        """Begin a command of emogen.

        Args:
            about: kept with it, for `State.about`.

        Raises:
            WorkError: one is running, or the process cannot be started.
        """
        with self._lock:
            if self.state().running:
                raise WorkError("it is running already; stop it first")
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file("status").unlink(missing_ok=True)
            environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
            try:
                with open(self.log, "wb") as log:
                    self._process = subprocess.Popen(
                        [*self._command(self._file("status")), *words], stdin=subprocess.DEVNULL, stdout=log,
                        stderr=subprocess.STDOUT, env=environment, start_new_session=True)  # fmt: skip
            except OSError as error:
                raise WorkError(f"the process cannot be started: {error}") from error
            known = {"pid": self._process.pid, "created": _created(self._process.pid), "began": time.time(),
                     "words": list(words), "about": dict(about or {}), "stopped": False}  # fmt: skip
            write_json(self._file("json"), known)

    def stop(self) -> None:
        """Ask it to end, as Ctrl-C would; a second time, end it at once.

        Raises:
            WorkError: nothing is running.
        """
        with self._lock:
            known = self._known()
            if known is None or not self._alive(known):
                raise WorkError("nothing is running")
            hard = known["stopped"]
            write_json(self._file("json"), {**known, "stopped": True})
            try:
                if hard:
                    for child in psutil.Process(known["pid"]).children(recursive=True):
                        child.kill()
                    psutil.Process(known["pid"]).kill()
                else:
                    psutil.Process(known["pid"]).send_signal(signal.SIGTERM)
            except psutil.NoSuchProcess:
                pass

    def state(self) -> State:
        """How it is now."""
        known = self._known()
        if known is None:
            return State()
        said = self._said()
        if self._alive(known):
            return State(RUNNING, time.time() - known["began"], said, known["about"])
        status_file = self._file("status")
        ended = status_file if status_file.is_file() else self.log
        seconds = max(0.0, ended.stat().st_mtime - known["began"]) if ended.is_file() else 0.0
        status = status_file.read_text(encoding="utf-8") if status_file.is_file() else ""
        how = STOPPED if known["stopped"] else {"0": DONE, "3": DONE, "2": REFUSED}.get(status, FAILED)
        return State(how, seconds, said, known["about"])

    def wait(self, seconds: float) -> State:
        """Wait for it to end, at most so long."""
        end = time.monotonic() + seconds
        while (state := self.state()).running and time.monotonic() < end:
            time.sleep(0.05)
        return state

    def _alive(self, known: Mapping[str, Any]) -> bool:
        if self._process is not None and self._process.pid == known["pid"]:
            return self._process.poll() is None
        try:
            process = psutil.Process(known["pid"])
            return process.status() != psutil.STATUS_ZOMBIE and _created(known["pid"]) == known["created"]
        except psutil.NoSuchProcess:
            return False

    def _known(self) -> dict[str, Any] | None:
        try:
            known = json.loads(self._file("json").read_text(encoding="utf-8"))
            return known if {"pid", "created", "began", "about", "stopped"} <= set(known) else None
        except (OSError, ValueError, TypeError):
            return None

    def _said(self) -> str:
        """The end of the log, as a terminal would show it: a line that was written over is there once."""
        if not self.log.is_file():
            return ""
        with open(self.log, "rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL))
            text = file.read().decode("utf-8", "replace")
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        return "\n".join(line for line in lines if not line.startswith(_NOISE))

    def _file(self, ending: str) -> Path:
        return self.folder / f"{self.name}.{ending}"


def _created(pid: int) -> float | None:
    """When a process began: with its number, which one it is."""
    try:
        return round(psutil.Process(pid).create_time(), 1)
    except psutil.NoSuchProcess:
        return None


def now_doing(said: str) -> str:
    """The last line that says what is done; not warnings, nor the lines of code that these repeat."""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith(" ") and "Warning:" not in line]
    return lines[-1][:160] if lines else "beginning"


def plain_end(said: str, lines: int = 12) -> str:
    """The last lines of what was said, without empty ones."""
    return "\n".join([line for line in said.splitlines() if line.strip()][-lines:])
