"""From rows to figures: every one with its n and an interval, every comparison paired."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from emogen.emotion import MIKELS, MIKELS_VA
from emogen.eval.agreement import rate
from emogen.eval.benchmark.config import EvalConfig
from emogen.eval.benchmark.measure import Measurement
from emogen.eval.judges.ensemble import kappa_table
from emogen.eval.metrics import frechet_distance
from emogen.eval.statistics import clustered_difference, clustered_mean, holm, mcnemar_exact, sign_flip

ENOUGH = 256
"""Below so many clips a Frechet distance is mostly the bias of a small sample."""
MEANS = ("content", "temporal_flickering", "first_frame_psnr", "clip_score")


def summarise(config: EvalConfig, found: Measurement) -> dict[str, Any]:
    """The figures of every system, and of every system against the baseline.

    Agreement rates have Wilson's interval and, because clips of a prompt are alike, one from a bootstrap of whole
    prompts; the second is the wider and the one to believe. Differences are paired on prompt, emotion and seed.
    """
    judge = config.judge_names[0]
    systems = {s.name: [row for row in found.rows if row["system"] == s.name] for s in config.systems}
    summary: dict[str, Any] = {"judge": judge, "systems": {}, "against": {}, "notes": []}
    for name, rows in systems.items():
        if rows:
            summary["systems"][name] = _system(rows, config, judge)
            for domain in sorted({row["domain"] for row in rows}):
                mine = [row for row in rows if row["domain"] == domain]
                summary["systems"][name].setdefault("domains", {})[domain] = _system(mine, config, judge)
        else:
            summary["notes"].append(f"{name}: no clip could be read")
    if config.baseline is not None:
        summary["against"] = _against(config, systems, judge)
    _frechet(summary, config, found, systems)
    names = config.judge_names
    summary["judges"] = kappa_table({n: [row["judges"][n]["read"] for row in found.rows] for n in names})
    summary["notes"] += _notes(config, summary, systems)
    return summary


def _system(rows: Sequence[Mapping[str, Any]], config: EvalConfig, judge: str) -> dict[str, Any]:
    prompts = [row["prompt"] for row in rows]
    figures: dict[str, Any] = {"n": len(rows), "prompts": len(set(prompts))}
    read = [row["judges"][judge] for row in rows]
    for metric in ("EA-8", "EA-2"):
        hit = [one[metric] for one in read]
        figures[metric] = {**rate(hit), "by_prompt": list(clustered_mean(hit, prompts)[1:])}
    for other in config.judge_names[1:]:
        hit = [row["judges"][other]["EA-8"] for row in rows]
        figures[f"EA-8 by {other}"] = {**rate(hit), "by_prompt": list(clustered_mean(hit, prompts)[1:])}
    figures["recall"] = {
        emotion: rate([one["EA-8"] for row, one in zip(rows, read, strict=True) if row["emotion"] == emotion])
        for emotion in config.emotions
    }
    confusion = np.zeros((8, 8), int)
    for row, one in zip(rows, read, strict=True):
        confusion[MIKELS.index(row["emotion"]), MIKELS.index(one["read"])] += 1
    figures["confusion"] = confusion.tolist()
    figures["kappa"] = cohen_kappa(confusion)
    figures["macro_F1"] = macro_f1(confusion)
    for axis, place in (("valence", 0), ("arousal", 1)):
        asked = np.array([MIKELS_VA[row["emotion"]][place] for row in rows])
        judged = np.array([one[axis] for one in read])
        figures[axis] = {"mean_absolute_error": float(np.abs(asked - judged).mean()), "r": _pearson(asked, judged)}
    for metric in MEANS:
        values = [(row[metric], row["prompt"]) for row in rows if row.get(metric) is not None]
        if values:
            mean, low, high = clustered_mean([v for v, _ in values], [p for _, p in values])
            figures[metric] = {"value": mean, "low": low, "high": high, "n": len(values)}
    if "attributes" in config.metrics:
        figures["attributes"] = {emotion: _attributes(rows, emotion) for emotion in config.emotions}
    return figures


def _attributes(rows: Sequence[Mapping[str, Any]], emotion: str) -> dict[str, float]:
    mine = [row["attributes"] for row in rows if row["emotion"] == emotion]
    names = ("brightness", "colourfulness", "saturation", "motion")
    return {n: float(np.mean([a[n] for a in mine])) for n in names if mine and mine[0].get(n) is not None}


def cohen_kappa(confusion: np.ndarray) -> float:
    """Cohen's kappa (1960) of a confusion matrix; 0 is chance, 1 perfect, NaN when there is nothing to agree on."""
    total = confusion.sum()
    chance = (confusion.sum(0) * confusion.sum(1)).sum() / total**2
    return float((np.trace(confusion) / total - chance) / (1 - chance)) if chance < 1 else math.nan


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 over the emotions that were asked for."""
    asked, read, right = confusion.sum(1), confusion.sum(0), np.diag(confusion)
    scores = [2 * right[k] / (asked[k] + read[k]) for k in range(len(confusion)) if asked[k]]
    return float(np.mean(scores))


def _pearson(a: np.ndarray, b: np.ndarray) -> float | None:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else None


def _paired(
    mine: Sequence[Mapping], base: Sequence[Mapping], value: Callable[[Mapping], Any]
) -> tuple[list, list, list]:
    """Values of both systems on the clips that both have, and the prompts."""
    other = {row["clip"]: row for row in base if value(row) is not None}
    pairs = [(row, other[row["clip"]]) for row in mine if row["clip"] in other and value(row) is not None]
    return [value(a) for a, _ in pairs], [value(b) for _, b in pairs], [a["prompt"] for a, _ in pairs]


def _against(config: EvalConfig, systems: Mapping[str, list], judge: str) -> dict[str, Any]:
    """Each system minus the baseline. The p values of EA-8 and EA-2 are corrected together (Holm 1979)."""
    found: dict[str, Any] = {}
    tests: list[tuple[dict, float]] = []
    base = systems[config.baseline]
    for name, rows in systems.items():
        if name in (config.baseline, config.reference) or not rows or not base:
            continue
        found[name] = {}
        for metric in ("EA-8", "EA-2"):
            a, b, prompts = _paired(rows, base, lambda row, metric=metric: row["judges"][judge][metric])
            if a:
                difference, low, high = clustered_difference(a, b, prompts)
                entry = {"difference": difference, "low": low, "high": high, "n": len(a), "p": mcnemar_exact(a, b)}
                found[name][metric] = entry
                tests.append((entry, entry["p"]))
        for metric in MEANS:
            a, b, prompts = _paired(rows, base, lambda row, metric=metric: row.get(metric))
            if a:
                difference, low, high = clustered_difference(a, b, prompts)
                found[name][metric] = {"difference": difference, "low": low, "high": high, "n": len(a),
                                       "p": sign_flip(a, b, prompts)}  # fmt: skip
    for (entry, _), corrected in zip(tests, holm([p for _, p in tests]), strict=True):
        entry["p_holm"] = corrected
    return found


def _frechet(summary: dict[str, Any], config: EvalConfig, found: Measurement, systems: Mapping[str, list]) -> None:
    """Distances to the reference, with the spread over halves drawn without replacement: a bootstrap would repeat
    clips, which moves the distance itself."""
    if config.reference is None:
        return
    for metric in sorted({key[0] for key in found.features}):
        real = found.features.get((metric, config.reference))
        for name in systems:
            fake = found.features.get((metric, name))
            if real is None or fake is None or min(len(real), len(fake)) < 4:
                continue
            entry: dict[str, Any] = {"n": len(fake), "n_real": len(real)}
            if name == config.reference:
                entry["value"], entry["note"] = _halves(real, real, same=True)[0], "between halves of the real clips"
            else:
                entry["value"] = frechet_distance(real, fake)
                entry["half_mean"], entry["half_sd"] = _halves(real, fake)
            if name not in (config.reference, config.baseline) and config.baseline is not None:
                entry["p"] = _permutation(found, metric, name, config, systems)
            summary["systems"][name][metric] = entry


def _halves(real: np.ndarray, fake: np.ndarray, same: bool = False, draws: int = 20) -> tuple[float, float]:
    random = np.random.default_rng(0)
    values = []
    for _ in range(draws):
        a = random.permutation(len(real))
        if same:
            values.append(frechet_distance(real[a[: len(a) // 2]], real[a[len(a) // 2 :]]))
        else:
            b = random.permutation(len(fake))
            values.append(frechet_distance(real[a[: len(a) // 2]], fake[b[: len(b) // 2]]))
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _permutation(
    found: Measurement, metric: str, name: str, config: EvalConfig, systems: Mapping[str, list], draws: int = 200
) -> float | None:
    """Paired permutation test: under the null a prompt's clips of the two systems may be exchanged."""
    real = found.features[metric, config.reference]
    a, b = found.features[metric, name], found.features.get((metric, config.baseline))
    if b is None:
        return None
    other = {row["clip"]: index for index, row in enumerate(systems[config.baseline])}
    pairs = [(i, other[row["clip"]], row["prompt"]) for i, row in enumerate(systems[name]) if row["clip"] in other]
    if len(pairs) < 4:
        return None
    a, b = a[[i for i, _, _ in pairs]], b[[j for _, j, _ in pairs]]
    prompts = sorted({prompt for *_, prompt in pairs})
    member = np.array([prompts.index(prompt) for *_, prompt in pairs])
    observed = abs(frechet_distance(real, a) - frechet_distance(real, b))
    random = np.random.default_rng(0)
    as_large = 0
    for _ in range(draws):
        swap = random.integers(2, size=len(prompts)).astype(bool)[member][:, None]
        x, y = np.where(swap, b, a), np.where(swap, a, b)
        as_large += abs(frechet_distance(real, x) - frechet_distance(real, y)) >= observed - 1e-12
    return (as_large + 1) / (draws + 1)


