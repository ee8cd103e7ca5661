"""Does the judged emotion follow an arc, and does it switch when it was asked to?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emogen.emotion import MIKELS, EmotionArc
from emogen.eval.controls.asks import Ask, make_asks
from emogen.eval.controls.config import ControlsConfig
from emogen.eval.controls.estimates import correlation_of, mean_of, moments, of_prompts

Row = Mapping[str, Any]


def text_of(shape: str, a: str, b: str, switch: float) -> str:
    """The arc as the pipeline reads it."""
    return f"0:{a}@hold {switch:g}:{b}" if shape == "step" else f"0:{a} 1:{b}"


def asks(config: ControlsConfig, prompts: Sequence[str]) -> list[Ask]:
    arcs = config.arcs
    wanted = [(text_of(shape, a, b, arcs.switch), 1.0, {"pair": [a, b], "shape": shape})
              for shape in arcs.shapes for a, b in arcs.pairs]  # fmt: skip
    return make_asks(config, prompts, wanted)


def window_starts(frames: int, window: int, stride: int) -> list[int]:
    """First frames of the windows that fit into a clip."""
    return list(range(0, frames - window + 1, stride))


def difference(distributions: Sequence[Sequence[float]], pair: Sequence[str]) -> np.ndarray:
    """Share of the second of the pair minus that of the first, `[..., 8]` -> `[...]` in [-1, 1]."""
    shares = np.asarray(distributions, float)
    return shares[..., MIKELS.index(pair[1])] - shares[..., MIKELS.index(pair[0])]


def asked_curve(arc: str, pair: Sequence[str], frames: int, window: int, stride: int) -> np.ndarray:
    """`difference` of the arc at each video frame, averaged over the judge's windows: what a perfect clip would read.

    The arc counts at the time of each video frame, so that the coarser grid of latent frames, all that the model can
    follow, is counted among its errors.
    """
    states = EmotionArc.parse(arc).sampled(frames, temporal_factor=1)
    curve = difference([state.distribution for state in states], pair)
    return np.array([curve[start : start + window].mean() for start in window_starts(frames, window, stride)])


def switch_of(centres: Sequence[float], curve: Sequence[float]) -> float | None:
    """The moment at which a curve goes from below zero to zero or more, by straight lines between its points.

    Of several such moments the one that best parts the curve: the greatest mean after minus mean before. What was asked
    has no say in it. None if the curve never does.
    """
    curve, best = np.asarray(curve, float), None
    for i in range(len(curve) - 1):
        if curve[i] < 0 <= curve[i + 1]:
            moment = centres[i] + (centres[i + 1] - centres[i]) * curve[i] / (curve[i] - curve[i + 1])
            contrast = curve[i + 1 :].mean() - curve[: i + 1].mean()
            if best is None or contrast > best[0]:
                best = contrast, float(moment)
    return None if best is None else best[1]


def summarise(config: ControlsConfig, rows: Sequence[Row], judge: str) -> dict[str, Any]:
    """Of each shape: `r` of judged and asked curve over all windows, the switches, and mean curves.

    A row holds `frames`, `temporal_factor` and, for every judge, `windows` `[W, 8]`. Distances are in latent frames.
    `within` is the share of all clips whose switch is at most one latent frame from the asked one, `within_half` half a
    one; a clip without a switch is a miss. `shuffled` is `within` of the same clips held against the other pairs' asks.
    """
    by_shape = {shape: [row for row in rows if row["shape"] == shape] for shape in config.arcs.shapes}
    return {shape: _shape(config, mine, judge) for shape, mine in by_shape.items()}


def _shape(config: ControlsConfig, rows: Sequence[Row], judge: str) -> dict[str, Any]:
    read = [_read(config, row, row["pair"], judge) for row in rows]
    numbers = [row["number"] for row in rows]
    sums = [sum(moments(one["asked"], one["judged"]) for one, n in zip(read, numbers, strict=True) if n == number)
            for number in sorted(set(numbers))]  # fmt: skip
    distances = [one["distance"] for one in read if one["distance"] is not None]
    others = [_read(config, row, pair, judge)["distance"] for row in rows for pair in _others(config, row)]
    # with windows of one grid, curves can be averaged
    grids = [tuple(one["times"]) for one in read]
    usual = max(set(grids), key=grids.count) if grids else ()
    mine = [(row, one) for row, one, grid in zip(rows, read, grids, strict=True) if grid == usual]
    return {
        "clips": len(rows),
        "r": of_prompts(np.array(sums), correlation_of),
        "switches": mean_of([one["distance"] is not None for one in read], numbers),
        "within": mean_of([_within(one["distance"], 1) for one in read], numbers),
        "within_half": mean_of([_within(one["distance"], 0.5) for one in read], numbers),
        "shuffled": float(np.mean([_within(one, 1) for one in others])) if others else None,
        "median_distance": float(np.median(np.abs(distances))) if distances else None,
        "median_offset": float(np.median(distances)) if distances else None,
        "mean_curve": _mean_curve(mine),
        "pairs": [{"pair": list(pair), **_pair([(row, one) for row, one in mine if row["pair"] == list(pair)])}
                  for pair in config.arcs.pairs],
    }  # fmt: skip


def _read(config: ControlsConfig, row: Row, pair: Sequence[str], judge: str) -> dict[str, Any]:
    """Curves of one clip against an ask of the same shape; the distance is judged minus asked switch."""
    arcs, frames = config.arcs, row["frames"]
    centres = [start + (arcs.window - 1) / 2 for start in window_starts(frames, arcs.window, arcs.stride)]
    asked = asked_curve(text_of(row["shape"], *pair, arcs.switch), pair, frames, arcs.window, arcs.stride)
    judged = difference(row["judges"][judge]["windows"], pair)
    ends = switch_of(centres, judged), switch_of(centres, asked)
    distance = None if None in ends else (ends[0] - ends[1]) / row["temporal_factor"]
    return {"times": [centre / max(1, frames - 1) for centre in centres], "asked": asked, "judged": judged,
            "distance": distance}  # fmt: skip


def _others(config: ControlsConfig, row: Row) -> list[Sequence[str]]:
    return [pair for pair in config.arcs.pairs if list(pair) != row["pair"]]


def _within(distance: float | None, limit: float) -> bool:
    return distance is not None and abs(distance) <= limit + 1e-9


def _pair(mine: Sequence[tuple[Row, dict[str, Any]]]) -> dict[str, Any]:
    distances = [one["distance"] for _, one in mine if one["distance"] is not None]
    sums = sum((moments(one["asked"], one["judged"]) for _, one in mine), np.zeros(6))
    return {"n": len(mine), "r": float(correlation_of(sums)) if mine else None, "switches": len(distances),
            "within": float(np.mean([_within(one["distance"], 1) for _, one in mine])) if mine else None,
            "median_distance": float(np.median(np.abs(distances))) if distances else None,
            "mean_curve": _mean_curve(mine)}  # fmt: skip


def _mean_curve(mine: Sequence[tuple[Row, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A point a window: time in 0-1, asked, judged with its interval over prompts."""
    if not mine:
        return []
    numbers = [row["number"] for row, _ in mine]
    return [{"time": time, "asked": float(np.mean([one["asked"][i] for _, one in mine])),
             "judged": mean_of([float(one["judged"][i]) for _, one in mine], numbers)}
            for i, time in enumerate(mine[0][1]["times"])]  # fmt: skip
