"""`python -m emogen.eval.controls`: measure the controls, or draw the page anew."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

_EPILOG = """examples:
  python -m emogen.eval.controls --config configs/eval/controls.yaml --output_dir out
  python -m emogen.eval.controls --config configs/eval/controls.yaml --output_dir out --only plane,arcs
  python -m emogen.eval.controls --report out    (the page anew, from results.json)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 the configuration is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m emogen.eval.controls",
        description="Do intensity, the valence-arousal plane, mixtures and arcs do what they say?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", metavar="FILE", help="a YAML file; see configs/eval/controls.yaml")
    what.add_argument("--report", metavar="DIR", type=Path, help="only write the page of finished results anew")
    parser.add_argument("--output_dir", type=Path, help="where clips, results.json and report.html go")
    parser.add_argument("--only", metavar="STUDY,STUDY", help="of intensity, plane, mixtures and arcs; all by default")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    args = parser.parse_args(argv)
    if args.config and args.output_dir is None:
        parser.error("--config needs --output_dir")
    from ..config import EvalConfigError
    from .config import STUDIES, load_controls_config

    only = [name.strip() for name in args.only.split(",")] if args.only is not None else list(STUDIES)
    if unknown := [name for name in only if name not in STUDIES]:
        parser.error(f"--only: {unknown[0]!r} is no study; they are {', '.join(STUDIES)}")
    try:
        if args.report:
            from .report import write_report

            out = args.report
            if not (out / "results.json").is_file():
                raise EvalConfigError(f"--report {out}: there is no results.json")
            results = json.loads((out / "results.json").read_text(encoding="utf-8"))
            write_report(results, out)
        else:
            config, out = load_controls_config(args.config), args.output_dir
            from .run import run_controls

            results = run_controls(config, out, only, args.quiet)
            if not results:
                return 0
    except EvalConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from .text import markdown

    print(markdown(results))
    print(f"\n{out / 'report.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
