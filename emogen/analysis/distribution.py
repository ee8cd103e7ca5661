"""How often each emotion is, in each domain, by people's labels and by a model's; and how much of the plane is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Picture, Result, Settings, register
from emogen.analysis.intervals import group_interval, wilson
from emogen.analysis.plots import COLOURS, INK, QUIET, SERIES, dots, draw, picture, pictured
from emogen.emotion import MIKELS, MIKELS_VA

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GRID = 8  # cells a side of the valence-arousal plane
_PANELS = 4  # domains drawn


def run(clips: Clips, settings: Settings) -> Found:
    """Counts, shares with intervals, imbalance, people against model, coverage of the plane."""
    found = clips.labelled
    if not len(found):
        raise NotPossible("No clip that counts has one of the eight emotions.")
    domains = sorted({name for name in found.text("domain") if name})
    parts = [("all", np.ones(len(found), bool))]
    if len(domains) > 1:
        parts += [(name, found.text("domain") == name) for name in domains]
    rows, results = [], []
    for name, mask in parts:
        rows += _shares(found.where(mask), name, settings)
    results += [Result(f"{r['domain']}: {r['emotion']}", r["share"], r["low"], r["high"], r["clips"]) for r in rows]
    for name, mask in parts:
        results += _imbalance(found.where(mask), name, settings)
    kinds, gap = _people_and_model(found, settings)
    coverage = _coverage(found)
    results += [*gap, coverage]
    counts = np.bincount(found.label, minlength=8)
    most, least = int(counts.argmax()), int(counts.argmin())
    sentence = (
        f"{MIKELS[most].capitalize()} is the most frequent label ({counts[most] / len(found):.0%} of {len(found):,} "
        f"clips) and {MIKELS[least]} the least ({counts[least] / len(found):.0%})."
    )
    warnings = []
    if (counts == 0).any():
        missing = ", ".join(name for name, count in zip(MIKELS, counts, strict=True) if not count)
        warnings.append(f"No clip is labelled {missing}: nothing can be said of it, and a model cannot learn it here.")
    pictures = {"distribution": _draw_shares(rows, parts), "plane": _draw_plane(found)}
    return Found(sentence, results, pictures, {"distribution": rows, "label_kinds": kinds}, warnings)


def _shares(clips: Clips, domain: str, settings: Settings) -> list[dict]:
    hot = np.eye(8)[clips.label]
    share, low, high = group_interval(hot, clips.group, lambda s: s / s.sum(-1, keepdims=True), settings)
    naive = wilson(hot.sum(0), len(clips))
    return [
        {"domain": domain, "emotion": name, "clips": int(hot[:, k].sum()), "share": share[k], "low": low[k],
         "high": high[k], "wilson_low": naive[0][k], "wilson_high": naive[1][k]}
        for k, name in enumerate(MIKELS)
    ]  # fmt: skip


def _entropy(sums: np.ndarray) -> np.ndarray:
    share = sums / sums.sum(-1, keepdims=True)
    return -np.where(share > 0, share * np.log(np.where(share > 0, share, 1)), 0).sum(-1)


def _imbalance(clips: Clips, domain: str, settings: Settings) -> list[Result]:
    hot = np.eye(8)[clips.label]
    even, low, high = group_interval(hot, clips.group, lambda s: np.exp(_entropy(s)), settings)
    counts = hot.sum(0)
    ratio = counts.max() / counts.min() if counts.min() else None
    note = "1 to 8; exp of the entropy of the shares; a bootstrap draws it towards fewer"
    return [
        Result(f"{domain}: effective number of emotions", float(even), float(low), float(high), len(clips), note),
        Result(f"{domain}: most to least frequent", ratio, n=len(clips), note="" if ratio else "an emotion is missing"),
    ]


def _people_and_model(clips: Clips, settings: Settings) -> tuple[list[dict], list[Result]]:
    """Counts by who labelled, and how far the two kinds' shares are apart (total variation)."""
    kind = np.where(clips.by_people, "human", clips.text("label_kind"))
    rows = [
        {"label_kind": name, "emotion": emotion, "clips": int(((kind == name) & (clips.label == k)).sum())}
        for name in ("human", "model") if (kind == name).any() for k, emotion in enumerate(MIKELS)
    ]  # fmt: skip
    if len(rows) < 16:
        return rows, []
    table = np.zeros((len(clips), 2, 8))
    for place, name in enumerate(("human", "model")):
        table[kind == name, place] = np.eye(8)[clips.label[kind == name]]

    def apart(sums: np.ndarray) -> np.ndarray:
        share = sums / sums.sum(-1, keepdims=True)
        return np.abs(share[:, 0] - share[:, 1]).sum(-1) / 2

    value, low, high = group_interval(table, clips.group, apart, settings)
    note = "0 to 1, total variation; never 0 in a sample; people and the model may have seen different clips"
    return rows, [
        Result("people's shares against the model's", float(value), float(low), float(high), len(clips), note)
    ]


