"""What each `emogen data` command does: make the stage, run it, say what came of it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from emogen.commands.data_common import SHOWN, how_to_run, run_rows, table_stage
from emogen.commands.data_export import card, export
from emogen.commands.data_judge import judge, probe
from emogen.commands.data_labels import agree, label, merge_votes, votes
from emogen.commands.data_texts import about, caption, suggest_emotions, template
from emogen.curation.attributes import attributes_stage
from emogen.curation.doctor import examine
from emogen.curation.fetch_stickers import ABOUT, LICENSE, fetch_stickers
from emogen.curation.imported import About
from emogen.curation.ingest import ingest_stage
from emogen.curation.recipe import CurationRecipe, load_recipe
from emogen.curation.scenes import scenes_stage
from emogen.curation.sound import sound_stage
from emogen.curation.sources import SourceFiles, SourceList
from emogen.curation.split import benchmark, beyond, clusters, near_duplicates, split
from emogen.curation.workspace import Workspace, is_kept, rows_for, source_rows
from emogen.files import fingerprint_value


def ingest(args: argparse.Namespace) -> int:
    workspace, how = Workspace(args.output_dir), how_to_run(args)
    about = {name: value for name in ("license", "origin") if (value := getattr(args, name))}
    files = SourceFiles(args.folder, args.domain, args.group_by, about, args.output_dir, args.sequence_fps, how.shard)
    rows = SourceList(workspace.folder, files)
    status = run_rows(ingest_stage(not args.no_audio), rows, workspace, replace(how, shard=(1, 1)))
    for folder in rows.forgotten:
        print(f"  {folder} is gone: its files have left the table; ingest them from where they are now")
    workspace.join()
    return status


def scenes(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    stage = scenes_stage(args.detector, args.min_seconds, args.max_seconds, args.threshold)
    status = run_rows(stage, source_rows(workspace), workspace, how_to_run(args))
    kept = Counter(row.get("dropped") or "kept" for row in workspace.clips() if row.get("clip_id"))
    print("  " + ", ".join(f"{name}: {number}" for name, number in kept.most_common()))
    workspace.join()
    return status


def attributes(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    rows = rows_for(workspace, is_kept, "attributes")
    status = run_rows(attributes_stage(), rows, workspace, how_to_run(args))
    workspace.join()
    return status


def sound(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    stage = sound_stage()
    rows = rows_for(workspace, is_kept)
    status = run_rows(stage, rows, workspace, how_to_run(args))
    workspace.join()
    return status


def fetch(args: argparse.Namespace) -> int:
    count = fetch_stickers(args.output_dir)
    print(f"fetch-stickers: {count} pictures in {args.output_dir}, with {ABOUT} and {LICENSE} beside them")
    return 0


def split_clips(args: argparse.Namespace) -> int:
    workspace, most = Workspace(args.set), _at_most(args.at_most)
    hashes: dict[str, str] = {}
    rows = []
    for row in rows_for(workspace, is_kept, "split"):
        words = {name: _shared(row.get(name)) for name in ("group", "domain", "emotion", "label_kind")}
        rows.append({"clip_id": row["clip_id"], **words})
        if row.get("phash"):
            hashes[row["clip_id"]] = row["phash"]
    pairs = near_duplicates(hashes)
    hashes.clear()
    shares = dict(zip(("train", "val", "test"), args.shares, strict=True))
    domains = sorted({str(row["domain"]) for row in rows})
    chosen = benchmark(rows, pairs, domains, args.benchmark, args.seed) if args.benchmark else set()
    touched = {clip for names in clusters(rows, pairs) if not chosen.isdisjoint(names) for clip in names}
    rest = [row for row in rows if row["clip_id"] not in touched]
    parts = split(rest, pairs, shares, args.seed) | {clip: "benchmark" for clip in chosen}
    settings = {"shares": shares, "benchmark": args.benchmark, "seed": args.seed, "at_most": most,
                "of": fingerprint_value(sorted(parts))}  # fmt: skip
    why = dict.fromkeys(touched - chosen, "its film, character or near-duplicate is in the benchmark")
    why |= dict.fromkeys(beyond(rows, parts, most, args.seed), "more of its domain than are trained on")
    paired = [{"clip_id": clip} for clip in sorted(set(chain.from_iterable(pairs)))]
    like = {clip: names[0] for names in clusters(paired, pairs) for clip in names[1:]}
    workspace.put(table_stage("split", settings), [
        {"clip_id": clip, "split": None if clip in why else parts[clip], "dropped": why.get(clip),
         "near_duplicate_of": like.get(clip)}
        for clip in sorted({*parts, *why})
    ])  # fmt: skip
    workspace.join()
    counts = Counter(part for clip, part in parts.items() if clip not in why)
    print("split: " + ", ".join(f"{part} {counts[part]}" for part in (*shares, "benchmark") if counts[part]))
    print(
        f"  {len(like)} clips look nearly like another and stay with it; {len({row['group'] for row in rows})} groups"
    )
    for reason, number in Counter(why.values()).items():
        print(f"  left out: {number} ({reason})")
    return 0


def _shared(word: str | None) -> str | None:
    """The same text in the same place of memory, however many rows have it."""
    return sys.intern(word) if isinstance(word, str) else word


def _at_most(words: list[str]) -> dict[str, int]:
    """DOMAIN=N, several."""
    found = {}
    for word in words:
        domain, _, number = word.rpartition("=")
        if not domain or not number.isdigit():
            raise ValueError(f"--at_most is {word!r}; write DOMAIN=N, such as movie=8000")
        found[domain] = int(number)
    return found


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


def doctor(args: argparse.Namespace) -> int:
    found = examine(args.set or Path())
    for one in found:
        print(f"{'ok     ' if one.way_out is None else 'missing'} {one.name}: {one.said}"
              + (f" - {one.way_out}" if one.way_out else ""))  # fmt: skip
    return 2 if any(one.needed and one.way_out for one in found) else 0


def run(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe)
    if args.shard != "1/1":
        raise ValueError("a recipe's stages wait for each other; share stages one by one (examples/curation_array.sh "
                         "does so), then run the recipe without --shard: what is done is not done again")  # fmt: skip
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
            "sequence_fps": source.sequence_fps,
            "no_audio": not recipe.keep_audio,
        }))  # fmt: skip
    steps.append(("scenes", vars(recipe.scenes)))
    if tables:
        steps.append(("about", {"tables": tables}))
    steps.append(("attributes", {}))
    if recipe.sound:
        steps.append(("sound", {}))
    if recipe.captions:
        steps.append(("caption", {"captions": Path(recipe.captions), "model": None}))
    if recipe.caption_model:
        steps.append(("caption", {"captions": None} | vars(recipe.caption_model)))
    if recipe.suggest:
        steps.append(("suggest", {"by": recipe.suggest_by}))
    if recipe.judge:
        steps.append(("judge", vars(recipe.judge)))
    if recipe.votes:
        steps.append(("votes", {"votes": [Path(recipe.votes)], "key": None, "export": None}))
        steps.append(("merge", vars(recipe.merge)))
    if recipe.votes or recipe.judge or tables:
        steps.append(("split", {"shares": (recipe.split.train, recipe.split.val, recipe.split.test),
                                "benchmark": recipe.split.benchmark, "seed": recipe.split.seed,
                                "at_most": [f"{name}={n}" for name, n in recipe.split.at_most.items()]}))  # fmt: skip
        steps.append(("export", {"format": "videofolder", "soft": recipe.soft, "push_to_hub": None, "public": False}))
    return steps


STAGES: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": run, "fetch-stickers": fetch, "ingest": ingest, "scenes": scenes, "about": about, "attributes": attributes,
    "sound": sound, "caption": caption, "suggest": suggest_emotions, "judge": judge, "probe": probe,
    "label": label, "votes": votes, "merge": merge_votes,
    "agree": agree, "split": split_clips, "export": export, "card": card, "doctor": doctor, "join": join,
    "template": template,
    "status": status,
}  # fmt: skip
