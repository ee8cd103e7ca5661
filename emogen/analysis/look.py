"""Look and emotion: colourfulness, brightness, contrast, motion and length by emotion, and how little they explain.

The paper's attributes (rounded to one decimal, over all pixels) stand beside the raw ones (transparent pixels and bars
left out), because the rounding leaves 11 levels and a white ground counts as brightness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.compare import Comparison, compare_all, draw_means, effect_results
from emogen.analysis.interface import Analysis, Found, NotPossible, Picture, Result, Settings, register
from emogen.analysis.intervals import group_interval, wilson
from emogen.analysis.plots import INK, QUIET, SERIES, draw, pictured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURES = {
    "saturation": "colourfulness, raw",
    "paper_colourfulness": "colourfulness, the paper's",
    "brightness": "brightness, raw",
    "paper_brightness": "brightness, the paper's",
    "contrast": "contrast",
    "motion": "motion, 1 / s",
    "duration": "length, s",
}
_PAPERS = {"saturation": "paper_colourfulness", "brightness": "paper_brightness"}
_BINS = np.linspace(0, 1, 11)


def run(clips: Clips, settings: Settings) -> Found:
    """Means, variance explained, pairs, and the share of positive clips over bins."""
    clips = clips.labelled
    there = [name for name in MEASURES if clips.has(name)]
    if not [name for name in there if name != "duration"]:
        raise NotPossible("No clip has attributes; measure them with `emogen data attributes`.")
    if len(np.unique(clips.label)) < 2:
        raise NotPossible("All clips have one emotion, so that looks cannot be compared between emotions.")
    if len(clips) < 16:
        raise NotPossible(f"Only {len(clips)} clips are labelled, which is too few to compare looks.")
    found = compare_all(MEASURES, there, clips, settings)
    if not found.effects:
        raise NotPossible("No attribute differs between the clips.")
    ratios, trends = _ratios(clips, settings)
    agree = [_rounding(clips, raw, paper, settings) for raw, paper in _PAPERS.items()]
    results = effect_results(found.effects)
    results += [*trends, *(result for result in agree if result)]
    results += found.mean_results()
    pictures = {"look_means": _draw_means(found.means)}
    if ratios:
        base = float((clips.label < 4).mean())
        said = (
            "Share of positive clips by colourfulness and brightness; a larger dot is more clips, the dashed line all."
        )
        pictures["positive_ratio"] = pictured(lambda columns: _draw_ratios(ratios, base, columns), said)
    tables = {**found.tables("look"), "positive_ratio": ratios}
    return Found(_say(found, trends), results, pictures, tables, found.warnings())


def _correlation(s: np.ndarray) -> np.ndarray:
    """Pearson's r of sums of 1, x, y, xx, yy, xy."""
    n, x, y, xx, yy, xy = np.moveaxis(s, -1, 0)
    return (xy / n - x * y / n**2) / np.sqrt((xx / n - (x / n) ** 2) * (yy / n - (y / n) ** 2))


def correlation(x: np.ndarray, y: np.ndarray, group: np.ndarray, settings: Settings) -> tuple[float, float, float]:
    """Pearson's r with its bounds over groups."""
    x, y = x - x.mean(), y - y.mean()
    each = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1)
    value, low, high = group_interval(each, group, _correlation, settings)
    return float(value), float(low), float(high)


