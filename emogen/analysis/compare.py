"""Measures by emotion: how far they differ, how much that explains, which pairs differ. For looks and for sounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Picture, Result, Settings
from emogen.analysis.intervals import group_interval
from emogen.analysis.plots import QUIET, dots, draw, pictured
from emogen.analysis.variance import (
    equal_means,
    eta_bounds,
    eta_squared,
    hedges,
    holm,
    moments,
    omega_squared,
    one_way,
    pair_tests,
    robust_means,
    welch,
)
from emogen.emotion import MIKELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST = 16
"""Clips that a comparison takes."""


@dataclass(frozen=True)
class Comparison:
    """What came of several measures: a row a measure, a row a mean, a row a pair, and the measures left out."""

    effects: list[dict]
    means: list[dict]
    pairs: list[dict]
    skipped: list[str]

    def mean_results(self) -> list[Result]:
        """The means, for `analysis.json`."""
        return [
            Result(f"{r['measure']}: mean, {r['emotion']}", r["mean"], r["low"], r["high"], r["clips"])
            for r in self.means
        ]

    def tables(self, name: str) -> dict[str, list[dict]]:
        """The rows as tables whose names begin with `name`."""
        return {f"{name}_effects": self.effects, f"{name}_means": self.means, f"{name}_pairs": self.pairs}

    def warnings(self) -> list[str]:
        """Which measures are left out."""
        return [f"Left out: {', '.join(self.skipped)}."] if self.skipped else []

    def sentence(self) -> str:
        """Which measure says most."""
        best = max(self.effects, key=lambda effect: effect["omega_squared"])
        return (
            f"Of these measures {best['measure'].split(',')[0]} tells the emotions apart best, and explains "
            f"{max(best['omega_squared'], 0):.1%} of its variance (omega squared)."
        )


def compare_all(titles: Mapping[str, str], names: Sequence[str], clips: Clips, settings: Settings) -> Comparison:
    """Compare the columns `names` of labelled clips between emotions.

    Args:
        titles: column -> what it is called.
    """
    effects, means, pairs, skipped = [], [], [], []
    for name in names:
        values = clips.numbers(name)
        part = clips.where(np.isfinite(values))
        values = values[np.isfinite(values)]
        if len(part) < LEAST or values.std() < 1e-12 or len(np.unique(part.label)) < 2:
            skipped.append(f"{titles[name]} (the same in all clips, or in too few)")
            continue
        effect, mean, pair = _compare(titles[name], values, part, settings)
        effects.append(effect)
        means += mean
        pairs += pair
    return Comparison(effects, means, pairs, skipped)


def effect_results(effects: Sequence[dict]) -> list[Result]:
    """Omega and eta squared with their tests, for `analysis.json`."""
    return [result for effect in effects for result in _results_of(effect)]


def _compare(title: str, values: np.ndarray, clips: Clips, settings: Settings) -> tuple[dict, list, list]:
    """Effects, means and pairs of one measure."""
    middle = values.mean()
    each = moments(values - middle, clips.label)
    sums = each.sum(0)
    robust = robust_means(values[:, None], clips.label, clips.group)
    fisher, unequal, grouped = one_way(sums), welch(sums), equal_means(robust)
    omega, low, high = group_interval(each, clips.group, omega_squared, settings)
    eta_low, eta_high = eta_bounds(fisher, len(values))
    effect = {
        "measure": title, "clips": len(values), "F": fisher.statistic, "p": fisher.p,
        "Welch_F": unequal.statistic if unequal else None, "Welch_p": unequal.p if unequal else None,
        "p_over_groups": grouped.p if grouped else None, "eta_squared": float(eta_squared(sums)), "eta_low": eta_low,
        "eta_high": eta_high, "omega_squared": float(omega), "omega_low": float(low), "omega_high": float(high),
    }  # fmt: skip
    mean, low, high = group_interval(each[:, :, :2], clips.group, lambda s: s[..., 1] / s[..., 0] + middle, settings)
    rows = [
        {"measure": title, "emotion": MIKELS[k], "clips": int(sums[k, 0]), "mean": mean[k], "low": low[k],
         "high": high[k], "sd": float(values[clips.label == k].std(ddof=1)) if sums[k, 0] > 1 else None}
        for k in range(8) if sums[k, 0]
    ]  # fmt: skip
    return effect, rows, _pairs(title, each, clips, pair_tests(robust), settings)


def _pairs(title: str, each: np.ndarray, clips: Clips, p: dict, settings: Settings) -> list[dict]:
    sums = each.sum(0)
    there = [pair for pair in p if sums[pair[0], 0] > 1 and sums[pair[1], 0] > 1]
    if not there:
        return []

    def sizes(s: np.ndarray) -> np.ndarray:
        return np.stack([hedges(s, *pair) for pair in there], -1)

    size, low, high = group_interval(each, clips.group, sizes, settings)
    corrected = holm(np.array([p[pair] for pair in there]))
    return [
        {"measure": title, "one": MIKELS[a], "other": MIKELS[b], "hedges_g": size[k], "low": low[k],
         "high": high[k], "p": p[a, b], "p_holm": corrected[k]}
        for k, (a, b) in enumerate(there)
    ]  # fmt: skip


def _results_of(effect: dict) -> list[Result]:
    name, n = effect["measure"], effect["clips"]
    grouped = effect["p_over_groups"]
    tests = f"F = {effect['F']:.3g}, p = {effect['p']:.2g} taking clips as independent"
    tests += f"; p = {grouped:.2g} over films or characters" if grouped is not None else "; too few groups for a test"
    eta_note = "noncentral F, takes clips as independent"
    return [
        Result(f"{name}: omega squared", effect["omega_squared"], effect["omega_low"], effect["omega_high"], n, tests),
        Result(f"{name}: eta squared", effect["eta_squared"], effect["eta_low"], effect["eta_high"], n, eta_note),
    ]


def draw_means(means: list[dict], panels: Mapping[str, tuple[str, str]]) -> Picture:
    """Means by emotion, a panel a measure.

    Args:
        panels: title -> the measure, and one that stands in grey beside it ("" for none).
    """
    said = "Means by emotion with 95 % intervals over films or characters."
    return pictured(lambda columns: _draw(means, panels, columns), said)


def _draw(means: list[dict], panels: Mapping[str, tuple[str, str]], columns: int) -> Figure:
    lines = -(-len(panels) // columns)
    figure, axes = draw(3.3 * columns + 0.4 * (columns == 1), 2.35 * lines, lines, columns, sharey=True)
    for place, (title, (main, beside)) in zip(axes.flat, panels.items(), strict=False):
        for measure, shift, marker in ((main, -0.14, "o"), (beside, 0.2, "s")):
            mine = {row["emotion"]: row for row in means if row["measure"] == measure}
            if not mine:
                continue
            value, low, high = (
                [mine[word][key] if word in mine else np.nan for word in MIKELS] for key in ("mean", "low", "high")
            )
            colours = None if marker == "o" else [QUIET] * 8
            dots(place, list(MIKELS), value, low, high, colours=colours, shift=shift, marker=marker)
        place.set_title(title, fontsize=9.5, loc="left")
    for place in axes.flat[len(panels) :]:
        place.set_visible(False)
    return figure
