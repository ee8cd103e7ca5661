"""`emogen data`: from a folder of clips or films to a labelled data set, a stage a command."""

from __future__ import annotations

import argparse
import errno
from collections.abc import Sequence
from pathlib import Path

from emogen.failure import fail

_EXAMPLES = """\
  emogen data ingest films --output_dir set --domain movie
  emogen data scenes set                 (cut at shots; 4 to 30 s are kept)
  emogen data attributes set
  emogen data caption set --captions captions.csv
  emogen data label set --annotators ann bob cem     (a page on this machine)
  emogen data merge set                  (two of three must agree)
  emogen data agree set
  emogen data split set
  emogen data export set                 (set/export, which train_lora.py reads)
  emogen data status set
  emogen data run recipe.yaml --output_dir set       (all of it)
docs/data.md tells the whole way, with costs.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of `emogen data`."""
    parser = argparse.ArgumentParser(
        prog="emogen data", description="Make a labelled data set of clips or films.", epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)  # fmt: skip
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")

    def stage(name: str, about: str, runs: bool = False) -> argparse.ArgumentParser:
        one = stages.add_parser(name, help=about, description=about, allow_abbrev=False)
        if runs:
            one.add_argument("--workers", type=int, help="processes; 0: in this one, without a guard")
            one.add_argument("--shard", default="1/1", metavar="I/N", help="this machine's share of the work")
            one.add_argument(
                "--retry_failed", "--retry-failed", action="store_true", help="try again what has failed before"
            )
            one.add_argument("--engine", default="local", choices=("local", "ray"), help="ray: on a Ray cluster")
        one.add_argument("--quiet", action="store_true", help="no progress line")
        return one

    def on_set(name: str, about: str, runs: bool = False) -> argparse.ArgumentParser:
        one = stage(name, about, runs)
        one.add_argument("set", metavar="OUT", type=Path, help="the output folder of `emogen data ingest`")
        return one

    one = stage("run", "run a recipe: every stage that it names, in order", runs=True)
    one.add_argument("recipe", metavar="RECIPE.yaml", type=Path)
    one.add_argument("--output_dir", type=Path, required=True, metavar="OUT")
    one = stage("fetch-stickers", "bring the animated Fluent stickers from the npm registry, pinned and checked")
    one.add_argument("--output_dir", type=Path, required=True, metavar="FOLDER")
    one = stage("template", "write a table of a folder's clips to fill in by hand: FOLDER/metadata.csv")
    one.add_argument("folder", type=Path, metavar="FOLDER")
    one = stage("ingest", "every file below a folder becomes a row", runs=True)
    one.add_argument("folder", type=Path, metavar="FOLDER")
    one.add_argument("--output_dir", type=Path, required=True, metavar="OUT")
    one.add_argument("--domain", default="movie", help="such as movie, animation, sticker")
    one.add_argument("--group_by", default="file", choices=("file", "folder"), help="what never stands in two splits")
    one.add_argument("--sequence_fps", type=float, metavar="FPS",
                     help="numbered pictures of one folder are one clip of so many a second")  # fmt: skip
    one.add_argument("--license", help="of all these files")
    one.add_argument("--origin", help="where they come from")
    one.add_argument("--no_audio", action="store_true", help="do not keep the sound")
    one = on_set("scenes", "cut films into scenes", runs=True)
    one.add_argument("--detector", default="content", help="content, adaptive, transnetv2, union or none")
    one.add_argument("--min_seconds", type=float, default=4.0)
    one.add_argument("--max_seconds", type=float, default=30.0)
    one.add_argument("--threshold", type=float, help="the detector's own")
    one = on_set("about", "take captions, labels, films, licences from tables of the source files")
    one.add_argument("tables", nargs="+", type=Path, metavar="TABLE")
    one.add_argument("--layout", default="table", help="table, emovid, magicanime or condensed_movies (a folder)")
    one.add_argument("--label_kind", default="human", choices=("curated", "human", "model"), help="of its labels")
    one.add_argument("--folder", type=Path, help="only for sources that were ingested from this folder")
    on_set("attributes", "measure hue, colourfulness, brightness, motion ...", runs=True)
    on_set("sound", "measure loudness, tempo and spectral centroid of the clips that have sound", runs=True)
    one = on_set("caption", "take captions from a table, or let a model write them", runs=True)
    one.add_argument("--captions", type=Path, help="a table with clip_id or source_path, and caption")
    one.add_argument("--model", help="an image- or video-text-to-text model of transformers (folder or Hub name)")
    one.add_argument("--prompt", help="what it is asked (default: to describe without naming feelings)")
    one.add_argument("--prompt_emotional", nargs="?", const="", metavar="PROMPT",
                     help="also ask this, for a second caption that may name feelings")  # fmt: skip
    one.add_argument("--frames", type=int, default=8, help="of each clip")
    one.add_argument("--as_video", action="store_true", help="give the frames as one video, not as images")
    one.add_argument("--max_new_tokens", type=int, default=96)
    one.add_argument("--batch", type=int, default=4, help="clips at once")
    one.add_argument("--dtype", default="auto", help="such as bfloat16 (default: the checkpoint's)")
    one.add_argument("--device", default="cpu", help="such as cuda")
    one = on_set("suggest", "read an emotion from the captions: a suggestion column, never a label")
    one.add_argument("--by", default="words", choices=("words", "meaning"),
                     help="meaning: also of captions that name no feeling, by static embeddings")  # fmt: skip
    one = on_set("label", "serve a page on which people label the clips")
    one.add_argument("--annotators", nargs="+", default=["me"], metavar="NAME", help="who labels; each gets an address")
    one.add_argument("--answers", type=int, help="people a clip (default: all of them, at most 3)")
    one.add_argument("--gold", type=Path, help="a table with clip_id and emotion of clips that are known for certain")
    one.add_argument("--clips", type=Path, metavar="TABLE",
                     help="only these, by clip_id, such as tables/suspects.csv of `emogen analyze`")  # fmt: skip
    one.add_argument("--port", type=int, default=7861)
    one = on_set("votes", "take votes from files, or write them: a table, Label Studio's JSON, votes of `emogen study`")
    one.add_argument("--votes", type=Path, nargs="+", metavar="FILE")
    one.add_argument("--key", type=Path, help="the key of the study that vote files are of")
    one.add_argument("--export", type=Path, metavar="FILE", help="write the votes (and, for Label Studio, all clips)")
    one.add_argument("--format", default="label_studio", choices=("label_studio", "csv"), help="of --export")
    one = on_set("judge", "let judges label the clips; people's labels stay above theirs", runs=True)
    one.add_argument(
        "--judge", nargs="+", required=True, metavar="SPEC", help="as of `emogen judge`; several: the mean"
    )
    one.add_argument("--frames", type=int, default=16, help="of each clip")
    one.add_argument("--least", type=float, default=0.0, help="share of the leading emotion from which it is a label")
    one.add_argument("--batch", type=int, default=8, help="clips at once")
    one.add_argument("--device", default="cpu", help="such as cuda")
    one = on_set("probe", "fit a judge to the clips that people have labelled, never to the benchmark")
    one.add_argument("--encoder", required=True, help="an image or video model of transformers, embedded, or pixels")
    one.add_argument("--judge_dir", type=Path, help="where it goes (default: OUT/probe)")
    one.add_argument("--frames", type=int, default=8)
    one.add_argument("--device", default="cpu")
    one = on_set("merge", "make labels of votes")
    one.add_argument("--annotators", type=int, default=3, help="answers that a clip needs")
    one.add_argument("--agree", type=int, default=2, help="of which so many must be the same")
    one = on_set("agree", "how far people agree with each other, themselves and a model, with intervals")
    one.add_argument("--annotators", type=int, default=3, help="answers that a clip needs")
    one.add_argument("--agree", type=int, default=2, help="of which so many must be the same")
    one = on_set("split", "divide clips into parts that share no film and no near-duplicate")
    one.add_argument("--shares", nargs=3, type=float, default=(0.9, 0.05, 0.05), metavar=("TRAIN", "VAL", "TEST"))
    one.add_argument("--benchmark", type=int, metavar="N", help="first take N clips of each domain and emotion")
    one.add_argument("--at_most", nargs="+", default=[], metavar="DOMAIN=N", help="train on N clips of a domain")
    one.add_argument("--seed", type=int, default=0)
    one = on_set("export", "write the finished clips as a data set", runs=True)
    one.add_argument("--format", default="videofolder", choices=("videofolder", "webdataset"),
                     help="webdataset also packs it into shards")  # fmt: skip
    one.add_argument("--soft", action="store_true", help="the votes' mixture as the emotion")
    one.add_argument(
        "--push_to_hub", metavar="OWNER/NAME", help="then upload it to the Hugging Face hub, for you alone"
    )
    one.add_argument("--public", action="store_true", help="for everybody; every clip must state a licence")
    on_set("card", "write the set's card: counts, licences, agreement, what was left out")
    one = stage("doctor", "what this machine lacks for all of this")
    one.add_argument("set", metavar="OUT", type=Path, nargs="?", help="where a set will be, to look at its disk")
    on_set("join", "write clips.parquet anew")
    one = on_set("status", "how far every stage is")
    one.add_argument("--json", action="store_true")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 3 done with failures that are listed, 2 refused."""
    args = build_parser().parse_args(argv)
    from emogen.commands.data_stages import STAGES
    from emogen.data.tables import RecordError
    from emogen.files import FolderInUse, only_writer
    from emogen.settings import ConfigError
    from emogen.settings.device import check_device
    from emogen.settings.paths import check_output_folder

    try:
        if "device" in args:
            check_device(args.device)
        if args.stage in ("status", "agree", "doctor", "template"):
            return STAGES[args.stage](args)
        begins = args.stage in ("ingest", "run", "fetch-stickers")
        folder = args.output_dir if begins else args.set
        if begins:
            check_output_folder(folder)
        elif not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; `emogen data ingest` makes it")
        if getattr(args, "shard", "1/1") != "1/1" or args.stage == "label":
            return STAGES[args.stage](args)  # several machines share the folder, each with parts of its own
        with only_writer(folder):
            return STAGES[args.stage](args)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            return fail(f"{error}; make room, then give the same command again: what is finished is kept", 1)
        return fail(error, 2)
    except (ValueError, ImportError, FolderInUse, RecordError, ConfigError) as error:
        return fail(error, 2)
    except RuntimeError as error:  # an upload that failed
        return fail(error, 1)
    except KeyboardInterrupt:
        return fail("interrupted; give the same command again: what is finished is kept", 130)
