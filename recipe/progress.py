"""What a training stage says while it runs: a line a few steps, a log in JSONL, and its curves as a picture."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from emogen.figures import new_figure, save_figure
from emogen.files import write_text
from recipe.config import Phase, Schedule


class Progress:
    """The log of one stage, `folder/NAME.jsonl`; lines of steps that will be taken again are dropped.

    Attributes:
        pending: losses since the last line; they are kept in the checkpoint, so that the next line is what it would
            have been.
    """

    def __init__(self, folder: Path, name: str, first: int, schedule: Schedule, pending: list[float]):
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self._name, self._schedule = folder / f"{name}.jsonl", name, schedule
        self._first, self._start = first, time.monotonic()
        self._cpu = time.process_time()
        self.pending = list(pending)
        kept = [entry for entry in read_log(self._path) if entry["step"] <= first]
        write_text(self._path, "".join(json.dumps(entry) + "\n" for entry in kept))

    def note(self, step: int, phase: Phase, loss: float, norm: float) -> None:
        """Take a step's loss; every few steps a line with their mean."""
        self.pending.append(loss)
        if step % self._schedule.log_every and step != self._schedule.steps:
            return
        entry = {"step": step, "phase": phase.name, "loss": round(float(np.mean(self.pending)), 5),
                 "norm": round(norm, 4), "cpu": round(time.process_time() - self._cpu, 1)}  # fmt: skip
        self.pending, self._cpu = [], time.process_time()
        left = (time.monotonic() - self._start) / (step - self._first) * (self._schedule.steps - step)
        self._write(entry)
        print(
            f"{self._name} {phase.name} {step}/{self._schedule.steps} loss {entry['loss']:.4f} left {clock(left)}",
            flush=True,
        )

    def held_out(self, step: int, phase: Phase, figures: dict[str, float]) -> None:
        """Log figures of the averaged weights and draw the curves anew."""
        if figures:
            self._write({"step": step, "phase": phase.name, **{k: round(v, 5) for k, v in figures.items()}})
            said = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
            print(f"{self._name} {phase.name} {step}/{self._schedule.steps} held out: {said}", flush=True)
        draw_curves(self._path, self._path.with_suffix(".png"))
        self._cpu = time.process_time()

    def _write(self, entry: dict) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def read_log(path: Path) -> list[dict]:
    """The entries of a log; a last line that was cut by a kill is left out."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries


def draw_curves(log: Path, output: Path) -> None:
    """A panel a figure of the log, over the steps."""
    entries = read_log(log)
    names = list(dict.fromkeys(k for e in entries for k in e if k not in ("step", "phase", "cpu", "norm")))
    if not names:
        return
    figure = new_figure((7.0, 2.2 * len(names)))
    axes = figure.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0]
    for axis, name in zip(axes, names, strict=True):
        points = [(e["step"], e[name]) for e in entries if name in e]
        axis.plot(*zip(*points, strict=True), linewidth=1)
        axis.set_ylabel(name)
    axes[-1].set_xlabel("step")
    save_figure(figure, output, dpi=100)


def clock(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds below an hour."""
    seconds = int(seconds)
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{seconds // 60} min {seconds % 60:02d} s"
