"""The part of `emogen analyze` for which a judge is needed: curves of a set's clips, and the page of one film."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the options are read without what they are for, so that --help is quick
    from emogen.analysis.clips import Clips
    from emogen.analysis.curve_store import CurveSet
    from emogen.analysis.sliding import Judge, Windows

ALL = "all"
_FPS = 8.0  # frames a second that a judge looks at
_TABLES = (".parquet", ".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".arrow", ".txt", ".xlsx", ".zip", ".tar")
_OF_SETS = {"only": None, "own": [], "votes": None, "confusion": None, "features": None}


def add_curve_arguments(parser: argparse.ArgumentParser) -> None:
    """The options, in a group of their own."""
    group = parser.add_argument_group("over time within a clip (DATA may be one film, too)")
    group.add_argument("--curves", nargs="?", const=ALL, metavar="all|ID,...",
                       help="let a judge read these clips over time; with ids, each is drawn")  # fmt: skip
    group.add_argument("--judge", default="embedded", metavar="SPEC", help="as of `emogen judge` (default: embedded)")
    group.add_argument("--device", default="cpu", help="of the judge, such as cuda (default: cpu)")
    group.add_argument("--annotations", type=Path, metavar="FOLDER",
                       help="what people say of every frame: ID_valence.csv, ID_arousal.csv (VEATIC)")  # fmt: skip
    group.add_argument("--window", type=float, default=1.5, metavar="SECONDS", help="that a reading looks at")
    group.add_argument("--step", type=float, default=0.5, metavar="SECONDS", help="from one reading to the next")
    group.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="of a film: where to begin")
    group.add_argument("--end", type=float, metavar="SECONDS", help="of a film: where to stop")


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be, before anything is read.

    Raises:
        ValueError: naming the flag.
    """
    for name in ("window", "step"):
        value = getattr(args, name)
        if not 1 / _FPS <= value <= 60:
            raise ValueError(f"--{name} is {value:g}; it must be {1 / _FPS:g} to 60 seconds")
    if not (math.isfinite(args.start) and args.start >= 0):
        raise ValueError(f"--start is {args.start:g}; it must be 0 or more seconds")
    if args.end is not None and not (math.isfinite(args.end) and args.end > args.start):
        raise ValueError(f"--end is {args.end:g}; it must be later than --start ({args.start:g})")
    if args.annotations is not None and not args.annotations.is_dir():
        raise ValueError(f"--annotations {args.annotations}: no such folder")
    if args.curves is not None and not named(args.curves) and args.curves != ALL:
        raise ValueError("--curves names no clip; give ids, or all")


def named(curves: str) -> list[str]:
    """The ids that `--curves` names."""
    return [] if curves == ALL else [name.strip() for name in curves.split(",") if name.strip()]


def is_film(data: str) -> bool:
    """Whether DATA is one clip rather than a set."""
    path = Path(data)
    return path.is_file() and path.suffix.lower() not in _TABLES


def _windows(args: argparse.Namespace) -> Windows:
    from emogen.analysis.sliding import Windows

    return Windows(_FPS, max(1, round(args.window * _FPS)), max(1, round(args.step * _FPS)))


def _judge(args: argparse.Namespace) -> tuple[Judge, dict[str, Any], tuple[str, ...]]:
    """The judge, what tells it from others, and what may mislead."""
    from emogen.eval.judges.card import card_of
    from emogen.eval.judges.registry import load_judge
    from emogen.eval.judges.spec import read_spec, refuse_remote_code
    from emogen.settings.device import check_device

    check_device(args.device)
    spec = read_spec(args.judge)
    refuse_remote_code(spec, "--judge")
    judge = load_judge(spec, args.device)
    about = {"name": judge.name, "spec": spec, "card": card_of(judge).to_dict()}
    embedded = card_of(judge).kind in ("embedded", "embedded_blends")
    warnings = ("The embedded judge knows drawn faces (stickers) alone; of films its curves say little. "
                "--judge names another.",) if embedded else ()  # fmt: skip
    return judge, about, warnings


def curves_of(clips: Clips, args: argparse.Namespace) -> CurveSet | None:
    """What `--curves` asks for; None without it."""
    if args.curves is None:
        return None
    from tqdm import tqdm

    from emogen.analysis.curve_store import FILE, read_curves

    judge, about, _ = _judge(args)
    only = named(args.curves) or None
    total = len(only) if only else int(clips.usable.sum())
    with tqdm(total=total, desc="curves", unit="clip", disable=args.quiet) as bar:
        return read_curves(clips, judge, about, args.output_dir / FILE, only, _windows(args), lambda clip: bar.update())


def analyze_one_film(args: argparse.Namespace) -> int:
    """Read one film; returns the exit status."""
    from emogen.analysis.film import ARC, CURVES, PAGE, analyze_film

    for name, without in _OF_SETS.items():
        if getattr(args, name) != without:
            raise ValueError(f"--{name} goes with a labelled set, and {args.data} is one film; leave it out")
    judge, about, warnings = _judge(args)

    def said(time: float) -> None:
        if not args.quiet:
            print(f"\r  {time:.0f} s read", end="", file=sys.stderr, flush=True)

    read = analyze_film(args.data, args.output_dir, judge, str(about["name"]), windows=_windows(args),
                        start=args.start, end=args.end, annotations=args.annotations, warnings=warnings,
                        done=said)  # fmt: skip
    if not args.quiet:
        print(file=sys.stderr)
    for text in read.warnings:
        print(f"warning: {text}", file=sys.stderr)
    for name, value in read.agreement.items():
        print(f"{name}: concordance with people {value:.3f} over {len(read.curve)} readings of one film")
    print(f"arc: {read.arcs[min(1, len(read.arcs) - 1)].text}")
    for name in (CURVES, ARC, PAGE):
        print(args.output_dir / name)
    return 0
