"""Hue by emotion, on the circle: 350 and 10 degrees are neighbours, and their mean is 0 and not 180.

Every clip is one vote of length 1 at its hue. The paper's hue stands beside the chroma-weighted one, because in HSV
grey pixels have hue 0 and so vote for red.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Result, Settings, register
from emogen.analysis.intervals import bounds, group_interval, resample, sum_by_group
from emogen.analysis.plots import COLOURS, QUIET, pictured
from emogen.analysis.variance import equal_means, robust_means
from emogen.emotion import MIKELS
from emogen.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS = {"hue": "raw", "paper_hue": "the paper's"}
_FAR = 30  # degrees


def direction(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean direction in degrees [0, 360) and resultant length [0, 1] of sums `[..., 3]` of 1, cos and sin."""
    n, x, y = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.degrees(np.arctan2(y, x)) % 360, np.hypot(x, y) / n


def rayleigh(length: float, n: int) -> float:
    """Probability of so long a resultant if all directions were alike (Zar 1999, formula 27.4)."""
    r = length * n
    return float(np.exp(np.sqrt(1 + 4 * n + 4 * (n**2 - r**2)) - (1 + 2 * n)))


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Degrees from `other` to `one` the short way round, in [-180, 180)."""
    return (one - other + 180) % 360 - 180


def run(clips: Clips, settings: Settings) -> Found:
    """Mean hues with intervals, whether they differ, and how far the paper's hue is from the raw one."""
    clips = clips.labelled
    rows, results = [], []
    for column, kind in _KINDS.items():
        hue = np.radians(clips.numbers(column))
        known = np.isfinite(hue)
        if known.sum() < 16:
            continue
        part, votes = clips.where(known), np.stack([np.ones(known.sum()), np.cos(hue[known]), np.sin(hue[known])], -1)
        rows += _means(votes, part, kind, settings)
        results += _test(votes, part, kind)
    if not rows:
        raise NotPossible("Fewer than 16 clips have a hue; measure them with `emogen data attributes`.")
    results += _agreement(clips, settings)
    for row in rows:
        note = f"degrees; resultant length {row['length']:.2f}"
        if row["p_rayleigh"] > 0.05:
            note += "; no direction (Rayleigh p > .05)"
        name = f"hue, {row['kind']}: mean, {row['emotion']}"
        results.append(Result(name, row["hue"], row["low"], row["high"], row["clips"], note))
    main = [row for row in rows if row["kind"] == rows[0]["kind"] and row["p_rayleigh"] <= 0.05]
    has = "emotion has" if len(main) == 1 else "emotions have"
    said = f"{len(main) or 'No'} {has} a main hue at all (Rayleigh)"
    if main:
        strong = max(main, key=lambda row: row["length"])
        said += f", {strong['emotion']} the most ({strong['hue']:.0f} degrees, length {strong['length']:.2f})"
    warnings = []
    if any(result.name.startswith("hue: paper's more") and (result.value or 0) > 0.1 for result in results):
        warnings.append("The paper's hue is often far from that of the coloured pixels: grey and white count as red.")
    caption = "Mean hue by emotion: further out is more of one mind; arcs are 95 % intervals."
    drawn = pictured(lambda columns: _draw(rows, columns), caption, len({row["kind"] for row in rows}))
    return Found(f"{said}.", results, {"hue": drawn}, {"hue": rows}, warnings)


def _means(votes: np.ndarray, clips: Clips, kind: str, settings: Settings) -> list[dict]:
    each = np.eye(8)[clips.label][:, :, None] * votes[:, None, :]
    sums = sum_by_group(each, clips.group)
    mean, length = direction(sums.sum(0))
    drawn, lengths = direction(resample(sums, settings))
    low, high = bounds(apart(drawn, mean), len(sums))
    shorter, longer = bounds(lengths, len(sums))
    return [
        {"kind": kind, "emotion": MIKELS[k], "clips": int(n), "hue": mean[k], "low": mean[k] + low[k],
         "high": mean[k] + high[k], "length": length[k], "length_low": shorter[k], "length_high": longer[k],
         "p_rayleigh": rayleigh(length[k], int(n))}
        for k, n in enumerate(each[:, :, 0].sum(0)) if n
    ]  # fmt: skip


def _test(votes: np.ndarray, clips: Clips, kind: str) -> list[Result]:
    test = equal_means(robust_means(votes[:, 1:], clips.label, clips.group))
    if test is None:
        return []
    note = f"Wald test of the mean cosines and sines over films or characters: p = {test.p:.2g}"
    return [Result(f"hue, {kind}: do emotions differ, F", test.statistic, n=len(votes), note=note)]


def _agreement(clips: Clips, settings: Settings) -> list[Result]:
    raw, paper = clips.numbers("hue"), clips.numbers("paper_hue")
    known = np.isfinite(raw) & np.isfinite(paper)
    if known.sum() < 16:
        return []
    far = np.abs(apart(raw[known], paper[known])) > _FAR
    each = np.stack([far, np.ones(len(far))], -1).astype(float)
    value, low, high = group_interval(each, clips.group[known], lambda s: s[..., 0] / s[..., 1], settings)
    return [Result(f"hue: paper's more than {_FAR} degrees off", float(value), float(low), float(high), len(far))]


def _draw(rows: list[dict], columns: int) -> Figure:
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    lines = -(-len(kinds) // columns)
    figure = new_figure((3.5 * columns, 3.4 * lines + 0.3))
    for place, kind in enumerate(kinds, 1):
        axes = figure.add_subplot(lines, columns, place, projection="polar")
        angle = np.linspace(0, 2 * np.pi, 181)
        from matplotlib.colors import hsv_to_rgb

        ring = hsv_to_rgb(np.stack([angle[:-1] / (2 * np.pi), np.full(180, 0.7), np.full(180, 0.9)], -1))
        axes.bar(angle[:-1], 0.07, 2 * np.pi / 175, bottom=1.0, color=ring, linewidth=0, align="edge")
        for row in (row for row in rows if row["kind"] == kind):
            colour = COLOURS[row["emotion"]]
            sure = row["p_rayleigh"] <= 0.05
            radius = row["length"]
            axes.plot([0, np.radians(row["hue"])], [0, radius], color=colour, lw=1.8 if sure else 0.8, alpha=0.9)
            axes.scatter([np.radians(row["hue"])], [radius], s=26, color=colour, zorder=3, label=row["emotion"],
                         alpha=1 if sure else 0.4)  # fmt: skip
            if np.isfinite(row["low"]) and row["high"] - row["low"] < 300:
                arc = np.radians(np.linspace(row["low"], row["high"], 40))
                axes.plot(arc, np.full(40, radius), color=colour, lw=1.2, alpha=0.6)
        axes.set_ylim(0, 1.07)
        axes.set_yticks([0.5, 1.0], ["", ""])
        axes.set_xticks(np.radians([0, 90, 180, 270]), ["0", "90", "180", "270"], fontsize=8)
        axes.grid(color="#e0e2e4", lw=0.7)
        axes.spines["polar"].set_color(QUIET)
        axes.set_title(f"hue, {kind}", fontsize=9.5)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * columns, frameon=False, fontsize=8.5)
    return figure


ANALYSIS = register(Analysis("hue", "Hue", ("emotion",), run))
