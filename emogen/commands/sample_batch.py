"""Many clips: the rows of a table (`sample.py --batch`) or the emotions of a sticker set, each that is not made yet, by
the pipeline that it needs."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emogen.commands.sample_request import Job, RequestError, options
from emogen.commands.sample_set import finish, is_set
from emogen.emotion import MIKELS
from emogen.failure import fail
from emogen.files import FolderInUse, fingerprint_file, fingerprint_folder, fingerprint_sample, only_writer
from emogen.made import note_made, why_not_made
from emogen.media.reader import read_metadata
from emogen.pipelines.model_files import FLAGS, model_from_args
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
    from emogen.commands.sample_run import Chooser, make

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
    chooser = Chooser(args.judge)
    if any(job.options.best_of > 1 for job in todo):
        chooser.load()
    shown = not args.quiet and writes
    with tqdm(total=len(todo), unit="clip", disable=not shown or not todo) as bar:
        for kind in ("text", "image"):
            several = [job for job in todo if job.kind == kind]
            if not several:
                continue
            pipe = _open(args, kind)
            for together in _together(several, jobs):
                name = Path(together[0].options.output).stem if len(together) == 1 else together[0].group
                pipe.set_progress_bar_config(disable=not shown, desc=name, position=1, leave=False)
                try:
                    for job, made in zip(together, make(pipe, together, chooser), strict=True):
                        if writes:
                            note_made(made.path, recipes[job.options.output])
                        bar.set_postfix_str(made.path.name)
                except (OSError, ValueError, RuntimeError) as error:
                    failed += [f"{job.where}, {job.options.output}: {error}".removeprefix(", ") for job in together]
                bar.update(sum(job in several for job in together))
            del pipe  # before the next is opened: two large models do not fit side by side
    if writes:
        for line in failed:
            print(f"failed: {line}", file=sys.stderr)
        end = f", {len(failed)} failed" if failed else ""
        print(f"{max(0, len(todo) - len(failed))} clips made in {args.output_dir}{end}")
        if not failed and is_set(args):
            finish(args, jobs)
    return 1 if failed else 0


def _together(todo: Sequence[Job], jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """The jobs to be made in one go: each by itself, but all of a character whose seed is chosen by all of them."""
    done: set[str] = set()
    for job in todo:
        if not job.group or job.options.best_of == 1:
            yield [job]
        elif job.group not in done:
            done.add(job.group)
            yield [other for other in jobs if other.group == job.group]


def _open(args: Namespace, kind: str) -> Any:
    from emogen.commands.sample_run import load, prepare

    try:
        pipe = load(args, kind)
    except (OSError, ValueError, RuntimeError) as error:
        raise LoadError(str(error)) from error
    prepare(pipe, args, args.quiet)
    return pipe


def recipe(job: Job, weights: dict[str, Any]) -> dict[str, Any]:
    """All that decides what comes out: every option with its value, the picture, the weights by content, versions."""
    values = options(job.options)
    values |= {"emotion": str(job.emotion), "avoid": None if job.avoid is None else str(job.avoid)}
    values |= {name: None for name in ("model", *FLAGS, "adapter", "lora", "image", "enrich")}  # by content instead
    if job.options.best_of == 1:
        values["judge"] = None
    values["taxonomy"] = list(MIKELS)
    if job.options.image is not None:
        values["image"] = fingerprint_file(job.options.image)
    if job.options.enrich is not None:
        values["enrich"] = fingerprint_file(job.options.enrich)
    return {"options": values, "weights": weights, "versions": versions_in_clip()}


def weights_of(args: Namespace, kind: str) -> dict[str, Any]:
    """Fingerprints of the model, the adapter and the LoRAs that a kind's pipeline is opened with.

    Raises:
        RequestError: the embedded weights are not installed.
    """
    from emogen.commands.sample_run import adapter_of
    from emogen.pipelines.loading import find_adapter, find_model, plan_in_files

    try:
        model = model_from_args(args) or "embedded"
        plan, adapter = plan_in_files(model), find_adapter(adapter_of(args), kind)
        if plan is None:
            content: Any = _fingerprint(find_model(str(model), kind))
        else:
            content = {part: [fingerprint_sample(path) for path in paths] for part, paths in plan.paths.items()}
            content |= {"base": plan.files.base and _fingerprint(plan.files.base)}
    except OSError as error:
        raise RequestError(str(error)) from error
    loras = [{"file": _fingerprint(source), "weight": weight} for source, weight in _loras(args)]
    return {"model": content, "adapter": adapter and _fingerprint(adapter), "lora": loras}


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
