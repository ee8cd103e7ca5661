"""The command line that measuring commands share: run a configuration, or draw the page of finished results anew."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emogen.eval.benchmark.results import read_results
from emogen.settings import ConfigError
from emogen.settings.paths import check_output_folder


def common_parser(module: str, description: str, examples: str, output: str) -> argparse.ArgumentParser:
    """`--output_dir`, `--trust_remote_code` and `--quiet`.

    Args:
        module: what follows `python -m`. examples: command lines, shown at the end of the help. output: what goes into
            the output folder.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--output_dir", type=Path, help=f"where {output} go")
    parser.add_argument(
        "--trust_remote_code",
        action="store_true",
        help="let a judge run the code that lies beside its model, where it asks for that",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def measuring_parser(module: str, description: str, examples: str, configs: str) -> argparse.ArgumentParser:
    """The same, with `--config` or `--report`.

    Args:
        configs: where configurations are found.
    """
    parser = common_parser(module, description, examples, "clips, results.json and report.html")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", metavar="FILE", help=f"a YAML file; see {configs}")
    what.add_argument("--report", metavar="DIR", type=Path, help="only write the page of finished results anew")
    return parser


def key_values(flag: str, words: Sequence[str]) -> dict[str, str]:
    """`KEY=PATH` words of a flag.

    Raises:
        ConfigError: a word is something else.
    """
    pairs = [word.partition("=") for word in words]
    for word, (key, _, path) in zip(words, pairs, strict=True):
        if not key or not path:
            raise ConfigError(f"{flag} {word}: must be KEY=PATH, such as i3d=i3d.pt")
    return {key: path for key, _, path in pairs}


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and leave with a message where `--config` has no `--output_dir` that can be written into."""
    args = parser.parse_args(argv)
    if args.config and args.output_dir is None:
        parser.error("--config needs --output_dir")
    if args.config:
        try:
            check_output_folder(args.output_dir)
        except ConfigError as error:
            parser.error(str(error))
    return args


def finished(folder: Path, kind: type) -> dict[str, Any]:
    """The results of `--report`, checked.

    Args:
        kind: `results.Evaluation` or `results.Controls`.

    Raises:
        ConfigError: there are none, or they are damaged.
    """
    try:
        return read_results(folder, kind)
    except ConfigError as error:
        raise ConfigError(f"--report {folder}: {error}") from None
