"""Space: a map of the clips, and how far clips of one emotion really lie together, so that the picture is not the only
evidence.

The features are a frozen encoder's (`--features`), or else the clips' own looks. Neighbours are counted among clips of
other films only, because scenes of one film look alike whatever they feel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Result, Settings, register
from emogen.analysis.intervals import group_interval
from emogen.analysis.maps import laid_out, map_pictures, map_rows, thumbnails

_NEIGHBOURS = 10
_CELLS = 1_000_000  # distances held at a time
_MEASURED = 3000  # clips whose neighbours and silhouettes are measured
_LOOK = ("saturation", "brightness", "contrast", "motion")


def run(clips: Clips, settings: Settings) -> Found:
    """The map, purity of neighbours against chance, silhouettes."""
    features, of = features_of(clips, settings.features)
    known = np.isfinite(features).all(1) & clips.usable & (clips.label >= 0)
    if known.sum() < 30:
        raise NotPossible(f"Only {known.sum()} labelled clips have features, and a map takes 30; give --features.")
    clips, features = clips.where(known), features[known]
    features = scaled(features)
    if len(clips) > _MEASURED:
        some = np.sort(np.random.default_rng(settings.seed).choice(len(clips), _MEASURED, replace=False))
        clips, features = clips.where(some), features[some]
    results, warnings = [], []
    near = neighbours(features, clips.group)
    for name, label in _labels(clips).items():
        results += _together(name, label, near, features, clips.group, settings)
    if not results:
        raise NotPossible("All clips have one emotion and one domain, so that nothing can lie apart.")
    places, at = laid_out(features, settings)
    rows = map_rows(clips, places, at)
    seen = thumbnails(clips, places, settings.thumbnails)
    if len(rows) < len(clips):
        warnings.append(f"The map shows {len(rows):,} clips drawn from all.")
    warnings.append("Distances between far clusters of a map mean nothing; read the figures below it.")
    first = results[0]
    sentence = (
        f"By {of}, {first.value:.0%} of a clip's {_NEIGHBOURS} nearest neighbours from other films or characters have "
        f"its {first.name.split(':')[0]}; {first.note.split(';')[0]}."
    )
    return Found(sentence, results, map_pictures(rows, settings.mapping, seen), {"map": rows}, warnings)


def _labels(clips: Clips) -> dict[str, np.ndarray]:
    """What may lie together: emotion, valence and domain, where there is more than one."""
    domain = np.array([name or "" for name in clips.text("domain")])
    found = {"emotion": clips.label, "valence": (clips.label < 4).astype(int), "domain": domain}
    return {name: np.unique(v, return_inverse=True)[1] for name, v in found.items() if len(np.unique(v)) > 1}


def features_of(clips: Clips, path: Path | None) -> tuple[np.ndarray, str]:
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


def scaled(features: np.ndarray) -> np.ndarray:
    """Every feature with mean 0 and standard deviation 1."""
    return (features - features.mean(0)) / np.where(features.std(0) > 1e-12, features.std(0), 1)


def neighbours(features: np.ndarray, group: np.ndarray, many: int = _NEIGHBOURS) -> np.ndarray:
    """The nearest clips of other groups, `[clips, many]`, the nearest first; -1 where there are too few. Distances are
    held for some clips at a time."""
    clips = len(features)
    many = min(many, clips)
    out = np.full((clips, many), -1)
    square = (features**2).sum(1)
    step = max(1, _CELLS // max(clips, 1))
    for first in range(0, clips, step):
        here = slice(first, first + step)
        distance = square[None] - 2 * features[here] @ features.T
        distance[group[here, None] == group[None]] = np.inf
        near = np.sort(np.argpartition(distance, many - 1, axis=1)[:, :many], axis=1)
        each = np.take_along_axis(distance, near, 1)
        order = np.argsort(each, 1, kind="stable")
        near, each = np.take_along_axis(near, order, 1), np.take_along_axis(each, order, 1)
        out[here] = np.where(np.isfinite(each), near, -1)
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


ANALYSIS = register(Analysis("space", "Space", ("emotion",), run))
