"""Reading the clips of every system: what the judges say, and what each metric reads. One row a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from emogen.emotion import MIKELS
from emogen.eval.benchmark.config import EvalConfig, EvalConfigError, SystemConfig
from emogen.eval.benchmark.heldout import first_frame
from emogen.eval.benchmark.items import Item
from emogen.eval.benchmark.systems import MADE_HERE, find_clips
from emogen.eval.clips import read_clip, stacked_by_shape
from emogen.eval.judges.embedded import Judge
from emogen.eval.judges.registry import load_judge
from emogen.eval.judges.spec import judge_name
from emogen.eval.metrics.agreement import read_as_asked
from emogen.eval.metrics.base import BenchmarkMetric, ClipBatch
from emogen.eval.metrics.choose import metric_classes

ALWAYS = "agreement"
"""Measured whether it is asked for or not: tables, page and study lead with it."""
_BATCH = 16


def load_judges(specs: Sequence[str | Mapping[str, Any]]) -> dict[str, Judge]:
    """The judges by their names in the configuration, each with its card (`judges.registry.load_judge`).

    Raises:
        EvalConfigError: one has no weights.
    """
    found: dict[str, Judge] = {}
    for spec in specs:
        try:
            found[judge_name(spec)] = load_judge(spec)
        except (OSError, ValueError) as error:
            raise EvalConfigError(f"judges: {judge_name(spec)!r} cannot be loaded: {error}") from error
    return found


def open_metrics(
    names: Sequence[str], weights: Mapping[str, str], items: Sequence[Item] = ()
) -> dict[str, BenchmarkMetric]:
    """The metrics asked for, and the agreement, with their networks.

    Raises:
        EvalConfigError: one is unknown, or a package, weights, or something for one of the items are missing.
    """
    found: dict[str, BenchmarkMetric] = {}
    try:
        classes = metric_classes([*([] if ALWAYS in names else [ALWAYS]), *names])
    except ValueError as error:
        raise EvalConfigError(f"metrics: {error}") from error
    for name, cls in classes.items():
        try:
            found[name] = cls.open(weights)
            found[name].check([item.key for item in items])
            found[name].check_named([item.prompt.named for item in items])
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            raise EvalConfigError(f"metrics: {name}: {error}") from error
    return found


@dataclass
class Measurement:
    """Rows and features of all systems.

    Attributes:
        rows: one dictionary a clip that could be read, with every number found.
        excluded: one a clip that could not, with the reason.
        arrays: metric -> system -> `[n, d]`, in the order of the system's rows.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)
    arrays: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


def measure(
    config: EvalConfig,
    items: Sequence[Item],
    out: Path,
    judges: Mapping[str, Judge],
    metrics: Mapping[str, BenchmarkMetric],
    quiet: bool = False,
) -> Measurement:
    """Read every clip of every system.

    Raises:
        EvalConfigError: a metric cannot read clips such as these.
    """
    from tqdm import tqdm

    found = Measurement()
    for system in config.systems:
        paths = find_clips(config, system, items, out)
        parts: dict[str, list[np.ndarray]] = {}
        mine: list[dict[str, Any]] = []
        with tqdm(total=len(items), desc=f"measure {system.name}", unit="clip", disable=quiet) as bar:
            for start in range(0, len(items), _BATCH):
                clips, kept = _read(system, items[start : start + _BATCH], paths, found)
                for group, members in stacked_by_shape(clips):
                    asked = [kept[index] for index in members]
                    rows = [_row(system, item, paths[item.key], out) for item in asked]
                    _judge(rows, group, judges)
                    _note(rows, batch_of(system, asked, group), metrics, parts)
                    mine += rows
                bar.update(min(_BATCH, len(items) - start))
        _note_seeds(mine, paths, metrics)
        found.rows += mine
        for name, values in parts.items():
            found.arrays.setdefault(name, {})[system.name] = np.concatenate(values)
    return found


