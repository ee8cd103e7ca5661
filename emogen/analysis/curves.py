"""How emotion moves within a clip, by a judge's sliding reading: average shapes an emotion, and the curves of clips.

Curves of different length are laid on one time from 0 (the clip's start) to 1 (its end). A judge errs, and errs in the
same way from window to window: shapes are what the judge sees, and their intervals leave its errors out.
"""

from __future__ import annotations

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.curve_store import CurveSet
from emogen.analysis.interface import Analysis, Found, NotPossible, Picture, Result, Settings, register
from emogen.analysis.intervals import bounds, group_interval, resample, sum_by_group
from emogen.analysis.plots import COLOURS, INK, QUIET, SERIES, draw, picture
from emogen.analysis.sliding import Curve
from emogen.emotion import MIKELS

POINTS = 11
_LEAST = 3  # windows of a clip that has a shape
_DRAWN = 12
_TABLE = 200_000
_MEASURES = ("valence", "arousal", "own share")


def run(clips: Clips, settings: Settings) -> Found:
    """Average shapes, how far a clip moves, and the curves."""
    if settings.curves is None:
        raise NotPossible(
            "No judge has read the clips over time; `--curves all` lets one do it (`--judge` says which)."
        )
    given: CurveSet = settings.curves
    warnings = _failures(given)
    ids = clips.text("clip_id")
    known = np.array([len(given.curves.get(name, ())) >= _LEAST for name in ids], bool)
    part = clips.where(clips.usable & (clips.label >= 0) & known)
    table = [
        {"clip_id": name, **row} for name, curve in given.curves.items() for row in curve.rows()
    ][:_TABLE]  # fmt: skip
    pictures: dict[str, Picture] = {}
    if given.chosen:
        chosen = {name: given.curves[name] for name in given.chosen if name in given.curves}
        pictures["curves"] = _draw_chosen(chosen)
    if not len(part):
        if not given.curves:
            raise NotPossible(
                f"No clip could be read over time ({next(iter(given.failed.values()), 'there is none')})."
            )
        found = "No labelled clip is long enough for a shape over time"
        return Found(f"{found} ({_LEAST} windows); the curves are in the table.", (), pictures, {"curves": table},
                     warnings)  # fmt: skip
    shapes = np.stack([shape_of(given.curves[name], label) for name, label in
                       zip(part.text("clip_id"), part.label, strict=True)])  # fmt: skip
    rows = _shapes(shapes, part, settings)
    results = _changes(shapes, part, settings) + _movement(given, part, settings)
    left_out = int((clips.usable & (clips.label >= 0)).sum()) - len(part)
    if left_out and not given.chosen:
        warnings.append(
            f"{left_out:,} labelled clips have no curve of {_LEAST} windows and are left out of the shapes."
        )
    warnings.append(f"The curves are what the judge {given.judge or 'given'} sees; its own errors are not in them.")
    pictures = {"curve_shapes": _draw_shapes(rows), **pictures}
    return Found(_say(results, part), results, pictures, {"curve_shapes": rows, "curves": table}, warnings)


def _failures(given: CurveSet) -> list[str]:
    if not given.failed:
        return []
    name, why = next(iter(given.failed.items()))
    return [f"{len(given.failed):,} clips could not be read over time, such as {name}: {why}"]


def shape_of(curve: Curve, label: int) -> np.ndarray:
    """Valence, arousal and the share of the clip's own label, `[3, POINTS]`, over the clip's time from 0 to 1. Before
    the middle of the first window, and after that of the last, the nearest reading stands."""
    at = np.linspace(0, 1, POINTS) * curve.seconds
    columns = (curve.valence, curve.arousal, curve.shares[:, label])
    return np.stack([np.interp(at, curve.time, column) for column in columns])


def _by_label(values: np.ndarray, label: np.ndarray) -> np.ndarray:
    """`[clips, ...]` -> `[clips, 8, 1 + ...]`: a one and the values, at the clip's own label."""
    flat = np.concatenate([np.ones((len(values), 1)), values.reshape(len(values), -1)], 1)
    return np.eye(8)[label][:, :, None] * flat[:, None, :]


