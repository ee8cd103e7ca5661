"""`emogen data export` and `card`: the finished clips as a data set, and what is to be known of it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emogen.commands.data_common import FAILED, SHOWN, carry_rows, how_to_run
from emogen.curation.card import data_card
from emogen.curation.cutting import CUTS, cutting_stage, whole_source
from emogen.curation.export import SHARDS, export_folder, exportable, write_shards
from emogen.curation.runner import How
from emogen.curation.stage import Row
from emogen.curation.workspace import Rows, Workspace
from emogen.files import write_text
from emogen.text_files import read_json


def export(args: argparse.Namespace) -> int:
    workspace, how = Workspace(args.set), how_to_run(args)
    if args.public and not args.push_to_hub:
        raise ValueError("--public is for --push_to_hub")
    if args.push_to_hub:
        from emogen.curation.hub import check_hub, push, without_licence

        check_hub(args.push_to_hub)
    left_out: Counter[str] = Counter()
    kept = sum(1 for _ in exportable(workspace.clips(), left_out, args.soft))
    for why, number in left_out.most_common():
        print(f"  left out: {number} ({why})")
    if not kept:
        raise ValueError(f"{workspace.folder}: no clip has a label; run `emogen data merge` after labelling")

    def rows() -> Iterable[Row]:
        return exportable(workspace.clips(), Counter(), args.soft)

    status = cut_scenes(workspace, rows, how)
    if how.shard[1] > 1:
        print("export: scenes of this share are cut; run it without --shard when all are")
        return status
    folder = workspace.folder / "export"
    with tqdm(total=kept, desc="export", unit="clip", disable=args.quiet) as bar:
        count, failed = export_folder(rows(), folder, workspace.folder / CUTS, bar.update)
    print(f"export: {count} clips in {folder}")
    if args.format == "webdataset":
        print(f"  packed into {len(write_shards(folder))} shards in export/{SHARDS}")
    for line in failed[:SHOWN]:
        print(f"  failed: {line}", file=sys.stderr)
    if len(failed) > SHOWN:
        print(f"  and {len(failed) - SHOWN} more", file=sys.stderr)
    if args.push_to_hub:
        if args.public and (number := without_licence(folder)):
            raise ValueError(f"--public: {number} clips state no licence; give it on ingest (--license) or in a table "
                             "(`emogen data about`), or upload without --public")  # fmt: skip
        _write_card(workspace, folder / "README.md")
        shards = args.format == "webdataset"
        print(f"uploaded to {push(folder, args.push_to_hub, shards, args.public)}")
    return FAILED if failed else status


def cut_scenes(workspace: Workspace, rows: Callable[[], Iterable[Row]], how: How) -> int:
    """Cut those clips out that are scenes among others, in guarded processes; returns the exit status."""
    scenes = Rows(rows, lambda row: whole_source(row) is None)
    if next(iter(scenes), None) is None:
        return 0
    return carry_rows(cutting_stage(), scenes, workspace, how)


def card(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    for path in (workspace.folder / "README.md", workspace.folder / "export" / "README.md"):
        if path.parent.is_dir():
            _write_card(workspace, path)
            print(path)
    return 0


def _write_card(workspace: Workspace, path: Path) -> None:
    found = workspace.folder / "agreement.json"
    agreement: Any = read_json(found) if found.is_file() else None
    write_text(path, data_card(workspace.folder.resolve().name, workspace.clips(), workspace.stages(), agreement))