def _ratios(clips: Clips, settings: Settings) -> tuple[list[dict], list[Result]]:
    """The share of positive clips in each tenth of colourfulness and brightness, and whether it rises."""
    rows, trends = [], []
    positive = (clips.label < 4).astype(float)
    for name in ("saturation", "paper_colourfulness", "brightness", "paper_brightness"):
        values = clips.numbers(name)
        known = np.isfinite(values)
        if known.sum() < 16 or not 0 < positive[known].mean() < 1 or values[known].std() < 1e-12:
            continue
        x, y, group = values[known], positive[known], clips.group[known]
        r, low, high = correlation(x, y, group, settings)
        trends.append(Result(f"positive share with {MEASURES[name]}: r", r, low, high, len(x), "point-biserial"))
        # a paper's value is one decimal, so its levels are the bins' middles
        edges = np.linspace(-0.05, 1.05, 12) if name.startswith("paper") else _BINS
        place = np.clip(np.digitize(x, edges) - 1, 0, len(edges) - 2)
        hot = np.eye(len(edges) - 1)[place]
        each = np.stack([hot * y[:, None], hot], -1)
        share, low, high = group_interval(each, group, lambda s: s[..., 0] / s[..., 1], settings)
        naive = wilson(each[..., 0].sum(0), hot.sum(0))
        rows += [
            {"measure": MEASURES[name], "from": round(edges[k], 2), "to": round(edges[k + 1], 2),
             "clips": int(hot[:, k].sum()), "positive": share[k], "low": low[k], "high": high[k],
             "wilson_low": naive[0][k], "wilson_high": naive[1][k]}
            for k in range(len(edges) - 1) if hot[:, k].sum()
        ]  # fmt: skip
    return rows, trends


def _rounding(clips: Clips, raw: str, paper: str, settings: Settings) -> Result | None:
    x, y = clips.numbers(raw), clips.numbers(paper)
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 16 or x[known].std() < 1e-12 or y[known].std() < 1e-12:
        return None
    r, low, high = correlation(x[known], y[known], clips.group[known], settings)
    apart = np.abs(x[known] - y[known])
    note = f"they differ by {apart.mean():.3f} on average, by more than 0.1 in {(apart > 0.1).mean():.0%} of the clips"
    return Result(f"{MEASURES[raw]} against the paper's: r", r, low, high, int(known.sum()), note)


def _say(found: Comparison, trends: list[Result]) -> str:
    said = found.sentence()
    for trend in trends:
        if "raw" in trend.name and trend.low is not None and np.isfinite(trend.low):
            word = trend.name.removeprefix("positive share with ").split(",")[0]
            way = "rises with" if trend.low > 0 else "falls with" if trend.high < 0 else "shows no trend over"
            said += f" The share of positive clips {way} {word} (r = {trend.value:.2f})."
    return said


def _draw_means(means: list[dict]) -> Picture:
    shown = [name for name in ("saturation", "brightness", "contrast", "motion", "duration")
             if any(row["measure"] == MEASURES[name] for row in means)]  # fmt: skip
    panels = {}
    for name in shown:
        grey = MEASURES.get(_PAPERS.get(name, ""), "")
        greys = any(row["measure"] == grey for row in means)
        title = MEASURES[name].split(", raw")[0] + (" (grey: the paper's)" if greys else "")
        panels[title] = (MEASURES[name], grey)
    return draw_means(means, panels)


def _draw_ratios(rows: list[dict], base: float, columns: int) -> Figure:
    lines = 2 // columns
    figure, axes = draw(3.3 * columns + 0.3 * (lines - 1), 2.8 * lines, lines, columns, sharey=True)
    for place, (raw, paper) in zip(axes.flat, _PAPERS.items(), strict=True):
        for name, colour, said in ((raw, SERIES[0], "raw"), (paper, SERIES[1], "the paper's")):
            mine = [row for row in rows if row["measure"] == MEASURES[name]]
            if not mine:
                continue
            x = np.array([(row["from"] + row["to"]) / 2 for row in mine])
            place.fill_between(x, [r["low"] for r in mine], [r["high"] for r in mine], color=colour, alpha=0.14, lw=0)
            place.plot(x, [row["positive"] for row in mine], color=colour, lw=1.4, zorder=3, label=said)
            size = 8 + 60 * np.sqrt([row["clips"] / max(r["clips"] for r in mine) for row in mine])
            place.scatter(x, [row["positive"] for row in mine], s=size, color=colour, zorder=4, linewidths=0)
        place.axhline(base, color=QUIET, lw=0.9, ls="--")
        place.set(xlim=(0, 1), ylim=(0, 1))
        place.set_xlabel(MEASURES[raw].split(",")[0])
        place.yaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axes[0, 0].set_ylabel("positive clips", color=INK)
    axes[0, 0].legend(loc="lower right", frameon=False)
    return figure


ANALYSIS = register(Analysis("look", "Look and emotion", ("emotion",), run))
