"""Look and emotion: colourfulness, brightness, contrast, motion and length by emotion, and how little they explain.

The paper's attributes (rounded to one decimal, over all pixels) stand beside the raw ones (transparent pixels and bars
left out), because the rounding leaves 11 levels and a white ground counts as brightness.
"""

from __future__ import annotations

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Picture, Result, Settings, register
from emogen.analysis.intervals import group_interval, wilson
from emogen.analysis.plots import INK, QUIET, SERIES, dots, draw, picture
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
    effects, means, pairs, skipped = [], [], [], []
    for name in there:
        values = clips.numbers(name)
        part = clips.where(np.isfinite(values))
        values = values[np.isfinite(values)]
        if len(part) < 16 or values.std() < 1e-12 or len(np.unique(part.label)) < 2:
            skipped.append(f"{MEASURES[name]} (the same in all clips, or in too few)")
            continue
        effect, mean, pair = _measure(name, values, part, settings)
        effects.append(effect)
        means += mean
        pairs += pair
    if not effects:
        raise NotPossible("No attribute differs between the clips.")
    ratios, trends = _ratios(clips, settings)
    agree = [_rounding(clips, raw, paper, settings) for raw, paper in _PAPERS.items()]
    results = [result for effect in effects for result in _effect_results(effect)]
    results += [*trends, *(result for result in agree if result)]
    results += [
        Result(f"{r['measure']}: mean, {r['emotion']}", r["mean"], r["low"], r["high"], r["clips"]) for r in means
    ]
    pictures = {"look_means": _draw_means(means)}
    if ratios:
        pictures["positive_ratio"] = _draw_ratios(ratios, float((clips.label < 4).mean()))
    warnings = [f"Left out: {', '.join(skipped)}."] if skipped else []
    tables = {"look_effects": effects, "look_means": means, "look_pairs": pairs, "positive_ratio": ratios}
    return Found(_say(effects, trends), results, pictures, tables, warnings)


def _measure(name: str, values: np.ndarray, clips: Clips, settings: Settings) -> tuple[dict, list, list]:
    """Effects, means and pairs of one measure."""
    middle = values.mean()
    each = moments(values - middle, clips.label)
    sums = each.sum(0)
    robust = robust_means(values[:, None], clips.label, clips.group)
    fisher, unequal, grouped = one_way(sums), welch(sums), equal_means(robust)
    omega, low, high = group_interval(each, clips.group, omega_squared, settings)
    eta_low, eta_high = eta_bounds(fisher, len(values))
    effect = {
        "measure": MEASURES[name], "clips": len(values), "F": fisher.statistic, "p": fisher.p,
        "Welch_F": unequal.statistic if unequal else None, "Welch_p": unequal.p if unequal else None,
        "p_over_groups": grouped.p if grouped else None, "eta_squared": float(eta_squared(sums)), "eta_low": eta_low,
        "eta_high": eta_high, "omega_squared": float(omega), "omega_low": float(low), "omega_high": float(high),
    }  # fmt: skip
    mean, low, high = group_interval(each[:, :, :2], clips.group, lambda s: s[..., 1] / s[..., 0] + middle, settings)
    rows = [
        {"measure": MEASURES[name], "emotion": MIKELS[k], "clips": int(sums[k, 0]), "mean": mean[k], "low": low[k],
         "high": high[k], "sd": float(values[clips.label == k].std(ddof=1)) if sums[k, 0] > 1 else None}
        for k in range(8) if sums[k, 0]
    ]  # fmt: skip
    return effect, rows, _pairs(name, each, clips, pair_tests(robust), settings)


def _pairs(name: str, each: np.ndarray, clips: Clips, p: dict, settings: Settings) -> list[dict]:
    sums = each.sum(0)
    there = [pair for pair in p if sums[pair[0], 0] > 1 and sums[pair[1], 0] > 1]
    if not there:
        return []

    def sizes(s: np.ndarray) -> np.ndarray:
        return np.stack([hedges(s, *pair) for pair in there], -1)

    size, low, high = group_interval(each, clips.group, sizes, settings)
    corrected = holm(np.array([p[pair] for pair in there]))
    return [
        {"measure": MEASURES[name], "one": MIKELS[a], "other": MIKELS[b], "hedges_g": size[k], "low": low[k],
         "high": high[k], "p": p[a, b], "p_holm": corrected[k]}
        for k, (a, b) in enumerate(there)
    ]  # fmt: skip


def _effect_results(effect: dict) -> list[Result]:
    name, n = effect["measure"], effect["clips"]
    grouped = effect["p_over_groups"]
    tests = f"F = {effect['F']:.3g}, p = {effect['p']:.2g} taking clips as independent"
    tests += f"; p = {grouped:.2g} over films or characters" if grouped is not None else "; too few groups for a test"
    eta_note = "noncentral F, takes clips as independent"
    return [
        Result(f"{name}: omega squared", effect["omega_squared"], effect["omega_low"], effect["omega_high"], n, tests),
        Result(f"{name}: eta squared", effect["eta_squared"], effect["eta_low"], effect["eta_high"], n, eta_note),
    ]


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


def _say(effects: list[dict], trends: list[Result]) -> str:
    best = max(effects, key=lambda effect: effect["omega_squared"])
    said = (
        f"Of these measures {best['measure'].split(',')[0]} tells the emotions apart best, and explains "
        f"{max(best['omega_squared'], 0):.1%} of its variance (omega squared)."
    )
    for trend in trends:
        if "raw" in trend.name and trend.low is not None and np.isfinite(trend.low):
            word = trend.name.removeprefix("positive share with ").split(",")[0]
            way = "rises with" if trend.low > 0 else "falls with" if trend.high < 0 else "shows no trend over"
            said += f" The share of positive clips {way} {word} (r = {trend.value:.2f})."
    return said


def _draw_means(means: list[dict]) -> Picture:
    shown = [name for name in ("saturation", "brightness", "contrast", "motion", "duration")
             if any(row["measure"] == MEASURES[name] for row in means)]  # fmt: skip
    lines = -(-len(shown) // 2)
    figure, axes = draw(6.6, 2.35 * lines, lines, 2, sharey=True)
    for place, name in zip(axes.flat, shown, strict=False):
        for column, shift, marker in ((name, -0.14, "o"), (_PAPERS.get(name), 0.2, "s")):
            mine = {row["emotion"]: row for row in means if column and row["measure"] == MEASURES[column]}
            if not mine:
                continue
            value, low, high = (
                [mine[word][key] if word in mine else np.nan for word in MIKELS] for key in ("mean", "low", "high")
            )
            colours = None if marker == "o" else [QUIET] * 8
            dots(place, list(MIKELS), value, low, high, colours=colours, shift=shift, marker=marker)
        title = MEASURES[name].split(", raw")[0]
        greys = any(row["measure"] == MEASURES[_PAPERS[name]] for row in means) if name in _PAPERS else False
        place.set_title(title + (" (grey: the paper's)" if greys else ""), fontsize=9.5, loc="left")
    for place in axes.flat[len(shown) :]:
        place.set_visible(False)
    return picture(figure, "Means by emotion with 95 % intervals over films or characters.")


def _draw_ratios(rows: list[dict], base: float) -> Picture:
    figure, axes = draw(6.6, 2.8, 1, 2, sharey=True)
    for place, (raw, paper) in zip(axes[0], _PAPERS.items(), strict=True):
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
    caption = (
        "Share of positive clips by colourfulness and brightness; a larger dot is more clips, the dashed line all."
    )
    return picture(figure, caption)


ANALYSIS = register(Analysis("look", "Look and emotion", ("emotion",), run))
