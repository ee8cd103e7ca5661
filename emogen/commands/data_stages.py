"""What each `emogen data` command does: make the stage, run it, say what came of it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emogen.commands.data_common import FAILED, SHOWN, how_to_run, run_rows, table_stage
from emogen.commands.data_judge import judge, probe
from emogen.commands.data_labels import agree, label, merge_votes, votes
from emogen.commands.data_texts import about, caption, suggest_emotions
from emogen.curation.attributes import attributes_stage
from emogen.curation.card import data_card
from emogen.curation.doctor import examine
from emogen.curation.export import export_folder, exportable, write_shards
from emogen.curation.fetch_stickers import ABOUT, LICENSE, fetch_stickers
from emogen.curation.imported import About
from emogen.curation.ingest import files_below, ingest_stage
from emogen.curation.recipe import CurationRecipe, load_recipe
from emogen.curation.scenes import scenes_stage
from emogen.curation.split import benchmark, near_duplicates, split
from emogen.curation.workspace import Workspace, is_kept, rows_for
from emogen.files import fingerprint_value, write_text
from emogen.text_files import read_json


def ingest(args: argparse.Namespace) -> int:
    workspace = Workspace(args.output_dir)
    about = {name: value for name in ("license", "origin") if (value := getattr(args, name))}
    rows = list(files_below(args.folder, args.domain, args.group_by, about))
    return run_rows(ingest_stage(not args.no_audio), rows, workspace, how_to_run(args))


def scenes(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    stage = scenes_stage(args.detector, args.min_seconds, args.max_seconds, args.threshold)
    rows = [row for row in workspace.sources() if not row.get("error")]
    if not rows:
        raise ValueError(f"{workspace.folder}: holds no sources; run `emogen data ingest` first")
    status = run_rows(stage, rows, workspace, how_to_run(args))
    kept = Counter(row.get("dropped") or "kept" for row in workspace.clips() if row.get("clip_id"))
    print("  " + ", ".join(f"{name}: {number}" for name, number in kept.most_common()))
    workspace.join()
    return status


def attributes(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    rows = rows_for(workspace, is_kept)
    status = run_rows(attributes_stage(), rows, workspace, how_to_run(args))
    workspace.join()
    return status


def fetch(args: argparse.Namespace) -> int:
    count = fetch_stickers(args.output_dir)
    print(f"fetch-stickers: {count} pictures in {args.output_dir}, with {ABOUT} and {LICENSE} beside them")
    return 0


def split_clips(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    rows = rows_for(workspace, is_kept)
    pairs = near_duplicates({row["clip_id"]: row["phash"] for row in rows if row.get("phash")})
    shares = dict(zip(("train", "val", "test"), args.shares, strict=True))
    domains = sorted({str(row["domain"]) for row in rows})
    chosen = benchmark(rows, pairs, domains, args.benchmark, args.seed) if args.benchmark else set()
    touched = {row["group"] for row in rows if row["clip_id"] in chosen}
    rest = [row for row in rows if row["group"] not in touched]
    parts = split(rest, pairs, shares, args.seed) | {clip: "benchmark" for clip in chosen}
    settings = {
        "shares": shares,
        "benchmark": args.benchmark,
        "seed": args.seed,
        "of": fingerprint_value(sorted(parts)),
    }
    workspace.put(table_stage("split", settings), [{"clip_id": c, "split": part} for c, part in parts.items()])
    workspace.join()
    counts = Counter(parts.values())
    print("split: " + ", ".join(f"{part} {counts[part]}" for part in (*shares, "benchmark") if counts[part]))
    print(f"  {len(pairs)} near-duplicate pairs stay together; {len({row['group'] for row in rows})} groups")
    if left := len(rows) - len(parts):
        print(f"  {left} clips are left out: their films or characters are in the benchmark")
    return 0


def export(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    kept, left_out = exportable(workspace.clips(), args.soft)
    for why, number in left_out.most_common():
        print(f"  left out: {number} ({why})")
    if not kept:
        raise ValueError(f"{workspace.folder}: no clip has a label; run `emogen data merge` after labelling")
    with tqdm(total=len(kept), desc="export", unit="clip", disable=args.quiet) as bar:
        failed = export_folder(kept, workspace.folder / "export", bar.update)
    print(f"export: {len(kept) - len(failed)} clips in {workspace.folder / 'export'}")
    if args.format == "webdataset":
        print(f"  packed into {len(write_shards(workspace.folder / 'export'))} shards in export/shards")
    for line in failed:
        print(f"  failed: {line}", file=sys.stderr)
    return FAILED if failed else 0


def join(args: argparse.Namespace) -> int:
    print(Workspace(args.set).join())
    return 0


def status(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    found = workspace.status()
    if not found:
        raise ValueError(f"{workspace.folder}: no stage has run here; `emogen data ingest` is the first")
    if args.json:
        values = {one.stage: {name: value for name, value in vars(one).items() if name != "stage"} for one in found}
        print(json.dumps(values, indent=2, ensure_ascii=False))
        return 0
    for one in found:
        print(f"{one.stage:12} {one.done:7} done {one.failed:6} failed {one.pending:7} pending")
        for why, number in sorted(one.reasons.items(), key=lambda item: -item[1])[:SHOWN]:
            print(f"{'':12} {number:7} {why}")
    return 0


def card(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    found = workspace.folder / "agreement.json"
    agreement = read_json(found) if found.is_file() else None
    text = data_card(workspace.folder.resolve().name, workspace.clips(), workspace.stages(), agreement)
    for path in (workspace.folder / "README.md", workspace.folder / "export" / "README.md"):
        if path.parent.is_dir():
            write_text(path, text)
            print(path)
    return 0


def doctor(args: argparse.Namespace) -> int:
    found = examine(args.set or Path())
    for one in found:
        print(f"{'ok     ' if one.way_out is None else 'missing'} {one.name}: {one.said}"
              + (f" - {one.way_out}" if one.way_out else ""))  # fmt: skip
    return 2 if any(one.needed and one.way_out for one in found) else 0


def run(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe)
    worst, start = 0, time.monotonic()
    common = {"workers": args.workers, "shard": args.shard, "retry_failed": args.retry_failed, "quiet": args.quiet,
              "engine": args.engine}  # fmt: skip
    for name, values in _steps(recipe, args):
        print(f"-- {name} ({(time.monotonic() - start) / 60:.1f} min)", flush=True)
        worst = max(worst, STAGES[name](argparse.Namespace(**common | {"set": args.output_dir} | values)))
    print(f"-- finished after {(time.monotonic() - start) / 60:.1f} min")
    return worst


def _steps(recipe: CurationRecipe, args: argparse.Namespace) -> list[tuple[str, dict[str, Any]]]:
    steps: list[tuple[str, dict[str, Any]]] = []
    tables = []
    for source in recipe.sources:
        folder = Path(source.folder) if source.folder else args.output_dir / "fetched" / source.fetch
        if source.fetch:
            steps.append(("fetch-stickers", {"output_dir": folder}))
            tables.append(About(folder / ABOUT, kind="curated", folder=folder))
        if source.about:
            tables.append(About(Path(source.about), source.layout, source.label_kind, folder))
        steps.append(("ingest", {
            "folder": folder, "output_dir": args.output_dir, "domain": source.domain,
            "group_by": source.group_by, "license": source.license, "origin": source.origin,
            "no_audio": not recipe.keep_audio,
        }))  # fmt: skip
    steps.append(("scenes", vars(recipe.scenes)))
    if tables:
        steps.append(("about", {"tables": tables}))
    steps.append(("attributes", {}))
    if recipe.captions:
        steps.append(("caption", {"captions": Path(recipe.captions), "model": None}))
    if recipe.caption_model:
        steps.append(("caption", {"captions": None} | vars(recipe.caption_model)))
    if recipe.suggest:
        steps.append(("suggest", {}))
    if recipe.judge:
        steps.append(("judge", vars(recipe.judge)))
    if recipe.votes:
        steps.append(("votes", {"votes": [Path(recipe.votes)], "key": None, "export": None}))
        steps.append(("merge", vars(recipe.merge)))
    if recipe.votes or recipe.judge or tables:
        steps.append(("split", {"shares": (recipe.split.train, recipe.split.val, recipe.split.test),
                                "benchmark": recipe.split.benchmark, "seed": recipe.split.seed}))  # fmt: skip
        steps.append(("export", {"format": "videofolder", "soft": recipe.soft}))
    return steps


STAGES: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": run, "fetch-stickers": fetch, "ingest": ingest, "scenes": scenes, "about": about, "attributes": attributes,
    "caption": caption, "suggest": suggest_emotions, "judge": judge, "probe": probe,
    "label": label, "votes": votes, "merge": merge_votes,
    "agree": agree, "split": split_clips, "export": export, "card": card, "doctor": doctor, "join": join,
    "status": status,
}  # fmt: skip