def batch_of(system: SystemConfig, items: Sequence[Item], clips: np.ndarray) -> ClipBatch:
    """Clips uint8 `[B, F, H, W, 3]` of the items, as metrics take them; pictures are brought to the clips' size."""
    pictures = None
    if system.image:
        size = clips.shape[3], clips.shape[2]
        frames = [
            np.asarray(first_frame(item.prompt, item.seed).resize(size, Image.Resampling.LANCZOS)) for item in items
        ]
        pictures = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    return ClipBatch(
        torch.from_numpy(clips).permute(0, 1, 4, 2, 3), [item.key for item in items],
        [item.prompt.text for item in items], [item.emotion for item in items], [item.prompt.named for item in items],
        pictures,
    )  # fmt: skip


def _read(
    system: SystemConfig, items: Sequence[Item], paths: Mapping[str, Path], found: Measurement
) -> tuple[list[np.ndarray], list[Item]]:
    clips, kept = [], []
    for item in items:
        try:
            if item.key not in paths:
                raise ValueError("no such clip")
            clips.append(read_clip(paths[item.key]))
            kept.append(item)
        except ValueError as error:
            if not (system.clips == "stickers" and item.prompt.spec is None):
                found.excluded.append({"system": system.name, "clip": item.key, "reason": str(error)})
    return clips, kept


def _row(system: SystemConfig, item: Item, path: Path, out: Path) -> dict[str, Any]:
    name = path.relative_to(out if system.clips in MADE_HERE else system.clips).as_posix()
    return {"system": system.name, "clip": item.key, "file": name, "prompt": item.prompt.text,
            "domain": item.prompt.domain, "character": item.prompt.character, "emotion": item.emotion,
            "seed": item.seed, "judges": {}}  # fmt: skip


def _judge(rows: list[dict[str, Any]], clips: np.ndarray, judges: Mapping[str, Judge]) -> None:
    for name, judge in judges.items():
        verdict = judge(clips)
        eight, two = read_as_asked(verdict.distribution, [row["emotion"] for row in rows])
        for index, row in enumerate(rows):
            shares = verdict.distribution[index]
            row["judges"][name] = {
                "read": verdict.labels[index], "EA-8": bool(eight[index]), "EA-2": bool(two[index]),
                "share": round(float(shares[MIKELS.index(row["emotion"])]), 4),
                "distribution": [round(float(share), 4) for share in shares],
                "valence": round(float(verdict.valence_arousal[index, 0]), 4),
                "arousal": round(float(verdict.valence_arousal[index, 1]), 4),
                "confidence": round(float(verdict.confidence[index]), 4),
            }  # fmt: skip


def _note(
    rows: list[dict[str, Any]],
    batch: ClipBatch,
    metrics: Mapping[str, BenchmarkMetric],
    parts: dict[str, list[np.ndarray]],
) -> None:
    """What each metric reads of the batch: into the rows, or, where it is an array, beside them."""
    for name, metric in metrics.items():
        try:
            read = metric.read(batch)
        except ValueError as error:
            raise EvalConfigError(f"metrics: {name}: clips such as {batch.keys[0]}: {error}") from error
        if isinstance(read, np.ndarray):
            parts.setdefault(name, []).append(read)
        elif read is not None:
            for row, value in zip(rows, read, strict=True):
                if value is not None:
                    row[name] = value


def _note_seeds(
    rows: Sequence[dict[str, Any]], paths: Mapping[str, Path], metrics: Mapping[str, BenchmarkMetric]
) -> None:
    """What metrics of several seeds read, into the row of the first clip of each prompt and emotion."""
    wanted = {name: metric for name, metric in metrics.items() if "seeds" in metric.about.needs}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows if wanted else ():
        groups.setdefault((row["clip"].partition("_")[0], row["emotion"]), []).append(row)
    for group in groups.values():
        stacks = stacked_by_shape([read_clip(paths[row["clip"]]) for row in group])
        clips, members = max(stacks, key=lambda stack: len(stack[1]))
        for name, metric in wanted.items() if len(members) > 1 else ():
            value = metric.read_seeds(torch.from_numpy(clips).permute(0, 1, 4, 2, 3))
            if value is not None:
                group[members[0]][name] = value
