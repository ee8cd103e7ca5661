"""`sample.py --batch`: the clips of a table that are not made yet, by the pipeline that each row needs."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emogen.commands.sample_request import Job, RequestError, options
from emogen.emotion import MIKELS
from emogen.failure import fail
from emogen.files import FolderInUse, fingerprint_file, fingerprint_folder, only_writer
from emogen.made import note_made, why_not_made
from emogen.media.reader import read_metadata
from emogen.versions import versions_in_clip


def run_batch(args: Namespace, jobs: Sequence[Job]) -> int:
    """Every clip that its row's recipe has not made yet; a row that fails is reported, and the others go on.

    Returns:
        The exit status: 0, 1 where a row failed, 2 where nothing could begin.
    """
    first = os.environ.get("RANK", "0") == "0"  # under torchrun the first process writes
    try:
        if not first:
            return _make_all(args, jobs, writes=False)
        with only_writer(args.output_dir):
            return _make_all(args, jobs, writes=True)
    except (FolderInUse, RequestError, LoadError) as error:
        return fail(error, 2)


class LoadError(RuntimeError):
    """The pipeline cannot be opened."""


def _make_all(args: Namespace, jobs: Sequence[Job], writes: bool) -> int:
    from emogen.commands.sample_run import make

    weights = {kind: weights_of(args, kind) for kind in {job.kind for job in jobs}}
    recipes = {job.options.output: recipe(job, weights[job.kind]) for job in jobs}
    todo = []
    for job in jobs:
        why = _why_not_made(job, recipes[job.options.output])
        if why is None:
            continue
        todo.append(job)
        if why and writes:
            print(f"{job.options.output}: made again, {why}")
    failed: list[str] = []
    if writes:
        print(f"{len(jobs)} clips, {len(jobs) - len(todo)} of them there already")
    with tqdm(total=len(todo), unit="clip", disable=args.quiet or not todo or not writes) as bar:
        for kind in ("text", "image"):
            several = [job for job in todo if job.kind == kind]
            if not several:
                continue
            pipe = _open(args, kind)
            for job in several:
                try:
                    path, _, _ = make(pipe, job)
                    if writes:
                        note_made(path, recipes[job.options.output])
                    bar.set_postfix_str(path.name)
                except (OSError, ValueError, RuntimeError) as error:
                    failed.append(f"{job.where}, {job.options.output}: {error}")
                bar.update()
            del pipe  # before the next is opened: two large models do not fit side by side
    if writes:
        for line in failed:
            print(f"failed: {line}", file=sys.stderr)
        end = f", {len(failed)} failed" if failed else ""
        print(f"{len(todo) - len(failed)} clips made in {args.output_dir}{end}")
    return 1 if failed else 0


def _open(args: Namespace, kind: str) -> Any:
    from emogen.commands.sample_run import load, prepare

    try:
        pipe = load(args, kind)
    except (OSError, ValueError, RuntimeError) as error:
        raise LoadError(str(error)) from error
    prepare(pipe, args, quiet=True)
    return pipe


def recipe(job: Job, weights: dict[str, Any]) -> dict[str, Any]:
    """All that decides what comes out: every option with its value, the picture, the weights by content, versions."""
    values = options(job.options)
    values |= {"emotion": str(job.emotion), "avoid": None if job.avoid is None else str(job.avoid)}
    values |= {name: None for name in ("model", "adapter", "lora", "image")}  # by content instead
    values["taxonomy"] = list(MIKELS)
    if job.options.image is not None:
        values["image"] = fingerprint_file(job.options.image)
    return {"options": values, "weights": weights, "versions": versions_in_clip()}


def weights_of(args: Namespace, kind: str) -> dict[str, Any]:
    """Fingerprints of the model, the adapter and the LoRAs that a kind's pipeline is opened with.

    Raises:
        RequestError: the embedded weights are not installed.
    """
    from emogen.commands.sample_run import adapter_of
    from emogen.pipelines.loading import find_adapter, find_model

    try:
        model, adapter = find_model(args.model or "embedded", kind), find_adapter(adapter_of(args), kind)
    except OSError as error:
        raise RequestError(str(error)) from error
    loras = [{"file": _fingerprint(source), "weight": weight} for source, weight in _loras(args)]
    return {"model": _fingerprint(model), "adapter": adapter and _fingerprint(adapter), "lora": loras}


def _loras(args: Namespace) -> list[tuple[str, float]]:
    from emogen.pipelines.composition import loras_from_args

    return [(spec.source, spec.weight) for spec in loras_from_args(args).specs]


def _fingerprint(source: str) -> str:
    """Of what a folder or file holds; of what is on the hub its name, for what that holds is known only there."""
    path = Path(source)
    if path.is_dir():
        return fingerprint_folder(path)
    return fingerprint_file(path) if path.is_file() else f"hub:{source}"


def _why_not_made(job: Job, recipe: dict[str, Any]) -> str | None:
    """None for a clip that is there as it is asked for; "" for one that is missing; else why it is made again.

    Raises:
        RequestError: a file that was not made here is there under its name.
    """
    path = Path(job.options.output)
    why = why_not_made(path, recipe)
    if why is None or not path.exists():
        return None if why is None else ""
    try:
        ours = "prompt" in (read_metadata(path) or {})
    except (OSError, ValueError):
        ours = False
    if not ours and why == "nothing says how it was made":
        raise RequestError(
            f"{job.where}: {path} is there and was not made by sample.py; move it, or choose another --output_dir"
        )
    return why