def _coverage(clips: Clips) -> Result:
    """Share of the plane's cells in which at least one clip lies."""
    edges = np.linspace(-1, 1, _GRID + 1)
    valence, arousal = clips.numbers("valence"), clips.numbers("arousal")
    here = np.isfinite(valence) & np.isfinite(arousal)
    cells = np.histogram2d(arousal[here], valence[here], (edges, edges))[0]
    places = len({(round(v, 3), round(a, 3)) for v, a in zip(valence[here], arousal[here], strict=True)})
    note = f"of {_GRID}x{_GRID} cells; {places} different places"
    if places <= 8:
        note += ": labels alone, so at most the eight categories' own"
    seen = float((cells > 0).mean())
    return Result("share of the plane's cells with a clip", seen, n=int(here.sum()), note=note)


def _draw_shares(rows: list[dict], parts: list) -> Picture:
    shown = [name for name, _ in parts[1:]] or ["all"]
    shown = shown[:_PANELS]

    def make(columns: int) -> Figure:
        lines = -(-len(shown) // columns)
        figure, axes = draw(min(2.1 * columns + 1.6, 7.4), 2.4 * lines + 0.3, lines, columns, sharey=True, sharex=True)
        for place, domain in zip(axes.flat, shown, strict=True):
            mine = [row for row in rows if row["domain"] == domain]
            value = np.array([row["share"] for row in mine])
            place.barh(range(8), value, color=[COLOURS[name] for name in MIKELS], alpha=0.28, height=0.7)
            dots(place, list(MIKELS), value, [row["low"] for row in mine], [row["high"] for row in mine])
            place.set_title(f"{domain} ({sum(row['clips'] for row in mine):,})")
            place.set_xlim(left=0)
            place.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
        figure.supxlabel("share of labelled clips", fontsize=9, color=INK)
        return figure

    said = "Shares of the eight emotions, with 95 % intervals over films or characters."
    return pictured(make, said, len(shown))


def _draw_plane(clips: Clips) -> Picture:
    figure, axes = draw(4.4, 4.0)
    place = axes[0, 0]
    valence, arousal = clips.numbers("valence"), clips.numbers("arousal")
    here = np.isfinite(valence) & np.isfinite(arousal)
    spots, many = np.unique(np.round(np.stack([valence, arousal], 1)[here], 2), axis=0, return_counts=True)
    if len(spots):
        size = 12 + 500 * many / many.max()
        place.scatter(spots[:, 0], spots[:, 1], s=size, color=SERIES[0], alpha=0.35, linewidths=0)
    place.axhline(0, color=QUIET, linewidth=0.8)
    place.axvline(0, color=QUIET, linewidth=0.8)
    for name, (valence, arousal) in MIKELS_VA.items():
        place.scatter([valence], [arousal], s=18, color=SERIES[1], zorder=3)
        right = valence > 0
        place.annotate(name, (valence, arousal), (-5 if right else 5, 5), textcoords="offset points",
                       ha="right" if right else "left", fontsize=8)  # fmt: skip
    place.set(xlabel="valence", ylabel="arousal", xlim=(-1, 1), ylim=(-1, 1))
    place.set_aspect("equal")
    return picture(
        figure,
        "Where the labels lie on the valence-arousal plane (larger: more clips); dots are the categories' places.",
    )


ANALYSIS = register(Analysis("distribution", "Distribution", ("emotion",), run))
