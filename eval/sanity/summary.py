"""From readings to figures: distances between halves of the clips, and whether they rise as clips get worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emogen.emotion import MIKELS, NEUTRAL
from emogen.eval.controls.estimates import spearman
from emogen.eval.judges.ensemble import kappa_table
from emogen.eval.metrics import frechet_distance
from emogen.eval.metrics.agreement import read_as_asked
from emogen.eval.sanity.readings import CLEAN, Condition, Readings
from emogen.eval.statistics import rate

BLIND = 1e-3
"""Features that move by less than this part of their spread over clips do not see what was done."""
Halves = Sequence[tuple[np.ndarray, np.ndarray]]


def halves_of(count: int, splits: int, seed: int) -> Halves:
    """`splits` random divisions of clips into two equal halves; an odd clip is left out."""
    random, half = np.random.default_rng(seed), count // 2
    orders = [random.permutation(count) for _ in range(splits)]
    return [(order[:half], order[half : 2 * half]) for order in orders]


def curve(
    clean: np.ndarray, spoilt: Sequence[np.ndarray], strengths: Sequence[float], halves: Halves
) -> dict[str, Any]:
    """The distance of one half as it is from the other half made worse, over the strengths.

    Args:
        clean: features `[n, d]`. spoilt: the same of the clips at each of the strengths above 0.

    Returns:
        `strengths`, from 0; for each `distance`, the mean over divisions, its standard deviation `sd` over them,
        `above`, the share of divisions in which it is larger than at 0, and `change`, how far features moved (root mean
        square, in units of their spread over clips; up to `BLIND` counts as not at all); `rho`, Spearman's of distance
        on strength; `rises`: whether every step is upwards; and `seen_from`, the least strength from which on `above`
        is 1, or None.
    """
    spread = np.sqrt(np.square(clean - clean.mean(0)).sum(1).mean())
    every = (clean, *spoilt)
    moved = [float(np.sqrt(np.square(features - clean).sum(1).mean())) for features in every]
    change = [float(one / spread) if spread > 0 else float(one > 0) for one in moved]
    # Features that do not see what was done differ by rounding, with which distances would rise or fall by chance.
    kept = [features if one > BLIND else clean for features, one in zip(every, change, strict=True)]
    values = np.array([[frechet_distance(clean[a], features[b]) for a, b in halves] for features in kept])
    mean, above = values.mean(1), (values > values[0]).mean(1)
    levels = [0.0, *strengths]
    unseen = np.flatnonzero(above < 1)[-1]  # the first never is above itself
    return {
        "strengths": levels, "distance": mean.tolist(), "sd": values.std(1, ddof=1).tolist(), "above": above.tolist(),
        "change": change, "rho": float(spearman(levels, mean / (mean.max() or 1.0))),
        "rises": bool((np.diff(mean) > 0).all()),
        "seen_from": levels[unseen + 1] if unseen + 1 < len(levels) else None,
    }  # fmt: skip


def summarise(
    found: Readings,
    strengths: Mapping[str, Sequence[float]],
    networks: Sequence[str],
    judges: Sequence[str],
    halves: Halves,
) -> dict[str, Any]:
    """All figures: `networks`, `flickering`, `judges` and `kappa`; those of a corruption are lists over its strengths
    from 0, the clips as they are."""
    levels = {name: [CLEAN, *((name, strength) for strength in given)] for name, given in strengths.items()}
    summary: dict[str, Any] = {"networks": {}, "judges": {}, "n": len(found.records), "half": len(halves[0][0])}
    for network in networks:
        features = {key[1]: values for key, values in found.features.items() if key[0] == network}
        curves = {
            name: curve(features[CLEAN], [features[one] for one in conditions[1:]], strengths[name], halves)
            for name, conditions in levels.items()
        }
        entry: dict[str, Any] = {"width": features[CLEAN].shape[1], "curves": curves}
        if "shuffle" in curves:
            entry["sees_order"] = curves["shuffle"]["change"][-1] > BLIND
        summary["networks"][network] = entry
    summary["flickering"] = {
        name: [float(found.flickering[one].mean()) for one in conditions] for name, conditions in levels.items()
    }
    shown = np.array([record.label != NEUTRAL for record in found.records])
    asked = [record.label for record in found.records if record.label != NEUTRAL]
    if not asked:
        return summary | {"kappa": {}}

    def right(judge: str, condition: Condition) -> dict[str, Any]:
        return rate(read_as_asked(found.distributions[judge, condition][shown], asked)[0])

    def kappas(condition: Condition) -> dict[str, float | None]:
        said = {judge: found.distributions[judge, condition][shown].argmax(1) for judge in judges}
        return kappa_table({judge: [MIKELS[place] for place in places] for judge, places in said.items()})

    for judge in judges:
        summary["judges"][judge] = {name: [right(judge, one) for one in conditions]
                                    for name, conditions in levels.items()}  # fmt: skip
    pairs = len(judges) > 1
    summary["kappa"] = {name: [kappas(one) for one in every] for name, every in levels.items()} if pairs else {}
    return summary
