"""`sample.py` and `emogen sample`: a prompt, or a picture, and an emotion in, a clip out."""

from __future__ import annotations

import os
import sys
import time
import warnings
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emogen.commands.sample_batch import read_batch
from emogen.commands.sample_options import build_parser
from emogen.commands.sample_request import (
    ALL,
    RequestError,
    check,
    description,
    ending,
    parse,
    read_emotion,
    short_name,
)
from emogen.media.metadata import read_metadata
from emogen.versions import of_a_clip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (2 for bad input)."""
    start = time.time()
    parser = build_parser()
    try:
        args = parse(parser, argv)
        if args.batch is None:
            check(args)
            jobs = [args]
        else:
            if args.output is not None:
                raise RequestError("--output is for one clip; --batch puts its clips into --output_dir")
            jobs = read_batch(args.batch, args)
        _check_run(args, jobs)
    except ValueError as error:
        parser.error(str(error))
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"peft\..*")  # a LoRA without the image branch
    try:
        if args.batch is not None:
            return _run_batch(args, jobs)
        _say_versions(args)
        path, frames, seed = _make(_load(args), args)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if os.environ.get("RANK", "0") == "0":
        print(
            f"{path}  (emotion {args.emotion}, seed {seed}, {len(frames)} frames of {frames.shape[2]}x"
            f"{frames.shape[1]}, {time.time() - start:.1f} s)"
        )
    return 0


def _check_run(args: Namespace, jobs: Sequence[Namespace]) -> None:
    """What concerns all clips of a run."""
    from emogen.pipelines.composition import loras_from_args
    from emogen.pipelines.speed_options import speed_from_args

    speed = speed_from_args(args)
    loras_from_args(args)
    if len({job.image is None for job in jobs}) > 1:
        raise RequestError("--batch: some rows have an image and some have none; they need different models: two files")
    for job in jobs:
        if speed.parallel > 1 and job.seed is None:
            raise RequestError("--ulysses and --ring need a --seed: all processes must begin with the same noise")
        for text in (job.emotion, job.avoid):
            if text is not None and text.strip().lower() != ALL:
                speed.check_emotion(read_emotion(text))


def _run_batch(args: Namespace, jobs: Sequence[Namespace]) -> int:
    """Every clip that is not there yet. A row that fails is reported, and the others go on."""
    from tqdm import tqdm

    todo = [job for job in jobs if not _made_already(job)]
    print(f"{len(jobs)} clips, {len(jobs) - len(todo)} of them there already")
    failed: list[str] = []
    pipe = _load(args, quiet=True) if todo else None
    with tqdm(total=len(todo), unit="clip", disable=args.quiet or not todo) as bar:
        for job in todo:
            try:
                path, _, _ = _make(pipe, job)
                bar.set_postfix_str(path.name)
            except (OSError, ValueError, RuntimeError) as error:
                failed.append(f"{job.output}: {error}")
            bar.update()
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    print(f"{len(todo) - len(failed)} clips made in {args.output_dir}" + (f", {len(failed)} failed" if failed else ""))
    return 1 if failed else 0


def _made_already(job: Namespace) -> bool:
    """Whether the clip is there.

    Raises:
        RequestError: something else is there under its name.
    """
    path = Path(job.output)
    if not path.exists():
        return False
    made = read_metadata(path) or {}
    wanted = description(job)
    other = sorted(name for name, value in wanted.items() if made.get(name) != value)
    if other:
        raise RequestError(f"{path}: is there with another {other[0]}; remove it, or choose another --output_dir")
    return True


def _say_versions(args: Namespace) -> None:
    """With --from: what has changed on this machine since the clip was made."""
    now = of_a_clip()
    for name, version in getattr(args, "made_with", {}).items():
        if now.get(name) != version:
            print(
                f"note: the clip was made with {name} {version}, here is {now.get(name)}: it may come out a little "
                "different",
                file=sys.stderr,
            )


def _make(pipe: Any, args: Namespace) -> tuple[Path, Any, int]:
    """One clip, or the grid of all emotions: sampled, finished, written. Returns path, frames and seed."""
    from emogen.commands.sample_run import finish, sample

    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "little") % 2**31
    name = ALL if args.emotion.strip().lower() == ALL else short_name(args.emotion)
    path = Path(args.output or Path("outputs") / f"{name}_{seed}{ending(args)}")
    metadata = description(args) | {"seed": seed, **of_a_clip()}
    return path, finish(path, sample(pipe, args, seed), args, args.fps or pipe.fps, metadata), seed


def _load(args: Namespace, quiet: bool = False) -> Any:
    from emogen.commands.sample_run import load

    pipe, switched_on = load(args)
    pipe.set_progress_bar_config(disable=args.quiet or quiet, desc="sampling")
    if not args.quiet:
        for line in switched_on:
            print(line, file=sys.stderr)
    return pipe
