"""What the judges say of every clip of a study. One row an ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emogen.eval.clips import read_clip, stacked_by_shape
from emogen.eval.controls.arcs import window_starts
from emogen.eval.controls.asks import Ask
from emogen.eval.controls.config import ControlsConfig
from emogen.eval.judges.embedded import Judge, Verdict
from emogen.media.reader import read_metadata

_BATCH = 16


def read_study(
    config: ControlsConfig, study: str, asks: Sequence[Ask], out: Path, judges: Mapping[str, Judge], quiet: bool = False
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Rows of the clips that could be read, and for the others the file and the reason. A clip that several asks share
    is judged once."""
    from tqdm import tqdm

    files = list(dict.fromkeys(ask.file() for ask in asks))
    read: dict[str, dict[str, Any]] = {}
    lost: list[dict[str, str]] = []
    with tqdm(total=len(files), desc=f"judge {study}", unit="clip", disable=quiet) as bar:
        for start in range(0, len(files), _BATCH):
            clips: dict[str, np.ndarray] = {}
            for file in files[start : start + _BATCH]:
                try:
                    least = max(2, config.arcs.window + 1) if study == "arcs" else 1
                    clips[file] = read_clip(out / "clips" / file, least)
                except ValueError as error:
                    lost.append({"clip": file, "reason": str(error)})
            if study == "arcs":
                for file, clip in clips.items():
                    read[file] = _windows(config, clip, out / "clips" / file, judges)
            else:
                read |= _whole(clips, judges)
            bar.update(min(_BATCH, len(files) - start))
    rows = [{"number": ask.number, "prompt": ask.prompt, "seed": ask.seed, "file": ask.file(),
             "asked": ask.emotion, **ask.about, **read[ask.file()]}
            for ask in asks if ask.file() in read]  # fmt: skip
    return rows, lost


def _whole(clips: Mapping[str, np.ndarray], judges: Mapping[str, Judge]) -> dict[str, dict[str, Any]]:
    files, found = list(clips), {file: {"judges": {}} for file in clips}
    for group, members in stacked_by_shape(list(clips.values())):
        for name, judge in judges.items():
            verdict = judge(group)
            for index, member in enumerate(members):
                found[files[member]]["judges"][name] = _reading(verdict, index)
    return found


def _reading(verdict: Verdict, index: int) -> dict[str, Any]:
    return {"distribution": _plain(verdict.distribution[index]),
            "valence": _plain(verdict.valence_arousal[index, 0]), "arousal": _plain(verdict.valence_arousal[index, 1]),
            "confidence": _plain(verdict.confidence[index])}  # fmt: skip


def _windows(config: ControlsConfig, clip: np.ndarray, path: Path, judges: Mapping[str, Judge]) -> dict[str, Any]:
    window = config.arcs.window
    starts = window_starts(len(clip), window, config.arcs.stride)
    stack = np.stack([clip[start : start + window] for start in starts])
    factor = int((read_metadata(path) or {}).get("temporal_factor", 4))
    parts = range(0, len(stack), _BATCH)
    return {"frames": len(clip), "temporal_factor": factor, "judges": {
        name: {"windows": [_plain(one) for part in parts for one in judge(stack[part : part + _BATCH]).distribution]}
        for name, judge in judges.items()}}  # fmt: skip


def _plain(values: Any) -> Any:
    return np.round(np.asarray(values, float), 7).tolist()
