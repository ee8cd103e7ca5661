"""What the commands of `emogen data` share: how a stage is run, and how it is said what came of it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from emogen.curation.ray_engine import run_with_ray
from emogen.curation.runner import Count, How, run_stage
from emogen.curation.stage import Row, Stage
from emogen.curation.workspace import Workspace

FAILED = 3
"""Exit status: done, with failures that are listed."""
SHOWN = 10
"""Lines of one kind that are printed."""


def how_to_run(args: argparse.Namespace, workers: int | None = None) -> How:
    """The options of a stage that runs.

    Args:
        workers: processes if --workers does not say; None: all processors but one.

    Raises:
        ValueError: an option is out of range.
    """
    found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", args.shard)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"--shard is {args.shard!r}; write I/N with I from 1 to N, such as 3/16")
    how = How(shard=(int(found[1]), int(found[2])), retry_failed=args.retry_failed, quiet=args.quiet,
              engine=args.engine)  # fmt: skip
    asked = workers if args.workers is None else args.workers
    if asked is not None:
        if asked < 0:
            raise ValueError(f"--workers is {asked}; it must not be negative")
        how = replace(how, workers=asked)
    return how


def run_rows(stage: Stage, rows: Iterable[Row], workspace: Workspace, how: How) -> int:
    """Run a stage of the table and say what came of it; returns the exit status."""
    workspace.register(stage)
    return carry_rows(stage, rows, workspace, how)


def carry_rows(stage: Stage, rows: Iterable[Row], workspace: Workspace, how: How) -> int:
    """Run a stage and say what came of it; returns the exit status."""
    carry = run_with_ray if how.engine == "ray" else run_stage
    return say_count(stage.name, carry(stage, rows, workspace.folder, how))


def say_count(name: str, count: Count) -> int:
    """Say what came of a stage; returns the exit status."""
    before = f", {count.before} done before" if count.before else ""
    print(f"{name}: {count.done} done, {len(count.failed)} failed{before}")
    for key, why in list(count.failed.items())[:SHOWN]:
        print(f"  {key.partition('|')[0]}: {why}", file=sys.stderr)
    if len(count.failed) > SHOWN:
        print(f"  and {len(count.failed) - SHOWN} more; `emogen data status` counts the reasons", file=sys.stderr)
    return FAILED if count.failed else 0


def table_stage(name: str, settings: Mapping[str, Any]) -> Stage:
    """A stage that looks at the whole table at once, in the command itself."""
    return Stage(name, 1, _never, settings)


def _never(row: Row, settings: Mapping[str, Any], output: Path) -> list[Row]:
    raise AssertionError("this stage looks at the whole table at once")
