"""`python -m emogen.eval.sanity`: does the evaluation see what is wrong with a clip?"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emogen.eval.arguments import common_parser, key_values
from emogen.failure import fail

_EXAMPLES = """\
  python -m emogen.eval.sanity --output_dir out                       (128 drawn stickers, the embedded judge)
  python -m emogen.eval.sanity --data my_clips --judge my_judge --judge "{kind: clip, model: ...}" --output_dir out
  python -m emogen.eval.sanity --data my_clips --features frechet_transnetv2 fvd --weights i3d=i3d.pt --output_dir out
"""
_WORST = ("blur", "noise", "shuffle", "freeze")


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    about = "Make real clips worse step by step: do the Frechet distance and the judges tell?"
    parser = common_parser("emogen.eval.sanity", about, _EXAMPLES, "results.json, distances.png and drawn clips")
    add = parser.add_argument
    add(
        "--data",
        metavar="FOLDER",
        help="clips with metadata (file_name, caption, emotion); without, stickers are drawn",
    )
    add("--split", default="all", choices=["held_out", "all", "train", "val", "test"], help="of --data (default: all)")
    add("--clips", type=int, metavar="N", help="how many: of --data, by lot (default: all); drawn (default: 128)")
    add(
        "--features",
        nargs="+",
        default=["frechet_transnetv2"],
        metavar="NAME",
        help="distances as in the benchmark: frechet_transnetv2 (default), fvd, fvd_videomae",
    )
    add("--weights", action="append", default=[], metavar="KEY=PATH", help="i3d=FILE for fvd, videomae=FOLDER")
    add(
        "--judge",
        action="append",
        metavar="SPEC",
        help="as in `emogen judge check`; may be given several times "
        "(default: embedded for drawn stickers, none for --data)",
    )
    for name in _WORST:
        add(f"--{name}", metavar="A,B,...", help=f"strengths of {name}, rising")
    add("--splits", type=int, default=20, metavar="N", help="divisions into halves to average over (default: 20)")
    add("--seed", type=int, default=0, help="of drawing, dividing and spoiling (default: 0)")
    add("--device", default="cpu", help="such as cuda (default: cpu)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, whatever was found; 2 for bad input."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.output_dir is None:
        parser.error("--output_dir is needed")
    from emogen.eval.benchmark.config import EvalConfigError
    from emogen.eval.judges.spec import JudgeError
    from emogen.files import FolderInUse
    from emogen.settings.paths import check_output_folder

    try:
        check_output_folder(args.output_dir)
        return _run(args)
    except (EvalConfigError, JudgeError, FolderInUse) as error:
        return fail(error, 2)


def _run(args: argparse.Namespace) -> int:
    from emogen.eval.benchmark.config import EvalConfigError
    from emogen.eval.benchmark.measure import load_judges
    from emogen.eval.sanity.corruptions import check_strengths
    from emogen.eval.sanity.report import markdown
    from emogen.eval.sanity.run import PLOT, run_sanity, sanity_networks, sanity_records
    from emogen.files import only_writer
    from emogen.settings.device import check_device

    check_device(args.device)
    if not 0 <= args.seed < 2**63:
        raise EvalConfigError(f"--seed must be from 0 to 2**63 - 1, not {args.seed}")
    strengths = {name: _numbers(name, text) for name in _WORST if (text := getattr(args, name)) is not None}
    check_strengths(strengths)
    asked = args.judge if args.judge is not None else [] if args.data else ["embedded"]
    specs = _judges(asked, args.trust_remote_code)
    networks = sanity_networks(args.features, key_values("--weights", args.weights), args.device)
    judges = load_judges(specs)
    for judge in judges.values():
        if hasattr(judge, "to"):
            judge.to(args.device)
    out, chosen = args.output_dir, {"split": args.split, "seed": args.seed, "quiet": args.quiet}
    with contextlib.ExitStack() as held:
        if not args.data:  # stickers are drawn into the folder; clips of others are looked at before it is made
            held.enter_context(only_writer(out))
        records = sanity_records(args.data, args.clips, out, **chosen)
        if args.data:
            held.enter_context(only_writer(out))
        results = run_sanity(
            records,
            args.output_dir,
            networks=networks,
            judges=judges,
            strengths=strengths,
            splits=args.splits,
            seed=args.seed,
            quiet=args.quiet,
            data=f"{Path(args.data).name} ({args.split})" if args.data else "drawn stickers",
        )
    print(markdown(results))
    if not judges:
        print("- no judge was asked: name one with --judge")
    print(f"\n{args.output_dir / 'results.json'}")
    if (args.output_dir / PLOT).is_file():
        print(args.output_dir / PLOT)
    return 0


def _numbers(name: str, text: str) -> list[float]:
    from emogen.eval.benchmark.config import EvalConfigError
    from emogen.settings.types import as_number

    try:
        return [as_number(word) for word in text.split(",")]
    except ValueError as error:
        raise EvalConfigError(f"--{name} {text[:60]}: {error}; write numbers such as 1,2,4") from error


def _judges(texts: Sequence[str], trust_remote_code: bool = False) -> list[str | Mapping[str, Any]]:
    """The specifications, each a mapping if it is written as one; checked, and no name twice."""
    from emogen.eval.judges.spec import JudgeError, judge_name, read_spec, refuse_remote_code

    specs: list[str | Mapping[str, Any]] = []
    for text in texts:
        spec = read_spec(text)
        refuse_remote_code(spec, "--judge", trust_remote_code)
        if judge_name(spec) in [judge_name(other) for other in specs]:
            raise JudgeError(f"--judge: two are called {judge_name(spec)!r}; give one another name")
        specs.append(spec)
    return specs


if __name__ == "__main__":
    raise SystemExit(main())
