"""`python -m emogen.eval` and `emogen eval`: run a benchmark, or draw its page anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

_EPILOG = """examples:
  python -m emogen.eval --config configs/eval/tiny.yaml --output_dir out
  accelerate launch -m emogen.eval --config configs/eval/emovid240.yaml --output_dir out   (several GPUs)
  python -m emogen.eval --report out    (the page anew, from results.json)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 the configuration is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m emogen.eval",
        description="Compare systems: does a clip show the emotion asked for, and what else did it cost?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", metavar="FILE", help="a YAML file; see configs/eval/")
    what.add_argument("--report", metavar="DIR", type=Path, help="only write the page of finished results anew")
    parser.add_argument("--output_dir", type=Path, help="where clips, results.json and report.html go")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    args = parser.parse_args(argv)
    if args.config and args.output_dir is None:
        parser.error("--config needs --output_dir")
    from .config import EvalConfigError, load_eval_config

    try:
        if args.report:
            from .report import reread, write_report

            if not (args.report / "results.json").is_file():
                raise EvalConfigError(f"--report {args.report}: there is no results.json")
            write_report(reread(args.report), args.report)
            out = args.report
        else:
            config = load_eval_config(args.config)
            from .benchmark import run_benchmark

            if not run_benchmark(config, args.output_dir, args.quiet):
                return 0
            out = args.output_dir
    except EvalConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from .text import text_table

    print(text_table(out))
    print(f"\n{out / 'report.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
