"""How well looks alone tell the emotion of clips from unseen films: "colour carries emotion" as a number."""

from __future__ import annotations

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Picture, Result, Settings, register
from emogen.analysis.intervals import group_interval
from emogen.analysis.plots import INK, QUIET, SERIES, dots, draw, picture

_FOLDS = 5
_RAW = ("saturation", "brightness", "contrast", "motion", "duration")
_PAPER = ("paper_colourfulness", "paper_brightness")


def run(clips: Clips, settings: Settings) -> Found:
    """Balanced accuracy of a logistic model with squares and products, held out by group."""
    clips = clips.labelled
    sets = {"all attributes": _features(clips, _RAW, "hue"), "the paper's three": _features(clips, _PAPER, "paper_hue")}
    sets = {name: features for name, features in sets.items() if features is not None}
    groups = len(np.unique(clips.group))
    if not sets:
        raise NotPossible("No clip has attributes; measure them with `emogen data attributes`.")
    counts = np.bincount(clips.label, minlength=8)
    if (counts >= _FOLDS).sum() < 2:
        raise NotPossible(f"Fewer than two emotions have {_FOLDS} clips, which is too few to learn from.")
    if groups < _FOLDS:
        raise NotPossible(f"The clips are from {groups} films or characters; holding some out takes {_FOLDS}.")
    kept = clips.where((counts >= _FOLDS)[clips.label])
    shown = (counts >= _FOLDS)[clips.label]
    targets = {"emotion": kept.label}
    if 0 < (kept.label < 4).mean() < 1:
        targets["valence"] = (kept.label < 4).astype(int)
    results = []
    for target, truth in targets.items():
        for name, features in sets.items():
            said = held_out(features[shown], truth, kept.group, settings.seed)
            results.append(_result(f"{target} from {name}", truth, said, kept.group, settings))
        first = next(iter(sets.values()))[shown]
        shuffled = np.random.default_rng(settings.seed).permutation(truth)
        said = held_out(first, shuffled, kept.group, settings.seed)
        results.append(_result(f"{target}, labels shuffled", shuffled, said, kept.group, settings))
    best = results[0]
    above = best.low is not None and best.low > _chance(best)
    sentence = (
        f"A model that sees only how clips look names the emotion of clips from unseen films or characters with a "
        f"balanced accuracy of {best.value:.0%}, where chance gives {_chance(best):.0%}: looks "
        f"{'carry some' if above else 'carry no visible'} emotion."
    )
    return Found(sentence, results, {"prediction": _draw(results)})


def _chance(result: Result) -> float:
    return 1 / int(result.note.split()[0])


def _features(clips: Clips, names: tuple[str, ...], hue: str) -> np.ndarray | None:
    """Columns `[clips, features]` without gaps: a missing value becomes the median; None without any attribute."""
    columns = [clips.numbers(name) for name in names if clips.has(name)]
    if not any(clips.has(name) for name in names if name != "duration"):
        return None
    if clips.has(hue):
        angle = np.radians(clips.numbers(hue))
        strength = clips.numbers("hue_strength") if hue == "hue" and clips.has("hue_strength") else 1.0
        columns += [np.cos(angle) * strength, np.sin(angle) * strength]
    # in single precision, which the model bears well and which halves what a large set takes
    filled = [np.where(np.isfinite(column), column, np.nanmedian(column)) for column in columns]
    return np.stack([column for column in filled if column.std() > 1e-12] or [np.zeros(len(clips))], 1).astype(
        np.float32
    )


def held_out(features: np.ndarray, truth: np.ndarray, group: np.ndarray, seed: int) -> np.ndarray:
    """What a model that has not seen a clip's group says of it, for every clip."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    said = np.full(len(truth), -1)
    for train, test in GroupKFold(_FOLDS, shuffle=True, random_state=seed).split(features, truth, group):
        if len(np.unique(truth[train])) < 2:
            said[test] = truth[train][0]
            continue
        model = make_pipeline(
            StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler(),
            LogisticRegression(C=0.1, class_weight="balanced", max_iter=200, tol=1e-3),
        )  # fmt: skip
        said[test] = model.fit(features[train], truth[train]).predict(features[test])
    return said


def _result(name: str, truth: np.ndarray, said: np.ndarray, group: np.ndarray, settings: Settings) -> Result:
    classes, place = np.unique(truth, return_inverse=True)
    hot = np.eye(len(classes))[place]
    each = np.stack([hot * (said == truth)[:, None], hot], -1)
    value, low, high = group_interval(each, group, lambda s: (s[..., 0] / s[..., 1]).mean(-1), settings)
    note = f"{len(classes)} classes, balanced accuracy, {_FOLDS} folds by film or character"
    return Result(name, float(value), float(low), float(high), len(truth), note)


def _draw(results: list[Result]) -> Picture:
    figure, axes = draw(5.6, 0.36 * len(results) + 0.9)
    place = axes[0, 0]
    colours = [QUIET if "shuffled" in r.name else SERIES[0] if "all" in r.name else SERIES[1] for r in results]
    value, low, high = ([getattr(r, key) for r in results] for key in ("value", "low", "high"))
    dots(place, [r.name for r in results], value, low, high, colours=colours)
    for row, result in enumerate(results):
        place.plot([_chance(result)] * 2, [row - 0.35, row + 0.35], color=INK, lw=1, ls=":")
    place.set_xlim(0, 1)
    place.set_xlabel("balanced accuracy, held out; dotted: chance")
    return picture(figure, "How well looks alone name the emotion, and whether it is positive.")


ANALYSIS = register(Analysis("prediction", "Emotion from looks alone", ("emotion",), run))
