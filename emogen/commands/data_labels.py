"""`emogen data label`, `votes`, `merge` and `agree`: labels by people."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from emogen.commands.data_common import FAILED, SHOWN, table_stage
from emogen.curation.agreement_report import agreement_report
from emogen.curation.labels import ANSWERS, answers, merge
from emogen.curation.stage import Row
from emogen.curation.vote_files import LABEL_STUDIO_CONFIG, read_vote_files, to_csv, to_label_studio
from emogen.curation.workspace import Workspace, is_kept, rows_for
from emogen.data.tables import Columns, good_rows
from emogen.files import atomic, fingerprint_value, write_json, write_text


def label(args: argparse.Namespace) -> int:
    from emogen.curation.label_server import Shown, serve
    from emogen.curation.label_store import LabelStore, Plan, offered_first

    workspace = Workspace(args.set)
    rows = rows_for(workspace, is_kept)
    if args.clips is not None:
        rows = _chosen(args.clips, rows)
    shown = {
        row["clip_id"]: Shown(Path(row["source_folder"]) / row["source_path"], row.get("start"),
                              row.get("end") if row["kind"] == "video" else None)
        for row in rows
    }  # fmt: skip
    many = args.answers or min(3, len(args.annotators))
    if many < 1:
        raise ValueError(f"--answers is {many}; it must be at least 1")
    store = LabelStore(workspace.folder / "labels.sqlite", Plan(annotators=many))
    unsure = {row["clip_id"]: row["disagreement"] for row in rows if row.get("disagreement") is not None}
    store.add_items(offered_first(unsure, shown), _gold(args.gold, shown))
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


def _chosen(table: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the clips that a table names."""
    columns = Columns({"clip_id": str}, needs=("clip_id",))
    names = dict.fromkeys(row.get("clip_id", "") for _, _, row in good_rows(table, columns))
    there = {row["clip_id"]: row for row in rows}
    if missing := [name for name in names if name not in there]:
        raise ValueError(f"{table}: there is no clip {missing[0]!r} here")
    return [there[name] for name in names]


def _gold(table: Path | None, clips: Container[str]) -> dict[str, str]:
    """Clip -> what it certainly shows, of a table; annotators are measured by it."""
    if table is None:
        return {}
    columns = Columns(dict.fromkeys(("clip_id", "emotion"), str), needs=("clip_id",))
    found = {row.get("clip_id", ""): row.get("emotion", "").strip().lower() for _, _, row in good_rows(table, columns)}
    for clip, emotion in found.items():
        if clip not in clips:
            raise ValueError(f"{table}: there is no clip {clip!r} here")
        if emotion not in ANSWERS:
            raise ValueError(f"{table}: {emotion!r} is no answer; use one of {', '.join(ANSWERS)}")
    return found


def votes(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    if (args.votes is None) == (args.export is None):
        raise ValueError("votes takes either --votes FILE ... or --export FILE")
    if args.export is not None:
        return _export_votes(args, workspace)
    given, strangers = read_vote_files(args.votes, rows_for(workspace), args.key)
    _write_votes(workspace, given)
    print(f"votes: {len(given)} taken" + (f", {strangers} are of no clip here" if strangers else ""))
    return FAILED if strangers else 0


def _export_votes(args: argparse.Namespace, workspace: Workspace) -> int:
    has_votes = (workspace.folder / "votes.parquet").is_file()
    given = _read_votes(workspace) if has_votes else []
    if args.format == "csv":
        write_text(args.export, to_csv(given))
    else:
        write_text(args.export, to_label_studio(rows_for(workspace, is_kept), given))
        write_text(args.export.with_suffix(".xml"), LABEL_STUDIO_CONFIG + "\n")
    print(f"votes: {len(given)} written to {args.export}")
    return 0


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


def merge_votes(args: argparse.Namespace) -> int:
    if not 1 <= args.agree <= args.annotators:
        raise ValueError(f"--agree is {args.agree}; it must lie between 1 and --annotators ({args.annotators})")
    workspace = Workspace(args.set)
    given = answers(vote for vote in _read_votes(workspace) if vote.get("round") in (None, 1))
    merged = {clip: merge(votes, args.annotators, args.agree) for clip, votes in given.items()}
    settings = {"annotators": args.annotators, "agree": args.agree, "votes": fingerprint_value(given)}
    rows = [{"clip_id": clip, **found.to_row()} for clip, found in merged.items()]
    workspace.put(table_stage("merge", settings), rows)
    workspace.join()
    kept = Counter(found.emotion or f"dropped, {found.dropped}" for found in merged.values())
    print(f"merge: {sum(found.emotion is not None for found in merged.values())} of {len(merged)} clips have a label")
    for name, number in kept.most_common():
        print(f"  {number:6} {name}")
    return 0


def agree(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    report = agreement_report(_read_votes(workspace), workspace.clips(), args.annotators, args.agree)
    write_json(workspace.folder / "agreement.json", report)
    for name, figure in report["people"].items():
        _print_figure(name, figure)
    for one, other, count in report["confused"][:SHOWN]:
        print(f"  {count:6} times one says {one}, another {other}")
    if "people and model" in report:
        found = report["people and model"]
        where = "the random share" if found["random share"] else "what people happened to label: no fair sample"
        print(f"on {where} ({found['clips']} clips)")
        for name, figure in found["figures"].items():
            _print_figure(name, figure)
    for emotion, rate in report.get("rates", {}).items():
        interval = "" if rate["low"] is None else f" [{rate['low']:.3f}, {rate['high']:.3f}]"
        print(f"rate of {emotion}: {rate['value']:.3f}{interval} (the model's {rate['model']:.3f})")
    return 0


def _print_figure(name: str, figure: Mapping[str, Any]) -> None:
    value = "not defined" if figure["value"] is None else f"{figure['value']:.3f}"
    interval = "" if figure["low"] is None else f" [{figure['low']:.3f}, {figure['high']:.3f}]"
    print(f"{name}: {value}{interval} ({figure['clips']} clips in {figure['groups']} groups)")
