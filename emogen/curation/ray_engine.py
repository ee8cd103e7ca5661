"""The same guarded stages on a Ray cluster, through Ray Data.

Ray alone does not guard: a file that kills its worker is tried for ever, or takes innocent rows of its block along. So
each Ray task runs its rows through `runner.run_stage` with one guarded child process, and appends to the parts in the
output folder itself, which all machines must see. What is in the parts is not done again, whether a task, a machine or
the driver was lost.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from emogen.curation.runner import Count, How, run_stage, to_do
from emogen.curation.stage import Row, Stage, StageError
from emogen.extras import how_to_install

BATCH = 64
"""Rows a Ray task, at most; each task starts a process, which takes a second."""


def run_with_ray(stage: Stage, rows: Iterable[Row], output: str | Path, how: How | None = None) -> Count:
    """As `run_stage`, on the Ray cluster that is running or a local one that is begun.

    Raises:
        StageError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise StageError(f"--engine ray needs the package ray: {how_to_install('ray')} ({error})") from error
    how, output, count = how or How(), Path(output).resolve(), Count()
    todo = list(to_do(stage, rows, output, how, count))
    if not todo:
        return count
    if not ray.is_initialized():
        # workers import what the driver imports, also from a checkout that is not installed
        path = os.pathsep.join(entry for entry in sys.path if entry)
        ray.init(log_to_driver=False, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
    ray.data.DataContext.get_current().enable_progress_bars = not how.quiet
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
    size = max(1, min(BATCH, -(-len(todo) // cores)))
    inside = replace(how, workers=1, shard=(1, 1), quiet=True)

    def work(batch: dict[str, Any]) -> dict[str, list[str]]:
        found = run_stage(stage, [json.loads(text) for text in batch["row"]], output, inside)
        failed = [json.dumps(pair) for pair in found.failed.items()]
        return {"done": [str(found.done)], "failed": [json.dumps(failed)]}

    items = [{"row": json.dumps(row)} for row in todo]
    data = ray.data.from_items(items, override_num_blocks=-(-len(items) // size)).map_batches(work, batch_size=None)
    for told in data.iter_rows():
        count.done += int(told["done"])
        count.failed |= dict(json.loads(pair) for pair in json.loads(told["failed"]))
    return count
