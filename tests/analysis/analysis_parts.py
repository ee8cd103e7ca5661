"""Labelled sets drawn for the tests of the analyses."""

import numpy as np

from emogen.analysis.sources import clips_of
from emogen.emotion import MIKELS


def chain(stay=0.5, within=0.12):
    """Transition probabilities `[8, 8]`: `stay` on the diagonal, `within` to each of the same valence."""
    table = np.zeros((8, 8))
    for half in (range(4), range(4, 8)):
        other = [k for k in range(8) if k not in half]
        for k in half:
            table[k, list(half)] = within
            table[k, other] = (1 - stay - 3 * within) / 4
            table[k, k] = stay
    return table


def walk(table, films, length, rng):
    """States `[films, length]` of a Markov chain."""
    upto = table.cumsum(1)
    states = np.empty((films, length), int)
    states[:, 0] = rng.integers(8, size=films)
    for place in range(1, length):
        states[:, place] = (rng.random(films)[:, None] > upto[states[:, place - 1]]).sum(1).clip(0, 7)
    return states


def noisy(states, right, rng):
    """Labels that are right with probability `right` and else any of the other seven."""
    wrong = (states + rng.integers(1, 8, size=states.shape)) % 8
    return np.where(rng.random(states.shape) < right, states, wrong)


def film_rows(states, domain="movie", **columns):
    """Rows of the working table for films of clips of 5 seconds that adjoin."""
    return [
        {
            "clip_id": f"f{film}c{place}", "source_path": f"film{film}.mp4", "group": f"film{film}", "domain": domain,
            "emotion": MIKELS[state] if state >= 0 else None, "order": place, "start": 5.0 * place,
            "end": 5.0 * place + 5, "duration": 5.0, "gap_before": 0.0 if place else None, "label_kind": "human",
            **{name: value[film][place] for name, value in columns.items()},
        }
        for film, line in enumerate(states) for place, state in enumerate(line)
    ]  # fmt: skip


def look_rows(clips=400, groups=40, effect=0.08, spread=0.05, seed=0):
    """Clips whose saturation rises with positive valence by `effect`; groups have looks of their own."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0, spread, groups)
    rows = []
    for place in range(clips):
        group, label = place % groups, int(rng.integers(8))
        saturation = float(np.clip(0.4 + own[group] + (effect if label < 4 else 0) + rng.normal(0, 0.1), 0, 1))
        hue = float((40 + 25 * (label < 4) + rng.normal(0, 20)) % 360)
        rows.append({
            "clip_id": f"c{place}", "group": f"g{group}", "domain": ("sticker", "movie")[group % 2],
            "emotion": MIKELS[label], "label_kind": ("human", "model")[place % 2], "saturation": saturation,
            "brightness": float(rng.uniform(0.2, 0.9)), "contrast": float(rng.uniform(0, 0.4)),
            "motion": float(rng.gamma(2, 0.2)), "duration": float(rng.uniform(1, 9)), "hue": hue,
            "hue_strength": float(rng.uniform(0.2, 1)), "paper_hue": round(hue * 0.6),
            "paper_colourfulness": round(saturation * 0.8, 1), "paper_brightness": round(float(rng.uniform(0, 1)), 1),
            "caption": f"a {('happy', 'plain')[place % 3 > 0]} face at the {MIKELS[label]} sea number {place % 7}",
        })  # fmt: skip
    return rows


def look_clips(**options):
    return clips_of(look_rows(**options))
