"""Arcs as films have them: emotions hold, drift within their valence, and now and then leap.

EmoVid (AAAI 2026) counts how the emotions of consecutive film clips follow each other. It prints some of the numbers:
an emotion stays with 0.53 (fear), 0.46 (anger), 0.46 (amusement); passes to another of its valence with 0.08 to 0.18
and across valence with less than 0.08; and sadness leads to fear and anger, fear to anger. `FILM_TRANSITIONS` keeps to
these; what the paper leaves open is filled in evenly, which is our doing. `estimate_transitions` counts your own.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from emogen.emotion.arc import EmotionArc
from emogen.emotion.state import EmotionState
from emogen.emotion.taxonomy import MIKELS, NEGATIVE, POSITIVE

Transitions = Mapping[str, Mapping[str, float]]

_STAYS = {"fear": 0.53, "anger": 0.46, "amusement": 0.46}
_STAYS_ELSE = 0.45
_CHAINS = {("sadness", "fear"): 0.16, ("sadness", "anger"): 0.16, ("fear", "anger"): 0.16}
_WITHIN = 0.11


def _film() -> dict[str, dict[str, float]]:
    table = {}
    for name in MIKELS:
        same, other = (POSITIVE, NEGATIVE) if name in POSITIVE else (NEGATIVE, POSITIVE)
        row = {to: _CHAINS.get((name, to), _WITHIN) for to in same}
        row[name] = _STAYS.get(name, _STAYS_ELSE)
        if name == "sadness":
            row["disgust"] = 0.08  # the chains take what is within valence
        rest = (1 - sum(row.values())) / len(other)
        table[name] = {to: row.get(to, rest) for to in MIKELS}
    return table


FILM_TRANSITIONS: Transitions = _film()
"""From -> to -> probability; each row adds up to 1."""


def estimate_transitions(sequences: Iterable[Sequence[str]], prior: float = 1.0) -> dict[str, dict[str, float]]:
    """Transition probabilities of labelled sequences, such as the clips of films in their order.

    Args:
        sequences: of Mikels' eight.
        prior: clips counted beforehand for each row, spread as in `FILM_TRANSITIONS`; 0 takes the counts alone.

    Raises:
        ValueError: a label is none of the eight, or a row without counts and without a prior.
    """
    counts = {a: {b: prior * FILM_TRANSITIONS[a][b] for b in MIKELS} for a in MIKELS}
    for number, sequence in enumerate(sequences, 1):
        for label in sequence:
            if label not in counts:
                raise ValueError(f"sequence {number}: {label!r} is none of {', '.join(MIKELS)}")
        for before, after in pairwise(sequence):
            counts[before][after] += 1
    empty = [name for name, row in counts.items() if sum(row.values()) <= 0]
    if empty:
        raise ValueError(f"nothing follows {empty[0]} in the sequences; give a prior above 0")
    return {a: {b: value / sum(row.values()) for b, value in row.items()} for a, row in counts.items()}


def read_transitions(priors: str | Path, prior: float = 8.0) -> dict[str, dict[str, float]]:
    """The transitions of a data set, for `sample_arc`, from the `emogen_priors.json` that `emogen analyze` writes.

    Args:
        prior: steps counted beforehand for each emotion, spread as in `FILM_TRANSITIONS`, so that a rare emotion has
            somewhere to go.

    Raises:
        ValueError: the file is not readable or holds no transitions of the eight, or nothing follows an emotion and
            `prior` is 0.
    """
    try:
        counted = json.loads(Path(priors).read_text(encoding="utf-8"))["transitions"]
        rows = {a: {b: float(counted[a][b]) + prior * FILM_TRANSITIONS[a][b] for b in MIKELS} for a in MIKELS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{priors}: holds no transitions; `emogen analyze` writes emogen_priors.json ({error})"
        ) from error
    for name, row in rows.items():
        total = sum(row.values())
        if not (math.isfinite(total) and total > 0 and min(row.values()) >= 0):
            raise ValueError(f"{priors}: nothing follows {name}, or a count is negative; give a prior above 0")
    return {a: {b: value / sum(row.values()) for b, value in row.items()} for a, row in rows.items()}


def sample_arc(
    segments: int = 3,
    start: str | None = None,
    *,
    seed: int | None = None,
    transitions: Transitions = FILM_TRANSITIONS,
    change: float = 0.3,
    intensity: float = 1.0,
) -> EmotionArc:
    """A random arc whose emotions follow each other as in films.

    Args:
        segments: stretches of equal length, each with one emotion; neighbours may have the same.
        start: the first emotion; by default any of the eight.
        seed: the same seed, the same arc.
        transitions: from -> to -> probability.
        change: share of a stretch that the change into the next one takes, above 0 to 1.
        intensity: of all emotions, above 0 to 1.

    Raises:
        ValueError: segments below 1, an unknown start, or a share outside its range.
    """
    if segments < 1:
        raise ValueError(f"segments is {segments}; an arc has at least one")
    if start is not None and start not in transitions:
        raise ValueError(f"start {start!r} is none of {', '.join(transitions)}")
    for name, value in (("change", change), ("intensity", intensity)):
        if not 0 < value <= 1:
            raise ValueError(f"{name} is {value:g}; it lies above 0 and is at most 1")
    lot = random.Random(seed)
    names = [start or lot.choice(list(transitions))]
    while len(names) < segments:
        row = transitions[names[-1]]
        names.append(lot.choices(list(row), weights=list(row.values()))[0])
    frames = []
    for index, name in enumerate(names):
        state = EmotionState.of(name, intensity)
        begin, end = ((index + share) / segments for share in (change / 2, 1 - change / 2))
        frames.append((0.0 if index == 0 else begin, state, "hold"))
        if index < segments - 1 and names[index + 1] != name:
            frames.append((max(end, frames[-1][0] + 1e-6), state, "ease"))
    return EmotionArc.from_keyframes(frames)
