"""`emogen data label`, `votes`, `merge` and `agree`: labels by people."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from emogen.commands.data_common import FAILED, table_stage
from emogen.curation.agreement import Figure, cohen, fleiss, krippendorff, pairs_of_annotators
from emogen.curation.labels import answers, merge
from emogen.curation.stage import Row
from emogen.curation.workspace import Workspace, is_kept, rows_for
from emogen.data.tables import Columns, good_rows
from emogen.files import atomic, fingerprint_value


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
    workspace.put(table_stage("merge", settings), rows)
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
