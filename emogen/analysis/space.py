"""Space: a map of the clips, and how far clips of one emotion really lie together, so that the picture is not the only
evidence.

The features are a frozen encoder's (`--features`), or else the clips' own looks. Neighbours are counted among clips of
other films only, because scenes of one film look alike whatever they feel.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Picture, Result, Settings, register
from emogen.analysis.intervals import group_interval
from emogen.analysis.plots import COLOURS, INK, SERIES
from emogen.emotion import MIKELS

_NEIGHBOURS = 10
_MAPPED = 2000  # clips on the map
_MEASURED = 3000  # clips whose neighbours and silhouettes are measured
_LOOK = ("saturation", "brightness", "contrast", "motion")


def run(clips: Clips, settings: Settings) -> Found:
    """The map, purity of neighbours against chance, silhouettes."""
    features, of = _features(clips, settings.features)
    known = np.isfinite(features).all(1) & clips.usable & (clips.label >= 0)
    if known.sum() < 30:
        raise NotPossible(f"Only {known.sum()} labelled clips have features, and a map takes 30; give --features.")
    clips, features = clips.where(known), features[known]
    features = (features - features.mean(0)) / np.where(features.std(0) > 1e-12, features.std(0), 1)
    if len(clips) > _MEASURED:
        some = np.sort(np.random.default_rng(settings.seed).choice(len(clips), _MEASURED, replace=False))
        clips, features = clips.where(some), features[some]
    results, warnings = [], []
    near = neighbours(features, clips.group)
    for name, label in _labels(clips).items():
        results += _together(name, label, near, features, clips.group, settings)
    if not results:
        raise NotPossible("All clips have one emotion and one domain, so that nothing can lie apart.")
    found, rows = _map(clips, features, settings)
    if len(rows) < len(clips):
        warnings.append(f"The map shows {len(rows):,} clips drawn from all.")
    warnings.append("Distances between far clusters of a t-SNE map mean nothing; read the figures below it.")
    first = results[0]
    sentence = (
        f"By {of}, {first.value:.0%} of a clip's {_NEIGHBOURS} nearest neighbours from other films or characters have "
        f"its {first.name.split(':')[0]}; {first.note.split(';')[0]}."
    )
    return Found(sentence, results, {"map": found}, {"map": rows}, warnings)


def _labels(clips: Clips) -> dict[str, np.ndarray]:
    """What may lie together: emotion, valence and domain, where there is more than one."""
    domain = np.array([name or "" for name in clips.text("domain")])
    found = {"emotion": clips.label, "valence": (clips.label < 4).astype(int), "domain": domain}
    return {name: np.unique(v, return_inverse=True)[1] for name, v in found.items() if len(np.unique(v)) > 1}


def _features(clips: Clips, path: Path | None) -> tuple[np.ndarray, str]:
    """Features `[clips, size]`, NaN for clips without, and what they are.

    Raises:
        ValueError: the file does not fit the clips.
    """
    if path is None:
        there = [name for name in _LOOK if clips.has(name)]
        if len(there) < 2:
            raise NotPossible("There are no features: give --features, or run `emogen data attributes`.")
        columns = [np.nan_to_num(clips.numbers(name), nan=np.nanmedian(clips.numbers(name))) for name in there]
        if clips.has("hue"):
            angle, strength = np.radians(clips.numbers("hue")), np.nan_to_num(clips.numbers("hue_strength"), nan=1.0)
            columns += [np.nan_to_num(np.cos(angle) * strength), np.nan_to_num(np.sin(angle) * strength)]
        return np.stack(columns, 1), "looks"
    if path.suffix == ".npy":
        try:
            features = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: cannot be read as an array of numbers ({error})") from error
        if features.ndim != 2 or len(features) != len(clips) or features.dtype.kind not in "fiu":
            raise ValueError(f"{path}: holds {features.shape} {features.dtype}; a row a clip is ({len(clips)}, size)")
        return features.astype(float), f"features of {path.name}"
    return _parquet(clips, path), f"features of {path.name}"


def _parquet(clips: Clips, path: Path) -> np.ndarray:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise ValueError(f"{path}: cannot be read as Parquet ({error})") from error
    names = [name for name in table.column_names if name != "clip_id"]
    if "clip_id" not in table.column_names or not names:
        raise ValueError(f"{path}: has the columns {', '.join(table.column_names)}; it takes clip_id and numbers")
    try:
        values = np.stack([np.asarray(table[name].to_pylist(), float) for name in names], 1)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: its columns beside clip_id must be numbers ({error})") from error
    place = {str(clip): row for row, clip in enumerate(table["clip_id"].to_pylist())}
    out = np.full((len(clips), len(names)), np.nan)
    for row, clip in enumerate(clips.text("clip_id")):
        if clip in place:
            out[row] = values[place[clip]]
    return out


def neighbours(features: np.ndarray, group: np.ndarray, many: int = _NEIGHBOURS) -> np.ndarray:
    """The nearest clips of other groups, `[clips, many]`; -1 where there are too few."""
    out = np.full((len(features), many), -1)
    square = (features**2).sum(1)
    for first in range(0, len(features), 512):
        here = slice(first, first + 512)
        distance = square[None] - 2 * features[here] @ features.T
        distance[group[here, None] == group[None]] = np.inf
        near = np.argsort(distance, 1, kind="stable")[:, :many]
        there = np.isfinite(np.take_along_axis(distance, near, 1))
        out[here, : near.shape[1]] = np.where(there, near, -1)
    return out


def _together(
    name: str, label: np.ndarray, near: np.ndarray, features: np.ndarray, group: np.ndarray, settings: Settings
) -> list[Result]:
    from sklearn.metrics import silhouette_samples

    there = near >= 0
    if not there.any():
        return []
    same = (label[near] == label[:, None]) & there
    each = np.stack([same.sum(1), there.sum(1)], -1).astype(float)
    value, low, high = group_interval(each, group, lambda s: s[..., 0] / s[..., 1], settings)
    share = np.bincount(label) / len(label)
    note = f"chance gives {(share**2).sum():.0%}; intervals take the neighbours as given"
    found = [Result(f"{name}: neighbours alike", float(value), float(low), float(high), len(label), note)]
    shape = silhouette_samples(features, label)
    each = np.stack([shape, np.ones(len(shape))], -1)
    value, low, high = group_interval(each, group, lambda s: s[..., 0] / s[..., 1], settings)
    note = "-1 to 1; 0 is no clusters"
    return [*found, Result(f"{name}: silhouette", float(value), float(low), float(high), len(label), note)]


def _map(clips: Clips, features: np.ndarray, settings: Settings) -> tuple[Picture, list[dict]]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    places = np.arange(len(clips))
    if len(places) > _MAPPED:
        places = np.sort(np.random.default_rng(settings.seed).choice(places, _MAPPED, replace=False))
    points = features[places]
    if points.shape[1] > 50 and len(points) > 50:
        points = PCA(50, random_state=settings.seed).fit_transform(points)
    perplexity = min(30, (len(points) - 1) / 3)
    with threadpool_limits(1):  # its threads wait by spinning: two took three times the work of one
        at = TSNE(2, perplexity=perplexity, init="pca", random_state=settings.seed).fit_transform(points)
    ids, domains = clips.text("clip_id"), clips.text("domain")
    rows = [
        {"clip_id": ids[place], "x": round(float(x), 3), "y": round(float(y), 3),
         "emotion": MIKELS[clips.label[place]], "domain": domains[place]}
        for place, (x, y) in zip(places, at, strict=True)
    ]  # fmt: skip
    return Picture(
        "A t-SNE map of the clips by emotion; hold the pointer over a dot to read its clip.", _svg(rows)
    ), rows


def _svg(rows: list[dict], size: int = 480) -> str:
    """The map as SVG whose dots say their clip. Domains have shapes."""
    x, y = np.array([row["x"] for row in rows]), np.array([row["y"] for row in rows])
    scale = (size - 30) / max(np.ptp(x), np.ptp(y), 1e-9)
    x, y = 15 + (x - x.min()) * scale, 15 + (y.max() - y) * scale
    domains = sorted({row["domain"] or "" for row in rows})
    radius = 3.6 if len(rows) < 400 else 2.4
    dots = []
    for row, a, b in zip(rows, x, y, strict=True):
        said = f"{row['clip_id']}: {row['emotion']}" + (f", {row['domain']}" if row["domain"] else "")
        square = domains.index(row["domain"] or "") % 2 == 1
        r = radius
        shape = (
            f'<rect x="{a - r:.1f}" y="{b - r:.1f}" width="{2 * r}" height="{2 * r}"'
            if square
            else f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{r}"'
        )
        colour = COLOURS.get(row["emotion"], SERIES[0])
        end = "rect" if square else "circle"
        dots.append(f'{shape} fill="{colour}" fill-opacity=".72"><title>{escape(said)}</title></{end}>')
    body = "".join(dots)
    key = "".join(
        f'<g transform="translate({15 + (k % 4) * 115},{size + 14 + (k // 4) * 20})">'
        f'<circle r="5" fill="{COLOURS[name]}"/>'
        f'<text x="10" y="4" font-size="12" fill="{INK}">{name}</text></g>'
        for k, name in enumerate(MIKELS)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size + 48}" width="{size}" '
        f'font-family="system-ui,sans-serif">{body}{key}</svg>'
    )


ANALYSIS = register(Analysis("space", "Space", ("emotion",), run))
