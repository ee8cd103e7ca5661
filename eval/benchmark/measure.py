"""Reading the clips of every system: what the judges say, what the pixels are. One row a clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emogen.data.attributes import clip_attributes
from emogen.emotion import MIKELS
from emogen.eval.agreement import hits
from emogen.eval.benchmark.config import EvalConfig, EvalConfigError, SystemConfig
from emogen.eval.benchmark.first_frames import first_frame, first_frame_psnr
from emogen.eval.benchmark.items import Item
from emogen.eval.benchmark.systems import find_clips, read_clip
from emogen.eval.judges.embedded import ContentReader, Judge
from emogen.eval.judges.registry import load_judge
from emogen.eval.judges.spec import judge_name
from emogen.eval.metrics import temporal_flickering

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


def load_features(config: EvalConfig) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Metric -> network of the Frechet distances asked for.

    Raises:
        EvalConfigError: a package or weights are missing.
    """
    from emogen.eval.metrics import I3DFeatures, TransNetV2Features, VideoMAEFeatures

    makers = {
        "frechet_transnetv2": TransNetV2Features,
        "fvd": lambda: I3DFeatures(config.weights["i3d"]),
        "fvd_videomae": lambda: VideoMAEFeatures(config.weights["videomae"]),
    }
    found = {}
    for metric in config.metrics:
        if metric in makers:
            try:
                found[metric] = makers[metric]()
            except (ImportError, OSError, ValueError) as error:
                raise EvalConfigError(f"metrics: {metric}: {error}") from error
    return found


class Measurement:
    """Rows and features of all systems.

    Attributes:
        rows: one dictionary a clip that could be read, with every number found.
        excluded: one a clip that could not, with the reason.
        features: (metric, system) -> [n, d], in the order of the system's rows.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.excluded: list[dict[str, str]] = []
        self.features: dict[tuple[str, str], np.ndarray] = {}


def measure(
    config: EvalConfig,
    items: Sequence[Item],
    out: Path,
    judges: Mapping[str, Judge],
    networks: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    quiet: bool = False,
) -> Measurement:
    """Read every clip of every system."""
    from tqdm import tqdm

    reader = ContentReader() if "content" in config.metrics else None
    text_score = _clip_score(config)
    found = Measurement()
    for system in config.systems:
        paths = find_clips(config, system, items, out)
        parts: dict[str, list[np.ndarray]] = {metric: [] for metric in networks}
        with tqdm(total=len(items), desc=f"measure {system.name}", unit="clip", disable=quiet) as bar:
            for start in range(0, len(items), _BATCH):
                clips, kept = _read(system, items[start : start + _BATCH], paths, out, found)
                for group, members in _by_shape(clips):
                    asked = [kept[index] for index in members]
                    rows = [_row(system, item, paths[item.key], out) for item in asked]
                    _judge(rows, group, judges)
                    _pixels(rows, group, config)
                    if system.image and "first_frame_psnr" in config.metrics:
                        for row, item, clip in zip(rows, asked, group, strict=True):
                            row["first_frame_psnr"] = first_frame_psnr(clip, first_frame(item.prompt, item.seed))
                    if reader is not None:
                        _content(rows, group, asked, reader)
                    tensor = torch.from_numpy(group).permute(0, 1, 4, 2, 3)
                    if text_score is not None:
                        for row, value in zip(rows, text_score(tensor, [i.prompt.text for i in asked]), strict=True):
                            row["clip_score"] = float(value)
                    for metric, network in networks.items():
                        with torch.no_grad():
                            parts[metric].append(network(tensor).float().cpu().numpy())
                    found.rows += rows
                bar.update(min(_BATCH, len(items) - start))
        for metric, values in parts.items():
            if values:
                found.features[metric, system.name] = np.concatenate(values)
    return found


def _clip_score(config: EvalConfig) -> Callable | None:
    if "clip_score" not in config.metrics:
        return None
    from emogen.eval.metrics import CLIPTextScore

    try:
        metric = CLIPTextScore(config.weights["clip"])
    except (ImportError, OSError, ValueError) as error:
        raise EvalConfigError(f"metrics: clip_score: {error}") from error
    return metric.score


def _read(
    system: SystemConfig, items: Sequence[Item], paths: Mapping[str, Path], out: Path, found: Measurement
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


def _by_shape(clips: Sequence[np.ndarray]) -> list[tuple[np.ndarray, list[int]]]:
    """Stacks of equal shape, and which clips each holds."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, clip in enumerate(clips):
        shapes.setdefault(clip.shape, []).append(index)
    return [(np.stack([clips[index] for index in members]), members) for members in shapes.values()]


def _row(system: SystemConfig, item: Item, path: Path, out: Path) -> dict[str, Any]:
    name = path.relative_to(out if system.clips in (None, "stickers") else system.clips).as_posix()
    return {"system": system.name, "clip": item.key, "file": name, "prompt": item.prompt.text,
            "domain": item.prompt.domain, "character": item.prompt.character, "emotion": item.emotion,
            "seed": item.seed, "judges": {}}  # fmt: skip


def _judge(rows: list[dict[str, Any]], clips: np.ndarray, judges: Mapping[str, Judge]) -> None:
    for name, judge in judges.items():
        verdict = judge(clips)
        eight, two = hits(verdict.distribution, [row["emotion"] for row in rows])
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


def _pixels(rows: list[dict[str, Any]], clips: np.ndarray, config: EvalConfig) -> None:
    if "attributes" in config.metrics:
        for row, clip in zip(rows, clips, strict=True):
            values = clip_attributes(clip).to_dict()
            row["attributes"] = {k: None if v is None else round(float(v), 5) for k, v in values.items()}
    if "temporal_flickering" in config.metrics:
        tensor = torch.from_numpy(clips).permute(0, 1, 4, 2, 3)
        for row, value in zip(rows, temporal_flickering(tensor), strict=True):
            row["temporal_flickering"] = float(value)


def _content(rows: list[dict[str, Any]], clips: np.ndarray, items: Sequence[Item], reader: ContentReader) -> None:
    for row, item, seen in zip(rows, items, reader(clips), strict=True):
        named = item.prompt.named
        if named:
            row["content"] = sum(seen.get(question) == value for question, value in named.items()) / len(named)
