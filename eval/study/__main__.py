"""`emogen study`: a blind study with people, from the clips of an evaluation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from emogen.failure import fail

_EPILOG = """examples:
  emogen study build --results out --systems sentence emogen --output_dir study   (for any web server)
  emogen study serve study --voters 12                       (or on this machine, an address a voter)
  emogen study read --key study.key.json study.votes/votes-*.json
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
    build.add_argument("--title", help="heading of the page")
    build.add_argument("--consent", type=Path, metavar="FILE", help="text that voters agree to (default: a plain one)")
    build.add_argument("--contact", default="", help="whom voters may ask, and send their votes to")
    serve = parts.add_parser("serve", help="serve the page on this machine and keep the votes")
    serve.add_argument("study", type=Path, help="the folder that build made")
    serve.add_argument("--voters", type=int, default=1, help="how many; each gets a code and an address")
    serve.add_argument("--questions", type=int, metavar="N", help="a voter, those asked least first (default: all)")
    serve.add_argument("--votes", type=Path, metavar="FOLDER", help="where votes go (default: STUDY.votes)")
    serve.add_argument("--port", type=int, default=7862)
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; another than the default lets other machines in, "
        "which need a voter's address to see anything")  # fmt: skip
    read = parts.add_parser("read", help="read the votes")
    read.add_argument("--key", type=Path, required=True, help="the key.json that build left beside the folder")
    read.add_argument("--output", type=Path, help="also write the figures as JSON")
    read.add_argument("votes", type=Path, nargs="+")
    args = parser.parse_args(argv)
    from emogen.files import FolderInUse, write_json
    from emogen.settings import ConfigError

    try:
        if args.part == "build":
            _build(args)
        elif args.part == "serve":
            _serve(args)
        else:
            from emogen.eval.study.votes import read_key, read_votes, summarise_votes, text

            key = read_key(args.key)
            summary = summarise_votes(key, read_votes(key, args.votes))
            print(text(summary))
            if args.output:
                write_json(args.output, summary, 1)
    except (ConfigError, FolderInUse, OSError) as error:
        return fail(error, 2)
    return 0


def _build(args: argparse.Namespace) -> None:
    from emogen.eval.benchmark.results import ForStudy, read_results
    from emogen.eval.study.build import Asked, build_study
    from emogen.eval.study.page import Words
    from emogen.settings import ConfigError

    given = {"title": args.title, "consent": None, "contact": args.contact}
    if args.consent is not None:
        try:
            given["consent"] = args.consent.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError as error:
            raise ConfigError(f"--consent {args.consent}: is no text in UTF-8") from error
        if not given["consent"]:
            raise ConfigError(f"--consent {args.consent}: is empty")
    counts = build_study(
        read_results(args.results, ForStudy),
        args.results,
        args.output_dir,
        args.systems,
        Asked(args.pairs, args.names, args.seed),
        Words(**{name: text for name, text in given.items() if text is not None}),
        args.clips,
    )
    print(f"{counts['pairs']} pairs and {counts['names']} clips to name: {args.output_dir / 'index.html'}\n"
          f"keep {args.output_dir}.key.json to yourself: it says what is what")  # fmt: skip


def _serve(args: argparse.Namespace) -> None:
    from emogen.eval.study.server import Votes, addresses, serve_study
    from emogen.files import only_writer
    from emogen.settings import ConfigError

    for flag, value, most in (("voters", args.voters, 10_000), ("port", args.port, 65535)):
        if not 1 <= value <= most:
            raise ConfigError(f"--{flag} is {value}; it must be between 1 and {most}")
    votes = Votes(args.study, args.votes, args.questions)
    with only_writer(votes.folder):
        server = serve_study(votes, args.study, args.port, args.host)
        print("\n".join(addresses(votes.invite(args.voters), args.host, server.server_address[1])))
        print(f"Give each voter one address. Answers are kept at once in {votes.folder}. End with Ctrl-C.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            server.server_close()
        for code, (given, asked) in votes.counts().items():
            print(f"{code}: {given} of {asked} answered")


if __name__ == "__main__":
    raise SystemExit(main())
