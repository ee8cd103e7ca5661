"""The stages in order, what each was made from, and which are done.

A stage's folder `WORK/NAME` holds `stage.json`: the options that decide it and the fingerprints of the stages that it
was made from. A stage is used again only if they are equal; one that differs is refused and not overwritten.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from emogen.files import fingerprint_value, write_json
from emogen.made import differences, plain
from recipe.config import Recipe, Schedule


class PlanError(ValueError):
    """The work folder does not fit the configuration, or a stage comes too early."""


@dataclass(frozen=True)
class Workshop:
    """A configuration and the folder for everything on the way to what is shipped."""

    recipe: Recipe
    work: Path

    def folder(self, stage: str) -> Path:
        return self.work / stage


@dataclass(frozen=True)
class Stage:
    """One step of the recipe.

    Attributes:
        about: what it does, for `--help`.
        run: does it; called again after a stop, it resumes.
        options: dotted names in `Recipe` that decide it. needs: stages that it is made from.
        schedule: of the network it trains, which is logged in `WORK/NAME/NAME.jsonl`.
        shared: whether several processes can share it.
    """

    name: str
    about: str
    run: Callable[[Workshop], None]
    options: tuple[str, ...]
    needs: tuple[str, ...] = ()
    schedule: Callable[[Recipe], Schedule] | None = None
    shared: bool = False


class Plan:
    """All stages over one workshop."""

    def __init__(self, stages: tuple[Stage, ...], workshop: Workshop):
        self.stages = {stage.name: stage for stage in stages}
        self.shop = workshop

    def recipe_of(self, name: str) -> dict[str, Any]:
        """All that decides a stage, as JSON."""
        stage = self.stages[name]
        options = {key: _dump(attrgetter(key)(self.shop.recipe)) for key in stage.options}
        return plain({"options": options, "needs": {n: fingerprint_value(self.recipe_of(n)) for n in stage.needs}})

    def is_done(self, name: str) -> bool:
        """Whether the stage is made, to its end, by an equal recipe."""
        note = self._note(name)
        return bool(note and note["done"] and note["recipe"] == self.recipe_of(name))

    def check(self, name: str) -> None:
        """Refuse a stage whose folder was begun by another recipe, or whose needs are not made.

        More steps for a network are no other recipe: its run goes on.

        Raises:
            PlanError: names what differs and the way out.
        """
        note, folder = self._note(name), self.shop.folder(name)
        if note is not None:
            differing = [d for d in differences(note["recipe"], self.recipe_of(name)) if not self._only_longer(d)]
            if differing:
                raise PlanError(
                    f"{folder} was made with another {', '.join(differing[:3])}; remove the folder to make it anew, or "
                    "choose another --work"
                )
        missing = [need for need in self.stages[name].needs if not self.is_done(need)]
        if missing:
            raise PlanError(f"{name} is made from {', '.join(missing)}, which is not there; run it first")

    def make(self, name: str) -> None:
        """Run a stage unless it is done."""
        if self.is_done(name):
            return
        self.check(name)
        note = self._note(name) or {"cpu_seconds": 0.0, "wall_seconds": 0.0}
        main = int(os.environ.get("RANK", 0)) == 0
        cpu, wall = _cpu_seconds(), time.monotonic()
        note |= {"recipe": self.recipe_of(name), "done": False}
        if main:
            write_json(self.shop.folder(name) / "stage.json", note)
        try:
            self.stages[name].run(self.shop)
            note["done"] = True
        finally:
            note["cpu_seconds"] = round(note["cpu_seconds"] + _cpu_seconds() - cpu, 1)
            note["wall_seconds"] = round(note["wall_seconds"] + time.monotonic() - wall, 1)
            if main:
                write_json(self.shop.folder(name) / "stage.json", note)

    def time_of(self, name: str) -> tuple[float, float]:
        """CPU seconds of the first process with its children, and wall seconds, that
        a stage took so far; a killed run's are missing."""
        note = self._note(name) or {}
        return note.get("cpu_seconds", 0.0), note.get("wall_seconds", 0.0)

    def _note(self, name: str) -> dict[str, Any] | None:
        path = self.shop.folder(name) / "stage.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def _only_longer(self, difference: str) -> bool:
        return difference.endswith("schedule.phases")


def _dump(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _cpu_seconds() -> float:
    """Of this process, and of those that it started and that have ended."""
    return sum(os.times()[:4])
