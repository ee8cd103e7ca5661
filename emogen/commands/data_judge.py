"""`emogen data judge` and `probe`: labels by models, and a model that learns from people's labels."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emogen.commands.data_common import how_to_run, run_rows
from emogen.commands.data_export import cut_scenes
from emogen.curation.cutting import CUTS
from emogen.curation.export import export_folder, exportable
from emogen.curation.frames import frames_of
from emogen.curation.judging import judged_row
from emogen.curation.runner import How
from emogen.curation.stage import Row, Stage, StageError
from emogen.curation.workspace import Workspace, is_kept, rows_for
from emogen.files import fingerprint_value

JUDGES = "judges"
"""Folder of the judges' cards, below the output folder."""


def judge(args: argparse.Namespace) -> int:
    """Let judges label the clips; what people say of a clip stays above it."""
    from emogen.eval.judges.card import card_of
    from emogen.eval.judges.registry import load_judge
    from emogen.eval.judges.spec import read_spec, refuse_remote_code

    if not 0 <= args.least <= 1:
        raise ValueError(f"--least is {args.least:g}; it must lie between 0 and 1")
    if args.frames < 1:
        raise ValueError(f"--frames is {args.frames}; it must be at least 1")
    workspace = Workspace(args.set)
    specs, cards = [], {}
    for text in args.judge:
        spec = read_spec(text)
        refuse_remote_code(spec, "--judge")
        loaded = load_judge(spec, args.device)
        if loaded.name in cards:
            raise ValueError(f"--judge: two are called {loaded.name}; give one of them a name")
        cards[loaded.name] = card_of(loaded)
        specs.append(spec)
    held = {name: fingerprint_value(card.to_dict()) for name, card in cards.items()}
    settings = {"judges": specs, "cards": held, "frames": args.frames, "least": args.least, "device": args.device}
    stage = Stage("judge", 1, judge_alone, settings, timeout=1800.0, batch=args.batch, many=judge_clips)
    rows = rows_for(workspace, is_kept, "judge")
    status = run_rows(stage, rows, workspace, how_to_run(args, workers=1))
    (workspace.folder / JUDGES).mkdir(exist_ok=True)
    for name, card in cards.items():
        words = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
        card.save(workspace.folder / JUDGES / f"{words}.card.json")
    workspace.join()
    return status


def judge_alone(row: Row, settings: Mapping[str, Any], output: Path) -> list[Row]:
    """One clip (see `judge_clips`)."""
    found = judge_clips([row], settings, output)[0]
    if isinstance(found, StageError):
        raise found
    return found


def judge_clips(rows: list[Row], settings: Mapping[str, Any], output: Path) -> list[list[Row] | StageError]:
    """What the judges say of several clips; clips of one size are looked at together."""
    judges = _judges(settings)
    found: list[Any] = []
    for row in rows:
        try:
            frames = frames_of(row, settings["frames"])
            # judges of moving pictures need more than one frame
            found.append(np.repeat(frames, 2, axis=0) if len(frames) == 1 else frames)
        except StageError as error:
            found.append(error)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, one in enumerate(found):
        if not isinstance(one, StageError):
            by_shape.setdefault(one.shape, []).append(place)
    for places in by_shape.values():
        clips = np.stack([found[place] for place in places])
        shares = np.stack([one(clips).distribution for one in judges], axis=1)
        for place, each in zip(places, shares, strict=True):
            names = [one.name for one in judges]
            found[place] = [judged_row(rows[place]["clip_id"], each, names, settings["least"])]
    return found


_LOADED: dict[str, list[Any]] = {}


def _judges(settings: Mapping[str, Any]) -> list[Any]:
    """Once a process."""
    from emogen.eval.judges.registry import load_judge

    key = fingerprint_value([settings["judges"], settings["device"]])
    if key not in _LOADED:
        _LOADED.clear()
        _LOADED[key] = [load_judge(spec, settings["device"]) for spec in settings["judges"]]
    return _LOADED[key]


def probe(args: argparse.Namespace) -> int:
    """Fit a linear probe to the clips that people have labelled; the benchmark stays unseen."""
    from emogen.eval.judges.check import check_text
    from emogen.eval.judges.train import train_probe

    workspace = Workspace(args.set)
    unseen = {row.get("group") for row in workspace.clips() if row.get("split") == "benchmark"}

    def people() -> Iterator[Row]:
        """Without the benchmark and all of its films and characters."""
        for row in exportable(workspace.clips(), Counter()):
            if row.get("label_kind") == "human" and row.get("group") not in unseen:
                yield row

    if next(people(), None) is None:
        raise ValueError(f"{workspace.folder}: people have labelled no clip; run `emogen data label` and `merge` first")
    cut_scenes(workspace, people, How(quiet=args.quiet))
    folder = workspace.folder / "people"
    count, failed = export_folder(people(), folder, workspace.folder / CUTS)
    for line in failed:
        print(f"  left out: {line}")
    out = args.judge_dir or workspace.folder / "probe"
    made = train_probe(folder, args.encoder, out, group="group", frames=args.frames, device=args.device,
                       quiet=args.quiet)  # fmt: skip
    for data in made.card.held_out:
        print(check_text(made.card, data))
    print(f"probe: {count} clips of people; `emogen data judge {workspace.folder} --judge {out}` labels the rest")
    return 0
