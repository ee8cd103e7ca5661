"""Labels to look at again: those that a sure judge contradicts, and those that the clips' neighbours contradict.

Neither proves a label wrong. `emogen data label SET --clips tables/suspects.csv` shows the clips to people again.
"""

from __future__ import annotations

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Result, Settings, register
from emogen.analysis.intervals import group_interval
from emogen.analysis.space import features_of, neighbours, scaled
from emogen.emotion import MIKELS

_LIST = 200  # clips in the table, of each kind
_SURE = 0.7  # a judge's confidence from which it contradicts
_MOST = 0.6  # share of the neighbours that have one other label


def run(clips: Clips, settings: Settings) -> Found:
    """Both lists in one table, the strongest first."""
    clips = clips.labelled
    if not len(clips):
        raise NotPossible("No clip that counts has one of the eight emotions.")
    found = {"judge": _by_judge(clips), "neighbours": _by_neighbours(clips, settings)}
    found = {name: part for name, part in found.items() if part is not None}
    if not found:
        raise NotPossible(
            "No judge has read the clips (`emogen data judge`), and they have no features or looks whose neighbours "
            "could speak; nothing can be held against the labels."
        )
    rows, results = [], []
    for name, (said, strength, asked) in found.items():
        against = asked & (said != clips.label) & (strength >= {"judge": _SURE, "neighbours": _MOST}[name])
        each = np.stack([against[asked], np.ones(asked.sum())], -1).astype(float)
        value, low, high = group_interval(each, clips.group[asked], lambda s: s[..., 0] / s[..., 1], settings)
        about = "surely" if name == "judge" else "mostly"
        results.append(Result(f"labels that the {name} {about} contradict{'s' * (name == 'judge')}", float(value),
                              float(low), float(high), int(asked.sum()), "not all of these are wrong"))  # fmt: skip
        places = np.flatnonzero(against)
        places = places[np.argsort(-strength[places], kind="stable")][:_LIST]
        rows += [
            {"clip_id": clips.text("clip_id")[place], "label": MIKELS[clips.label[place]], "says": MIKELS[said[place]],
             "by": name, "strength": round(float(strength[place]), 4)}
            for place in places
        ]  # fmt: skip
    both = _named_twice(rows)
    rows = sorted(rows, key=lambda row: (row["clip_id"] not in both, -row["strength"]))
    sentence = f"{len({row['clip_id'] for row in rows}):,} labels are worth a second look"
    if both:
        sentence += f"; {len(both)} of them are contradicted by the judge and by the neighbours"
    return Found(f"{sentence}.", results, tables={"suspects": rows})


def _named_twice(rows: list[dict]) -> set[str]:
    names = [row["clip_id"] for row in rows]
    return {name for name in names if names.count(name) > 1}


def _by_judge(clips: Clips) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """What the judge says, how sure it is, and for which clips."""
    said = np.array([MIKELS.index(name) if name in MIKELS else -1 for name in clips.text("model_emotion")], int)
    # a label that the model gave itself says nothing against the model
    asked = (said >= 0) & (clips.by_people | (clips.text("label_kind") == None))  # noqa: E711
    if not asked.any():
        return None
    return said, np.nan_to_num(clips.numbers("confidence"), nan=1.0), asked


def _by_neighbours(clips: Clips, settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The label that most neighbours from other films have, their share, and for which clips."""
    try:
        features, _ = features_of(clips, settings.features)
    except NotPossible:
        return None
    known = np.flatnonzero(np.isfinite(features).all(1))
    if len(known) < 30:
        return None
    near = neighbours(scaled(features[known]).astype(np.float32), clips.group[known])
    there = near >= 0
    said, strength, asked = (np.full(len(clips), fill, kind) for fill, kind in ((-1, int), (0.0, float), (0, bool)))
    votes = np.stack([((clips.label[known][near] == k) & there).sum(1) for k in range(len(MIKELS))], 1)
    said[known], asked[known] = votes.argmax(1), there.sum(1) >= 5
    strength[known] = votes.max(1) / np.maximum(there.sum(1), 1)
    return said, strength, asked


ANALYSIS = register(Analysis("suspects", "Labels to look at again", ("emotion",), run))
