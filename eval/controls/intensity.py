"""Is the judged share of an emotion monotone in the intensity asked, and what do other scales do?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emogen.emotion import MIKELS, valence_of
from emogen.eval.controls.asks import Ask, make_asks
from emogen.eval.controls.config import ControlsConfig
from emogen.eval.controls.estimates import mean_of, of_prompts, spearman

Row = Mapping[str, Any]


def levels_of(config: ControlsConfig) -> list[float]:
    return [round(float(level), 4) for level in np.linspace(0, 1, config.intensity.levels)]


def asks(config: ControlsConfig, prompts: Sequence[str]) -> list[Ask]:
    """Every emotion at every level with scale 1, and at full intensity with the other scales."""
    wanted = []
    for emotion in config.intensity.emotions:
        for level in levels_of(config):
            about = {"emotion": emotion, "level": level, "scale": 1.0}
            wanted.append((f"{emotion}:{level:g}", 1.0, about))
        # scales 0 and 1 are levels 0 and 1
        for scale in sorted({float(scale) for scale in config.intensity.scales} - {0.0, 1.0}):
            wanted.append((emotion, scale, {"emotion": emotion, "level": 1.0, "scale": scale}))
    return make_asks(config, prompts, wanted)


def summarise(config: ControlsConfig, rows: Sequence[Row], judge: str) -> dict[str, Any]:
    """Of every emotion its curve, Spearman's rho and the table of scales.

    `share` is the target's share among the eight, `probability` that times the judge's confidence that there is any
    emotion at all. `rho` is of the level means, `rho_probability` the same of the probability, and `rho_clips` the mean
    of each prompt's own rho; `gain` is the share at full intensity minus that at 0. Prompts that lack a level are left
    out.
    """
    levels, found = levels_of(config), {}
    for emotion in config.intensity.emotions:
        mine = [row for row in rows if row["emotion"] == emotion]
        curves = {name: _curves(mine, emotion, levels, judge, name) for name in ("share", "probability")}
        share = curves["share"]
        found[emotion] = {
            "rho": of_prompts(share, lambda mean: spearman(levels, mean)),
            "rho_probability": of_prompts(curves["probability"], lambda mean: spearman(levels, mean)),
            "rho_clips": of_prompts(spearman(levels, share) if len(share) else share, lambda mean: mean),
            "gain": of_prompts(share, lambda mean: mean[..., -1] - mean[..., 0]),
            **{name: [of_prompts(curve[:, i], lambda mean: mean) for i in range(len(levels))]
               for name, curve in curves.items()},
            "scales": _scales(mine, emotion, judge),
        }  # fmt: skip
    return {"levels": levels, "emotions": found, "all": _all(found, rows, judge)}


def reading(row: Row, emotion: str, judge: str) -> dict[str, float]:
    """What the judge says of a clip about one emotion."""
    one = row["judges"][judge]
    share = one["distribution"][MIKELS.index(emotion)]
    return {
        "share": share,
        "probability": share * one["confidence"],
        "confidence": one["confidence"],
        "valence": one["valence"],
        "arousal": one["arousal"],
        "toward": one["valence"] * valence_of(emotion),
    }


def _curves(rows: Sequence[Row], emotion: str, levels: Sequence[float], judge: str, name: str) -> np.ndarray:
    """`[prompts, levels]`, means over seeds, of the prompts that have all levels."""
    cells: dict[int, dict[float, list[float]]] = {}
    for row in rows:
        if row["scale"] == 1:
            cell = cells.setdefault(row["number"], {}).setdefault(row["level"], [])
            cell.append(reading(row, emotion, judge)[name])
    whole = [[np.mean(cell[level]) for level in levels] for cell in cells.values() if set(cell) == set(levels)]
    return np.array(whole).reshape(len(whole), len(levels))


def _scales(rows: Sequence[Row], emotion: str, judge: str) -> list[dict[str, Any]]:
    """At intensity 1, by scale; scale 0 is intensity 0, exactly."""
    by_scale: dict[float, list[Row]] = {}
    for row in rows:
        if row["level"] == 1:
            by_scale.setdefault(row["scale"], []).append(row)
        elif row["level"] == 0:
            by_scale.setdefault(0.0, []).append(row)
    return [_at(scale, [(row, emotion) for row in by_scale[scale]], judge) for scale in sorted(by_scale)]


def _at(scale: float, rows: Sequence[tuple[Row, str]], judge: str) -> dict[str, Any]:
    numbers = [row["number"] for row, _ in rows]
    read = [reading(row, emotion, judge) for row, emotion in rows]
    most = Counter(MIKELS[int(np.argmax(row["judges"][judge]["distribution"]))] for row, _ in rows).most_common(1)[0]
    names = ("share", "probability", "confidence", "valence", "arousal", "toward")
    return {"scale": scale, **{name: mean_of([one[name] for one in read], numbers) for name in names},
            "most_read": most[0], "most_read_share": most[1] / len(rows), "clips": len(rows)}  # fmt: skip


def _all(found: Mapping[str, Any], rows: Sequence[Row], judge: str) -> dict[str, Any]:
    values = [one["rho"]["value"] for one in found.values() if one["rho"]["value"] is not None]
    by_scale: dict[float, list[tuple[Row, str]]] = {}
    for row in rows:
        if row["level"] in (0, 1):
            by_scale.setdefault(row["scale"] * row["level"], []).append((row, row["emotion"]))
    return {
        "least_rho": min(values, default=None),
        "at_least_0.9": sum(value >= 0.9 - 1e-9 for value in values),
        "emotions": len(found),
        "scales": [_at(scale, by_scale[scale], judge) for scale in sorted(by_scale)],
    }
