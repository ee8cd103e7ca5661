"""Does a point asked of the valence-arousal plane come out where it was asked?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from emogen.eval.controls.asks import Ask, make_asks
from emogen.eval.controls.config import ControlsConfig
from emogen.eval.controls.estimates import correlation_of, moments, of_prompts, pearson, slope_of

AXES = ("valence", "arousal")


def points_of(config: ControlsConfig) -> list[tuple[float, float]]:
    """The grid over the square; `EmotionState.from_va` takes the corners too, at an intensity of 1."""
    axis = [round(float(x), 4) + 0.0 for x in np.linspace(-1, 1, config.plane.grid)]
    return [(x, y) for y in axis for x in axis]


def asks(config: ControlsConfig, prompts: Sequence[str]) -> list[Ask]:
    wanted = [(f"va:{x:g},{y:g}", 1.0, {"valence": x, "arousal": y}) for x, y in points_of(config)]
    return make_asks(config, prompts, wanted)


def summarise(config: ControlsConfig, rows: Sequence[Mapping[str, Any]], judge: str) -> dict[str, Any]:
    """Of each axis Pearson's r over all clips, r of the points' means over prompts, and the slope of judged on asked;
    and of every point its mean reading."""
    found: dict[str, Any] = {}
    numbers = sorted({row["number"] for row in rows})
    for axis in AXES:
        asked, sums = [point[AXES.index(axis)] for point in points_of(config)], []
        for number in numbers:
            mine = [row for row in rows if row["number"] == number]
            sums.append(moments([row[axis] for row in mine], [row["judges"][judge][axis] for row in mine]))
        found[axis] = {
            "r": of_prompts(np.array(sums), correlation_of),
            "slope": of_prompts(np.array(sums), slope_of),
            "r_of_means": of_prompts(_by_point(config, rows, judge, axis, numbers), partial(pearson, asked)),
        }
    points = []
    for x, y in points_of(config):
        here = [row["judges"][judge] for row in rows if (row["valence"], row["arousal"]) == (x, y)]
        if here:
            read = {axis: float(np.mean([one[axis] for one in here])) for axis in AXES}
            points.append({"asked": [x, y], "judged": [read["valence"], read["arousal"]], "n": len(here)})
    return {**found, "points": points, "clips": len(rows)}


def _by_point(
    config: ControlsConfig, rows: Sequence[Mapping[str, Any]], judge: str, axis: str, numbers: Sequence[int]
) -> np.ndarray:
    """`[prompts, points]`, of the prompts that have all points."""
    points, whole = points_of(config), []
    for number in numbers:
        cells: dict[tuple[float, float], list[float]] = {}
        for row in rows:
            if row["number"] == number:
                cells.setdefault((row["valence"], row["arousal"]), []).append(row["judges"][judge][axis])
        if set(cells) == set(points):
            whole.append([np.mean(cells[point]) for point in points])
    return np.array(whole).reshape(len(whole), len(points))
