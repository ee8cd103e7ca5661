"""`emogen analyze`: what a labelled set says of emotion, as a page, pictures and tables."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from emogen.commands.analyze_curves import add_curve_arguments, analyze_one_film, check, curves_of, is_film
from emogen.extras import how_to_install
from emogen.failure import fail

_PACKAGES = {"scipy": "scipy", "matplotlib": "matplotlib", "sklearn": "scikit-learn", "pyarrow": "pyarrow"}
_EXAMPLES = """\
  emogen analyze set --output_dir page              (the folder of `emogen data`)
  emogen analyze stickers/metadata.jsonl --output_dir page --only distribution,words
  emogen analyze set --output_dir page --confusion confusion.csv --max_gap 1
  emogen analyze set --output_dir page --curves all --annotations rating_averaged
  emogen analyze film.mp4 --output_dir page         (one film: a player with its curves, CSV, an arc)
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of `emogen analyze`."""
    parser = argparse.ArgumentParser(
        prog="emogen analyze", description="Analyse a labelled set: a page, pictures and tables, with intervals.",
        epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)  # fmt: skip
    parser.add_argument(
        "data", metavar="DATA", help="folder of `emogen data`, metadata file or folder, hub id; or one film"
    )
    parser.add_argument("--output_dir", type=Path, required=True, metavar="OUT")
    parser.add_argument("--only", metavar="NAME,...", help="run these analyses alone")
    parser.add_argument("--own", type=Path, action="append", default=[], metavar="FILE.py", help="analyses of your own")
    parser.add_argument("--votes", type=Path, help="people's votes: clip_id, annotator, emotion")
    parser.add_argument("--confusion", type=Path, help="how the labels err, as counts: rows true, columns as labelled")
    parser.add_argument("--features", type=Path, help="of a frozen encoder: .npy (a row a clip) or .parquet (clip_id)")
    parser.add_argument("--map", default="tsne", choices=("tsne", "umap"), help="how the map of clips is laid out")
    parser.add_argument(
        "--thumbnails", type=int, default=300, metavar="N", help="clips of the map with a frame of each"
    )
    parser.add_argument("--max_gap", type=float, default=2.0, metavar="SECONDS", help="between clips that adjoin")
    parser.add_argument("--resamples", type=int, default=2000, help="of every bootstrap")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quiet", action="store_true")
    add_curve_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 refused."""
    args = build_parser().parse_args(argv)
    missing = [name for module, name in _PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(f"error: analysis needs {', '.join(missing)}: {how_to_install('analysis')}", file=sys.stderr)
        return 2
    from emogen.analysis import Settings
    from emogen.analysis.annotations import read_annotations
    from emogen.analysis.run import analyze, chosen
    from emogen.analysis.sources import read_clips
    from emogen.files import FolderInUse

    try:
        if args.resamples < 100 or min(args.max_gap, args.seed, args.thumbnails) < 0:
            raise ValueError("--resamples is at least 100; --max_gap, --seed and --thumbnails are not negative")
        if args.map == "umap" and importlib.util.find_spec("umap") is None:
            raise ValueError(f"--map umap needs umap-learn: {how_to_install('umap')}")
        check(args)
        if is_film(args.data):
            return analyze_one_film(args)
        if args.start or args.end is not None:
            raise ValueError("--start and --end are of one film; a set's clips have spans of their own")
        for path in args.own:
            _load(path)
        only = [name.strip() for name in args.only.split(",") if name.strip()] if args.only is not None else None
        if only == []:
            raise ValueError("--only names no analysis")
        chosen(only)
        for flag in ("votes", "confusion", "features"):
            path = getattr(args, flag)
            if path is not None and not path.is_file():
                raise ValueError(f"--{flag} {path}: no such file")
        if args.annotations is not None:
            read_annotations(args.annotations)  # refused here, before a judge reads for hours
        clips = read_clips(args.data, args.votes)
        settings = Settings(
            resamples=args.resamples, seed=args.seed, max_gap=args.max_gap, confusion=args.confusion,
            features=args.features, mapping=args.map, thumbnails=args.thumbnails, curves=curves_of(clips, args),
            annotations=args.annotations,
        )  # fmt: skip
        say = (lambda name: None) if args.quiet else (lambda name: print(f"  {name}", file=sys.stderr))
        parts = analyze(clips, args.output_dir, settings, only, say)
    except (ValueError, OSError, FolderInUse) as error:
        return fail(error, 2)
    for part in parts:
        print(f"{part.analysis.title}: {part.found.sentence if part.found else part.why}")
    print(args.output_dir / "report.html")
    return 0


def _load(path: Path) -> None:
    """Run a file that registers analyses."""
    spec = importlib.util.spec_from_file_location(f"own_analysis_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ValueError(f"--own {path}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a file of somebody else's raises
        raise ValueError(f"--own {path}: {type(error).__name__}: {error}") from error
