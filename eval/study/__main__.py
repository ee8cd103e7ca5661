"""`emogen study`: a blind study with people, from the clips of an evaluation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from emogen.failure import fail

_EPILOG = """examples:
  emogen study build --results out --systems sentence emogen --output_dir study   (for any web server)
  emogen study read --key study.key.json votes-*.json
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 an argument or a file is wrong."""
    parser = argparse.ArgumentParser(prog="emogen study", description=__doc__, epilog=_EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parts = parser.add_subparsers(dest="part", required=True)
    build = parts.add_parser("build", help="make the page")
    build.add_argument("--results", type=Path, required=True, help="output folder of `emogen eval`")
    build.add_argument("--systems", nargs=2, required=True, metavar="NAME")
    build.add_argument("--output_dir", type=Path, required=True)
    build.add_argument("--pairs", type=int, default=40, help="A/B questions, at most")
    build.add_argument("--names", type=int, default=24, help="clips whose emotion is to be named, at most")
    build.add_argument("--seed", type=int, default=0)
    build.add_argument(
        "--clips",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a folder outside --results that clips may be copied from; may be given several times",
    )
    read = parts.add_parser("read", help="read the votes")
    read.add_argument("--key", type=Path, required=True, help="the key.json that build left beside the folder")
    read.add_argument("--output", type=Path, help="also write the figures as JSON")
    read.add_argument("votes", type=Path, nargs="+")
    args = parser.parse_args(argv)
    from emogen.files import write_json
    from emogen.settings import ConfigError

    try:
        if args.part == "build":
            from emogen.eval.benchmark.results import ForStudy, read_results
            from emogen.eval.study.build import build_study

            counts = build_study(
                read_results(args.results, ForStudy),
                args.results,
                args.output_dir,
                args.systems,
                args.pairs,
                args.names,
                args.seed,
                args.clips,
            )
            print(f"{counts['pairs']} pairs and {counts['names']} clips to name: {args.output_dir / 'index.html'}\n"
                  f"keep {args.output_dir}.key.json to yourself: it says what is what")  # fmt: skip
        else:
            from emogen.eval.study.votes import read_key, read_votes, summarise_votes, text

            key = read_key(args.key)
            summary = summarise_votes(key, read_votes(key, args.votes))
            print(text(summary))
            if args.output:
                write_json(args.output, summary, 1)
    except (ConfigError, OSError) as error:
        return fail(error, 2)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
