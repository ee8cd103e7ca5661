"""`sample.py` and `emogen sample`: a prompt, or a picture, and an emotion in, a clip out."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emogen.collecting import not_collecting
from emogen.commands.sample_options import build_parser
from emogen.commands.sample_request import ALL, Job, RequestError, parse, read_batch, read_job
from emogen.commands.sample_set import emotions_of, is_set, set_jobs
from emogen.failure import fail
from emogen.settings.device import check_device
from emogen.versions import versions_in_clip

if TYPE_CHECKING:
    from emogen.pipelines.model_files import ModelFiles

_EXPECTED = (OSError, ValueError, RuntimeError)


class Ended(BaseException):
    """The process was asked to end by a signal, whose number it holds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0, 2 for what is refused, 1 for a run that failed, 128 and the signal's number when ended.
    """
    start = time.time()
    parser = build_parser()
    try:
        args = parse(parser, argv)
        jobs = _jobs(args)
        _check_run(args, jobs)
        with not_collecting():
            check_device(args.device)
    except ValueError as error:
        parser.error(str(error))
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", message="the model does not know")  # said in its own way
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"peft\..*")  # a LoRA without the image branch
    handlers = {number: signal.signal(number, _end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if args.batch is not None or is_set(args):
            with not_collecting():
                from emogen.commands.sample_batch import run_batch

            return run_batch(args, jobs)
        return _run_one(args, jobs[0], start)
    except Ended as ended:
        print("\nended; nothing unfinished is left", file=sys.stderr)
        return 128 + ended.args[0]
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _end(number: int, _: Any) -> None:
    raise Ended(number)


def _jobs(args: Namespace) -> list[Job]:
    if args.batch is None and is_set(args):
        return set_jobs(args)
    if args.batch is None and len(emotions_of(args.emotion)) > 1 and args.emotion.strip().lower() != ALL:
        raise RequestError(
            f"--emotion names several; give --output_dir for a set of them, or a mixture such as "
            f"{'+'.join(emotions_of(args.emotion)[:2])}"
        )
    if args.batch is None:
        return [read_job(args)]
    if args.output is not None:
        raise RequestError("--output is for one clip; --batch puts its clips into --output_dir")
    if args.characters is not None:
        raise RequestError("--characters makes a set and --batch takes a table; give one of them")
    args.output_dir = args.output_dir or "outputs"
    return read_batch(args.batch, args)


def _check_run(args: Namespace, jobs: Sequence[Job]) -> None:
    """What concerns all clips of a run."""
    from emogen.pipelines.composition import loras_from_args
    from emogen.pipelines.speed_options import speed_from_args

    speed = speed_from_args(args)
    loras_from_args(args)
    for job in jobs:
        if speed.parallel > 1 and job.options.seed is None:
            raise RequestError("--ulysses and --ring need a --seed: all processes must begin with the same noise")
        speed.check_emotion([job.emotion, job.avoid])
    from emogen.pipelines.model_files import model_from_args

    _check_kinds(model_from_args(args), jobs)
    if any(job.options.best_of > 1 for job in jobs):
        from emogen.eval.judges.spec import read_spec, refuse_remote_code

        refuse_remote_code(read_spec(args.judge), "--judge")


def _check_kinds(model: str | ModelFiles | None, jobs: Sequence[Job]) -> None:
    """See that a model on this machine can make what the rows ask for."""
    if model is None or (isinstance(model, str) and (model.startswith("embedded") or not os.path.isdir(model))):
        return
    from emogen.pipelines.loading import kinds_of, needs_last_frame

    try:
        kinds = kinds_of(model)
        if needs_last_frame(model):
            raise RequestError(
                f"--model {model} goes from a first to a last frame (FLF2V), and a last one cannot be given here: take "
                "an image-to-video model, or call the pipeline with last_image"
            )
    except OSError as error:
        raise RequestError(str(error)) from error
    for job in jobs:
        if job.kind not in kinds:
            where = f"{job.where}: " if job.where else ""
            what = {
                "image": "a text-to-video model; leave --image out",
                "text": "an image-to-video model; give --image",
            }
            raise RequestError(f"{where}--model {model} is {what[job.kind]}")


def _run_one(args: Namespace, job: Job, start: float) -> int:
    with not_collecting():
        from emogen.commands.sample_run import Chooser, load, make, prepare
        from emogen.media.reader import probe

        _say_versions(args)
        chooser = Chooser(args.judge)
        try:
            if job.options.best_of > 1:
                chooser.load()
            pipe = load(args, job.kind)
        except _EXPECTED as error:
            return fail(error, 2)
    prepare(pipe, args, args.quiet)
    try:
        (made,) = make(pipe, [job], chooser)
    except _EXPECTED as error:
        return fail(error, 2 if isinstance(error, RequestError) else 1)
    if os.environ.get("RANK", "0") == "0":
        about = probe(made.path)  # what the file is, not what was asked for
        print(
            f"{made.path}  (emotion {args.emotion}, seed {made.seed}, {about.frames} frames of "
            f"{about.width}x{about.height}"
            + (f" at {about.fps:.4g} a second" if about.fps else "")
            + f", {time.time() - start:.1f} s)"
            + "".join(f"\n  to fit: {change}" for change in made.changes)
            + (f"\n  best of {scores_text(made.scores)}" if made.scores else "")
        )
    return 0


def scores_text(scores: Mapping[str, float]) -> str:
    """Seeds and their scores for people."""
    listed = ", ".join(f"{seed}: {score:.2f}" for seed, score in scores.items())
    return f"{len(scores)} (what the judge reads of the emotion, by seed: {listed})"


def _say_versions(args: Namespace) -> None:
    """With --from: what has changed on this machine since the clip was made."""
    now = versions_in_clip()
    for name, version in getattr(args, "made_with", {}).items():
        if now.get(name) != version:
            print(
                f"note: the clip was made with {name} {version!r}, here is {now.get(name)}: it may come out a little "
                "different",
                file=sys.stderr,
            )
