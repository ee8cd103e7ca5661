"""`emogen judge`: fit a judge to labelled clips, or measure one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from emogen.failure import fail

EXAMPLES = """judges (--judge):
  embedded                                     the shipped classifier, for stickers
  FOLDER                                       of `emogen judge train`, or of a classifier of ours
  "{kind: clip, model: openai/clip-vit-large-patch14}"
  "{kind: vlm, model: Qwen/Qwen2.5-VL-7B-Instruct, frames: 8, dtype: bfloat16}"
  "{kind: ensemble, members: [embedded, FOLDER], weights: [1, 2]}"

examples:
  emogen judge train --data my_clips --encoder openai/clip-vit-large-patch14 --output_dir my_judge
  emogen judge check --judge my_judge --data other_clips
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of `emogen judge`."""
    parser = argparse.ArgumentParser(
        prog="emogen judge",
        description="Judges of emotion: fit one to labelled clips, or measure one.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="train|check", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--data",
        required=True,
        metavar="FOLDER",
        help="clips with a metadata.jsonl: file_name, caption, emotion, and perhaps split",
    )
    common.add_argument("--device", default="cpu", help="such as cuda (default: cpu)")
    common.add_argument("--quiet", action="store_true", help="no progress bar")
    train = commands.add_parser(
        "train", parents=[common], allow_abbrev=False, help="fit a linear probe on a frozen encoder"
    )
    train.add_argument(
        "--encoder",
        required=True,
        metavar="MODEL",
        help="an image or video model of transformers (folder or Hub name), embedded, or pixels",
    )
    train.add_argument("--output_dir", required=True, type=Path, help="the judge's folder")
    train.add_argument("--name", help="what the judge is called (default: the folder's name)")
    train.add_argument("--frames", type=int, default=8, help="of each clip (default: 8)")
    train.add_argument(
        "--group", metavar="KEY", help="key of the metadata whose clips are never divided, such as character or film"
    )
    train.add_argument("--licence", default="not stated", help="of the judge, for its card")
    check = commands.add_parser(
        "check", parents=[common], allow_abbrev=False, help="measure a judge on labelled clips and write its card"
    )
    check.add_argument("--judge", required=True, metavar="SPEC", help="see below the options of `emogen judge --help`")
    check.add_argument(
        "--split",
        default="held_out",
        choices=["held_out", "all", "train", "val", "test"],
        help="which clips (default: val and test if there are any, else all)",
    )
    check.add_argument(
        "--trust_remote_code", action="store_true", help="let the judge run the code beside its model if it asks to"
    )
    check.add_argument("--card", type=Path, metavar="FILE", help="where the card goes (default: NAME.card.json here)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (2 for bad input)."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.command == "train" and args.frames < 1:
        parser.error(f"--frames must be 1 or more, not {args.frames}")
    from emogen.settings import ConfigError
    from emogen.settings.device import check_device
    from emogen.settings.paths import check_output_folder

    try:
        check_device(args.device)
        if args.command == "train":
            check_output_folder(args.output_dir)
            return _train(args)
        return _check(args)
    except ConfigError as error:
        return fail(error, 2)


def _train(args: argparse.Namespace) -> int:
    from emogen.eval.judges.check import check_text
    from emogen.eval.judges.train import train_probe

    judge = train_probe(
        args.data,
        args.encoder,
        args.output_dir,
        name=args.name,
        frames=args.frames,
        group=args.group,
        licence=args.licence,
        device=args.device,
        quiet=args.quiet,
    )
    for data in judge.card.held_out:
        print(check_text(judge.card, data))
    print(f"\n{args.output_dir}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from emogen.eval.judges.card import warnings_for
    from emogen.eval.judges.check import check_judge, check_text, checked_card
    from emogen.eval.judges.data import labelled_records
    from emogen.eval.judges.registry import load_judge
    from emogen.eval.judges.spec import read_spec, refuse_remote_code

    spec = read_spec(args.judge)
    refuse_remote_code(spec, "--judge", args.trust_remote_code)
    records = labelled_records(args.data, args.split)
    judge = load_judge(spec, args.device)
    for warning in warnings_for(judge, records):
        warning = warning.replace("the generator was trained on", "it is checked on")
        print(f"warning: {warning.replace('those of the generator', 'these')}", file=sys.stderr)
    figures, excluded = check_judge(judge, records, quiet=args.quiet)
    data = f"{Path(args.data).name} ({args.split})"
    figures["excluded"] = excluded
    card = checked_card(judge, data, figures)
    print(check_text(card, data))
    for name, why in excluded.items():
        print(f"  left out: {name}: {why}")
    words = "".join(c if c.isalnum() or c in "-_." else "_" for c in Path(card.name).name)
    print(f"\n{card.save(args.card or Path(f'{words}.card.json'))}")
    return 0