def _notes(config: EvalConfig, summary: Mapping[str, Any], systems: Mapping[str, list]) -> list[str]:
    """What a reader has to know before believing."""
    notes = []
    smallest = min((len(rows) for rows in systems.values() if rows), default=0)
    if any(metric.startswith(("fvd", "frechet")) for metric in config.metrics) and smallest < ENOUGH:
        notes.append(f"Frechet distances of fewer than {ENOUGH} clips (here {smallest}) are mostly the bias of a small "
                     "sample: compare them only with each other, at this n")  # fmt: skip
    compared = [len(rows) for name, rows in systems.items() if rows and name != config.reference]
    if compared:
        seen = 100 * detectable(min(compared))
        notes.append(f"with {min(compared)} paired clips a difference in EA-8 of about {seen:.0f} points is found four "
                     "times out of five (if the systems differ on a quarter of the clips and the clips were "
                     "independent)")  # fmt: skip
    if config.reference is not None and config.reference in summary["systems"]:
        ceiling = summary["systems"][config.reference]["EA-8"]
        notes.append(f"the judge reads {100 * ceiling['value']:.0f} % of the reference's own clips as labelled "
                     f"(n = {ceiling['n']}): no system can be shown to be better than that")  # fmt: skip
    return notes


def detectable(n: int, discordance: float = 0.25) -> float:
    """The difference of two paired rates that McNemar's test finds with power 0.8 at a level of 0.05, by the normal
    approximation (Connor 1987)."""
    return (1.959964 + 0.841621) * math.sqrt(discordance / n)
