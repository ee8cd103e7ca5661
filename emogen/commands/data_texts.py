"""`emogen data template`, `about`, `caption` and `suggest`: what people, tables and models say of clips in words."""

from __future__ import annotations

import argparse
import sys

from emogen.commands.data_common import SHOWN, how_to_run, run_rows, table_stage
from emogen.curation.captions import PROMPT, PROMPT_EMOTIONAL, caption_stage
from emogen.curation.imported import About, import_about
from emogen.curation.meaning import Meaning
from emogen.curation.suggest import suggest
from emogen.curation.workspace import Workspace, is_kept, rows_for
from emogen.data.tables import Columns, good_rows
from emogen.data.template import write_template
from emogen.files import fingerprint_value


def template(args: argparse.Namespace) -> int:
    """Write a table for a person to fill; what reads it names every row that is not filled."""
    written = write_template(args.folder)
    print(f"{written.path}: {written.rows} clips, {written.without_emotion} without an emotion yet")
    print("Fill in caption (what is seen) and emotion (how it feels: joy, sadness:0.5 ...; `emogen info --lexicon`).")
    print(f"`train_lora.py --config CONFIG --dataset_name {args.folder} --dry_run` then names what is missing.")
    return 0


def about(args: argparse.Namespace) -> int:
    tables = [
        one if isinstance(one, About) else About(one, args.layout, args.label_kind, args.folder) for one in args.tables
    ]
    return _import(args, tables)


def _import(args: argparse.Namespace, tables: list[About]) -> int:
    workspace = Workspace(args.set)
    clips = [{"clip_id": row["clip_id"], "source_path": row["source_path"],
              "source_folder": sys.intern(row["source_folder"])}
             for row in rows_for(workspace, stage="about")]  # fmt: skip
    rows, counts = import_about(clips, tables)
    workspace.put(table_stage("about", {"of": fingerprint_value(rows)}), rows)
    workspace.join()
    print(f"about: {counts.pop('clips')} clips are spoken of, {counts.pop('labels')} have a label")
    for why, number in sorted(counts.items(), key=lambda item: -item[1])[:SHOWN]:
        print(f"  {number:6} {why}")
    return 0


def caption(args: argparse.Namespace) -> int:
    if (args.captions is None) == (args.model is None):
        raise ValueError("caption takes either --captions (a table) or --model")
    if args.model is not None:
        return _by_model(args)
    workspace = Workspace(args.set)
    columns = Columns(dict.fromkeys(("clip_id", "source_path", "caption"), str), needs=("clip_id", "source_path"))
    by_clip: dict[str, str] = {}
    by_source: dict[str, str] = {}
    for _, _, row in good_rows(args.captions, columns):
        if row.get("clip_id"):
            by_clip[row["clip_id"]] = row.get("caption") or ""
        elif row.get("source_path"):
            by_source[row["source_path"]] = row.get("caption") or ""
    found, count = [], 0
    for row in rows_for(workspace, stage="caption"):
        count += 1
        text = by_clip.get(row["clip_id"], by_source.get(row["source_path"]))
        if text is not None:
            found.append({"clip_id": row["clip_id"], "caption": text, "caption_by": "imported"})
    workspace.put(table_stage("caption", {"captions": fingerprint_value([by_clip, by_source])}), found)
    workspace.join()
    unused = len(by_clip) + len(by_source) - len({row["clip_id"] for row in found})
    print(f"caption: {len(found)} of {count} clips have one" + (f"; {unused} captions fit none" if unused > 0 else ""))
    return 0


def _by_model(args: argparse.Namespace) -> int:
    workspace = Workspace(args.set)
    for name in ("frames", "max_new_tokens", "batch"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} is {getattr(args, name)}; it must be at least 1")
    emotional = PROMPT_EMOTIONAL if args.prompt_emotional == "" else args.prompt_emotional
    stage = caption_stage(
        args.model, frames=args.frames, prompt=args.prompt or PROMPT, prompt_emotional=emotional,
        as_video=args.as_video, max_new_tokens=args.max_new_tokens, batch=args.batch, dtype=args.dtype,
        device=args.device,
    )  # fmt: skip
    status = run_rows(stage, rows_for(workspace, is_kept, "caption"), workspace, how_to_run(args, workers=1))
    workspace.join()
    return status


def suggest_emotions(args: argparse.Namespace) -> int:
    """Read an emotion from the captions, as a suggestion."""
    workspace = Workspace(args.set)
    meaning = Meaning() if args.by == "meaning" else None
    found, count = [], 0
    for clip in rows_for(workspace, is_kept, "suggest"):
        count += 1
        if (row := suggest(clip, meaning)) is not None:
            found.append(row)
    workspace.put(table_stage("suggest", {"by": args.by, "of": fingerprint_value(found)}), found)
    workspace.join()
    near = sum(row["suggested_by"].startswith("meaning") for row in found)
    print(f"suggest: the captions of {len(found) - near} of {count} clips name a feeling"
          + (f", {near} more are near to one in meaning" if meaning else ""))  # fmt: skip
    return 0
