"""Are the two largest judged emotions the two that were asked?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emogen.emotion import MIKELS
from emogen.eval.controls.asks import Ask, make_asks, pairs_of
from emogen.eval.controls.config import ControlsConfig
from emogen.eval.controls.estimates import mean_of

KINDS = ("both", "first")
CHANCE = {"both": 1 / 28, "first": 2 / 8}
"""Two emotions, or one, drawn blindly out of the eight."""


def asks(config: ControlsConfig, prompts: Sequence[str]) -> list[Ask]:
    wanted = [(f"{a}:0.5+{b}:0.5", 1.0, {"pair": [a, b]}) for a, b in pairs_of(config.mixtures.pairs)]
    return make_asks(config, prompts, wanted)


def summarise(config: ControlsConfig, rows: Sequence[Mapping[str, Any]], judge: str) -> dict[str, Any]:
    """Shares of clips, over all and by pair.

    `both`: the two largest shares are the two asked, in any order. `first`: the largest is one of the two. `shuffled`:
    the same clips held against the other pairs that the prompt was asked for, which is the rate of a model that does
    not hear which pair it is and of a judge with favourites; `chance` is that of a blind draw.
    """
    numbers = [row["number"] for row in rows]
    hit = [finds_pair(row["judges"][judge]["distribution"], row["pair"]) for row in rows]
    found: dict[str, Any] = {"chance": CHANCE, "clips": len(rows), "shuffled": _shuffled(rows, judge)}
    for kind in KINDS:
        found[kind] = mean_of([one[kind] for one in hit], numbers)
    found["pairs"] = []
    for a, b in pairs_of(config.mixtures.pairs):
        mine = [(one, row) for one, row in zip(hit, rows, strict=True) if row["pair"] == [a, b]]
        if mine:
            mean = np.mean([row["judges"][judge]["distribution"] for _, row in mine], axis=0)
            rates = {kind: float(np.mean([one[kind] for one, _ in mine])) for kind in KINDS}
            largest = [MIKELS[i] for i in np.argsort(-mean, kind="stable")[:3]]
            found["pairs"].append(
                {
                    "pair": [a, b],
                    **rates,
                    "n": len(mine),
                    "largest": largest,
                    "shares": [float(mean[MIKELS.index(a)]), float(mean[MIKELS.index(b)])],
                }
            )
    return found


def finds_pair(distribution: Sequence[float], pair: Sequence[str]) -> dict[str, bool]:
    """Whether the two largest shares are the pair, and whether the largest is of it (of equals, the first)."""
    order = np.argsort(-np.asarray(distribution), kind="stable")
    asked = {MIKELS.index(name) for name in pair}
    return {"both": set(order[:2].tolist()) == asked, "first": int(order[0]) in asked}


def _shuffled(rows: Sequence[Mapping[str, Any]], judge: str) -> dict[str, float | None]:
    others: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for row in rows:
        for other in rows:
            if (other["number"], other["seed"]) == (row["number"], row["seed"]) and other["pair"] != row["pair"]:
                one = finds_pair(row["judges"][judge]["distribution"], other["pair"])
                for kind in KINDS:
                    others[kind].append(one[kind])
    return {kind: float(np.mean(values)) if values else None for kind, values in others.items()}