def _shapes(shapes: np.ndarray, clips: Clips, settings: Settings) -> list[dict]:
    sums = sum_by_group(_by_label(shapes, clips.label), clips.group)

    def means(s: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return s[..., 1:] / s[..., :1]

    value = means(sums.sum(0))
    low, high = bounds(means(resample(sums, settings)), len(sums))
    many = sums.sum(0)[:, 0]
    rows = []
    for k in np.flatnonzero(many):
        for point in range(POINTS):
            row = {"emotion": MIKELS[k], "clips": int(many[k]), "time": point / (POINTS - 1)}
            for m, name in enumerate(_MEASURES):
                column = m * POINTS + point
                row |= {name: value[k, column], f"{name} low": low[k, column], f"{name} high": high[k, column]}
            rows.append(row)
    return rows


def _changes(shapes: np.ndarray, clips: Clips, settings: Settings) -> list[Result]:
    """The last third minus the first, by emotion."""
    third = POINTS // 3
    change = shapes[:, :, -third:].mean(2) - shapes[:, :, :third].mean(2)
    each = _by_label(change, clips.label)

    def means(s: np.ndarray) -> np.ndarray:
        return s[..., 1:] / s[..., :1]

    value, low, high = group_interval(each, clips.group, means, settings)
    many = each[:, :, 0].sum(0)
    return [
        Result(f"{MIKELS[k]}: {name}, last third minus first", value[k, m], low[k, m], high[k, m], int(many[k]))
        for m, name in enumerate(_MEASURES) for k in np.flatnonzero(many)
    ]  # fmt: skip


def _movement(given: CurveSet, clips: Clips, settings: Settings) -> list[Result]:
    """How much of the variance of a reading lies within clips, and how often the leading emotion changes."""
    found = []
    curves = [given.curves[name] for name in clips.text("clip_id")]
    for name in ("valence", "arousal"):
        columns = [getattr(curve, name) for curve in curves]
        # within, between and their sums: n, mean, mean squared, variance within
        each = np.array([[1, column.mean(), column.mean() ** 2, column.var()] for column in columns])

        def share(s: np.ndarray) -> np.ndarray:
            n, mean, square, within = np.moveaxis(s, -1, 0)
            between = square / n - (mean / n) ** 2
            return within / n / (within / n + between)

        value, low, high = group_interval(each, clips.group, share, settings)
        note = "0: clips differ and do not move; 1: all clips move alike"
        found.append(Result(f"{name}: share of variance within clips", float(value), float(low), float(high),
                            len(curves), note))  # fmt: skip
    leads = [curve.shares.argmax(1) for curve in curves]
    each = np.array([[float((lead[1:] != lead[:-1]).sum()), curve.time[-1] - curve.time[0]] for lead, curve in
                     zip(leads, curves, strict=True)])  # fmt: skip
    value, low, high = group_interval(each, clips.group, lambda s: s[..., 0] / s[..., 1], settings)
    note = "times a second that the judge's leading emotion changes"
    return [*found, Result("changes of the leading emotion", float(value), float(low), float(high), len(curves), note)]


def _say(results: list[Result], clips: Clips) -> str:
    within = next(result for result in results if result.name.startswith("valence: share"))
    moves = [result for result in results if "minus first" in result.name and "own share" not in result.name
             and result.low is not None and np.isfinite(result.low) and result.low * result.high > 0]  # fmt: skip
    said = f"Of the variance of the judge's valence, {within.value:.0%} lies within clips ({len(clips):,} clips)."
    if not moves:
        return f"{said} No emotion has a valence or arousal that rises or falls on average."
    best = max(moves, key=lambda result: abs(result.value))
    emotion, measure = best.name.split(",")[0].split(": ")
    way = "rises" if best.value > 0 else "falls"
    return (
        f"{said} The clearest shape: in {emotion}, {measure} {way} by {abs(best.value):.2f} from first to last third."
    )


def _draw_shapes(rows: list[dict]) -> Picture:
    figure, axes = draw(5.6, 6.4, 2, 1, sharex=True)
    for place, measure in zip(axes[:, 0], ("valence", "arousal"), strict=True):
        for name in MIKELS:
            mine = [row for row in rows if row["emotion"] == name]
            if not mine:
                continue
            time = [row["time"] for row in mine]
            place.fill_between(time, [row[f"{measure} low"] for row in mine], [row[f"{measure} high"] for row in mine],
                               color=COLOURS[name], alpha=0.1, lw=0)  # fmt: skip
            place.plot(time, [row[measure] for row in mine], color=COLOURS[name], lw=1.7, label=name)
        place.axhline(0, color=QUIET, lw=0.7)
        place.set_ylabel(measure, color=INK)
        place.set_xlim(0, 1)
    axes[1, 0].set_xlabel("time in the clip: 0 start, 1 end")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=8.5)
    return picture(figure, "Average shapes: the judge's reading over a clip's time, by label, with 95 % intervals.")


def _draw_chosen(curves: dict[str, Curve]) -> Picture:
    shown = dict(list(curves.items())[:_DRAWN])
    figure, axes = draw(5.6, 1.5 * max(1, len(shown)) + 0.6, max(1, len(shown)), 1)
    for place, (name, curve) in zip(axes[:, 0], shown.items(), strict=False):
        place.plot(curve.time, curve.valence, color=SERIES[0], lw=1.6, label="valence", marker="o", ms=2.5)
        place.plot(curve.time, curve.arousal, color=SERIES[1], lw=1.6, label="arousal", marker="o", ms=2.5)
        place.axhline(0, color=QUIET, lw=0.7)
        place.set(ylim=(-1.05, 1.05), xlim=(0, max(curve.seconds, 1e-3)))
        place.set_title(name if len(name) < 70 else f"...{name[-67:]}", fontsize=9, loc="left")
    axes[-1, 0].set_xlabel("seconds")
    if shown:
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    more = f"; {len(curves) - _DRAWN} more are in the table" if len(curves) > _DRAWN else ""
    return picture(figure, f"Chosen clips over time, as the judge reads them{more}.")


ANALYSIS = register(Analysis("curves", "Within a clip", (), run))
