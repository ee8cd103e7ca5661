"""What each `emogen data` command does: make the stage, run it, say what came of it."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emogen.curation.agreement import Figure, cohen, fleiss, krippendorff, pairs_of_annotators
from emogen.curation.attributes import attributes_stage
from emogen.curation.export import export_folder, exportable
from emogen.curation.fetch_stickers import ABOUT, LICENSE, fetch_stickers
from emogen.curation.imported import About, import_about
from emogen.curation.ingest import files_below, ingest_stage
from emogen.curation.labels import answers, merge
from emogen.curation.recipe import CurationRecipe, load_recipe
from emogen.curation.runner import Count, How, run_stage
from emogen.curation.scenes import scenes_stage
from emogen.curation.split import benchmark, near_duplicates, split
from emogen.curation.stage import Row, Stage
from emogen.curation.workspace import Workspace, is_kept, rows_for
from emogen.data.tables import Columns, good_rows
from emogen.files import atomic, fingerprint_value

FAILED = 3
"""Exit status: done, with failures that are listed."""
_SHOWN = 10


def _how(args: argparse.Namespace) -> How:
    found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", args.shard)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"--shard is {args.shard!r}; write I/N with I from 1 to N, such as 3/16")
    how = How(shard=(int(found[1]), int(found[2])), retry_failed=args.retry_failed, quiet=args.quiet)
    if args.workers is not None:
        if args.workers < 0:
            raise ValueError(f"--workers is {args.workers}; it must not be negative")
        how = replace(how, workers=args.workers)
    return how


def _run(stage: Stage, rows: list[Row], workspace: Workspace, how: How) -> int:
    workspace.register(stage)
    return _say(stage.name, run_stage(stage, rows, workspace.folder, how))


def _say(name: str, count: Count) -> int:
    before = f", {count.before} done before" if count.before else ""
    print(f"{name}: {count.done} done, {len(count.failed)} failed{before}")
    for key, why in list(count.failed.items())[:_SHOWN]:
        print(f"  {key.partition('|')[0]}: {why}", file=sys.stderr)
    if len(count.failed) > _SHOWN:
        print(f"  and {len(count.failed) - _SHOWN} more; `emogen data status` counts the reasons", file=sys.stderr)
    return FAILED if count.failed else 0


def ingest(args: argparse.Namespace) -> int:
    workspace = Workspace(args.output_dir)
    about = {name: value for name in ("license", "origin") if (value := getattr(args, name))}
    rows = list(files_below(args.folder, args.domain, args.group_by, about))
    return _run(ingest_stage(not args.no_audio), rows, workspace, _how(args))


def scenes(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    stage = scenes_stage(args.detector, args.min_seconds, args.max_seconds, args.threshold)
    rows = [row for row in workspace.sources() if not row.get("error")]
    if not rows:
        raise ValueError(f"{workspace.folder}: holds no sources; run `emogen data ingest` first")
    status = _run(stage, rows, workspace, _how(args))
    kept = Counter(row.get("dropped") or "kept" for row in workspace.clips() if row.get("clip_id"))
    print("  " + ", ".join(f"{name}: {number}" for name, number in kept.most_common()))
    workspace.join()
    return status


def attributes(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    rows = rows_for(workspace, is_kept)
    status = _run(attributes_stage(), rows, workspace, _how(args))
    workspace.join()
    return status


def caption(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    clips = rows_for(workspace)
    columns = Columns(dict.fromkeys(("clip_id", "source_path", "caption"), str), needs=("clip_id", "source_path"))
    by_clip: dict[str, str] = {}
    by_source: dict[str, str] = {}
    for _, _, row in good_rows(args.captions, columns):
        if row.get("clip_id"):
            by_clip[row["clip_id"]] = row.get("caption") or ""
        elif row.get("source_path"):
            by_source[row["source_path"]] = row.get("caption") or ""
    found = []
    for row in clips:
        text = by_clip.get(row["clip_id"], by_source.get(row["source_path"]))
        if text is not None:
            found.append({"clip_id": row["clip_id"], "caption": text, "caption_by": "imported"})
    workspace.put(_table_stage("caption", {"captions": fingerprint_value([by_clip, by_source])}), found)
    workspace.join()
    unused = len(by_clip) + len(by_source) - len({row["clip_id"] for row in found})
    print(
        f"caption: {len(found)} of {len(clips)} clips have one"
        + (f"; {unused} captions fit none" if unused > 0 else "")
    )
    return 0


def about(args: argparse.Namespace) -> int:
    tables = [
        one if isinstance(one, About) else About(one, args.layout, args.label_kind, args.folder) for one in args.tables
    ]
    return _import(args, tables)


def _import(args: argparse.Namespace, tables: list[About]) -> int:
    workspace = Workspace(args.set)
    rows, counts = import_about(rows_for(workspace), tables)
    workspace.put(_table_stage("about", {"of": fingerprint_value(rows)}), rows)
    workspace.join()
    print(f"about: {counts.pop('clips')} clips are spoken of, {counts.pop('labels')} have a label")
    for why, number in sorted(counts.items(), key=lambda item: -item[1])[:_SHOWN]:
        print(f"  {number:6} {why}")
    return 0


def fetch(args: argparse.Namespace) -> int:
    count = fetch_stickers(args.output_dir)
    print(f"fetch-stickers: {count} pictures in {args.output_dir}, with {ABOUT} and {LICENSE} beside them")
    return 0


def _table_stage(name: str, settings: Mapping[str, Any]) -> Stage:
    return Stage(name, 1, _never, settings)


def _never(row: Row, settings: Mapping[str, Any], output: Path) -> list[Row]:
    raise AssertionError("this stage looks at the whole table at once")


def label(args: argparse.Namespace) -> int:
    from emogen.curation.label_server import Shown, serve
    from emogen.curation.label_store import LabelStore, Plan, offered_first

    workspace = Workspace(args.set)
    rows = rows_for(workspace, is_kept)
    shown = {
        row["clip_id"]: Shown(Path(row["source_folder"]) / row["source_path"], row.get("start"),
                              row.get("end") if row["kind"] == "video" else None)
        for row in rows
    }  # fmt: skip
    many = args.answers or min(3, len(args.annotators))
    if many < 1:
        raise ValueError(f"--answers is {many}; it must be at least 1")
    store = LabelStore(workspace.folder / "labels.sqlite", Plan(annotators=many))
    unsure = {row["clip_id"]: 1 - row["confidence"] for row in rows if row.get("confidence") is not None}
    store.add_items(offered_first(unsure, shown))
    server = serve(store, shown, args.port)
    for name in args.annotators:
        print(f"{name}: http://127.0.0.1:{server.server_address[1]}/?token={store.token_of(name)}")
    print("Open the address of each person in a browser on this machine. Answers are kept at once. End with Ctrl-C.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
    _write_votes(workspace, store.votes())
    print(f"{len(store.votes())} answers; `emogen data merge {workspace.folder}` makes labels of them")
    return 0


def votes(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    known = {row["clip_id"] for row in rows_for(workspace)}
    columns = Columns(dict.fromkeys(("clip_id", "annotator", "emotion"), str), needs=("clip_id",))
    given = [row for _, _, row in good_rows(args.votes, columns)]
    answers(given)  # refuses what means nothing
    strangers = [row for row in given if row["clip_id"] not in known]
    _write_votes(workspace, [row for row in given if row["clip_id"] in known])
    print(
        f"votes: {len(given) - len(strangers)} taken" + (f", {len(strangers)} are of no clip here" if strangers else "")
    )
    return FAILED if strangers else 0


def _write_votes(workspace: Workspace, rows: list[Row]) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    names = ("clip_id", "annotator", "emotion", "round", "seconds", "when", "audit", "gold")
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in names})
    with atomic(workspace.folder / "votes.parquet") as temporary:
        parquet.write_table(table, temporary)


def _read_votes(workspace: Workspace) -> list[Row]:
    import pyarrow.parquet as parquet

    path = workspace.folder / "votes.parquet"
    if not path.is_file():
        raise ValueError(f"{path}: there are no votes; run `emogen data label` or `emogen data votes`")
    return parquet.read_table(path).to_pylist()


def _first_answers(workspace: Workspace) -> dict[str, dict[str, str]]:
    return answers(vote for vote in _read_votes(workspace) if vote.get("round") in (None, 1))


def merge_votes(args: argparse.Namespace) -> int:
    if not 1 <= args.agree <= args.annotators:
        raise ValueError(f"--agree is {args.agree}; it must lie between 1 and --annotators ({args.annotators})")
    workspace = Workspace(args.set)
    given = _first_answers(workspace)
    merged = {clip: merge(votes, args.annotators, args.agree) for clip, votes in given.items()}
    settings = {"annotators": args.annotators, "agree": args.agree, "votes": fingerprint_value(given)}
    rows = [{"clip_id": clip, **found.to_row()} for clip, found in merged.items()]
    workspace.put(_table_stage("merge", settings), rows)
    workspace.join()
    kept = Counter(found.emotion or f"dropped, {found.dropped}" for found in merged.values())
    print(f"merge: {sum(found.emotion is not None for found in merged.values())} of {len(merged)} clips have a label")
    for name, number in kept.most_common():
        print(f"  {number:6} {name}")
    return 0


def agree(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    all_votes = _read_votes(workspace)
    given = _first_answers(workspace)
    groups = {row["clip_id"]: str(row.get("group")) for row in workspace.clips() if row.get("clip_id")}
    groups = {clip: groups.get(clip, clip) for clip in given}
    _print_figure("Fleiss' kappa", fleiss(given, groups))
    _print_figure("Krippendorff's alpha", krippendorff(given, groups))
    for (one, other), figure in pairs_of_annotators(given, groups).items():
        _print_figure(f"Cohen's kappa, {one} and {other}", figure)
    again: dict[str, dict[str, str]] = {}
    for vote in all_votes:
        if vote.get("round") == 2:
            again.setdefault(vote["annotator"], {})[vote["clip_id"]] = vote["emotion"]
    for name, second in sorted(again.items()):
        first = {clip: votes[name] for clip, votes in given.items() if name in votes}
        _print_figure(f"Cohen's kappa, {name} and {name} again", cohen(first, second, groups))
    return 0


def _print_figure(name: str, figure: Figure) -> None:
    value = "not defined" if figure.value is None else f"{figure.value:.3f}"
    interval = "" if figure.low is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
    print(f"{name}: {value}{interval} ({figure.clips} clips in {figure.groups} groups)")


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
    workspace.put(_table_stage("split", settings), [{"clip_id": c, "split": part} for c, part in parts.items()])
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
        for why, number in sorted(one.reasons.items(), key=lambda item: -item[1])[:_SHOWN]:
            print(f"{'':12} {number:7} {why}")
    return 0


def run(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe)
    worst, start = 0, time.monotonic()
    common = {"workers": args.workers, "shard": args.shard, "retry_failed": args.retry_failed, "quiet": args.quiet}
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
        steps.append(("caption", {"captions": Path(recipe.captions)}))
    if recipe.votes:
        steps.append(("votes", {"votes": Path(recipe.votes)}))
        steps.append(("merge", vars(recipe.merge)))
    if recipe.votes or tables:
        steps.append(("split", {"shares": (recipe.split.train, recipe.split.val, recipe.split.test),
                                "benchmark": recipe.split.benchmark, "seed": recipe.split.seed}))  # fmt: skip
        steps.append(("export", {"format": "videofolder", "soft": recipe.soft}))
    return steps


STAGES: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": run, "fetch-stickers": fetch, "ingest": ingest, "scenes": scenes, "about": about, "attributes": attributes,
    "caption": caption, "label": label, "votes": votes, "merge": merge_votes, "agree": agree, "split": split_clips,
    "export": export, "join": join, "status": status,
}  # fmt: skip
