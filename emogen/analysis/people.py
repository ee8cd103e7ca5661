"""People: how each annotator answers against the others, and which clips are hard.

How far all annotators agree (Cohen, Fleiss, Krippendorff) is said by `emogen data agree`.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Picture, Result, Settings, register
from emogen.analysis.intervals import group_interval
from emogen.analysis.plots import INK, dots, draw, picture
from emogen.emotion import MIKELS

ANSWERS = (*MIKELS, "none")
_LIST = 200  # clips in a list to look at again


def run(clips: Clips, settings: Settings) -> Found:
    """Agreement with the others' majority, confusions, hard clips."""
    clips = clips.where(clips.usable)
    ids = clips.text("clip_id")
    answers = {clip: clips.answers[clip] for clip in ids if len(clips.answers.get(clip, ())) > 1}
    if not answers:
        raise NotPossible("No clip has answers of two people, so that their agreement cannot be measured.")
    group = dict(zip(ids, clips.group, strict=True))
    results, rows, confusions = [], [], []
    for name in sorted({who for given in answers.values() for who in given}):
        judged = against_others(answers, name)
        if not judged:
            continue
        result, row, confusion = _annotator(name, judged, group, settings)
        results.append(result)
        rows.append(row)
        confusions += confusion
    if not rows:
        raise NotPossible("No annotator's answers can be held against a majority of others; that takes three people.")
    hard = hard_clips(answers)
    split = np.array([item["entropy_bits"] > 0 for item in hard], float)
    each = np.stack([split, np.ones(len(split))], -1)
    groups = np.array([group[item["clip_id"]] for item in hard])
    value, low, high = group_interval(each, groups, lambda s: s[..., 0] / s[..., 1], settings)
    results.append(Result("clips on which people differ", float(value), float(low), float(high), len(hard)))
    worst = min(rows, key=lambda row: row["agrees"])
    sentence = (
        f"{len(rows)} people; the one who agrees least with the others' majority is {worst['annotator']} "
        f"({worst['agrees']:.0%}). People differ on {value:.0%} of {len(hard):,} clips with several answers."
    )
    tables = {"annotators": rows, "annotator_confusions": confusions, "hard_clips": hard[:_LIST]}
    return Found(sentence, results, {"annotators": _draw(rows)}, tables)


def against_others(answers: dict, name: str) -> list[tuple[str, str, str]]:
    """(clip, the others' majority, this person's answer) where the others, at least two, have one leading answer."""
    found = []
    for clip, given in answers.items():
        others = Counter(answer for who, answer in given.items() if who != name).most_common(2)
        if name not in given or sum(count for _, count in others) < 2:
            continue
        if len(others) == 1 or others[0][1] > others[1][1]:
            found.append((clip, others[0][0], given[name]))
    return found


def _annotator(name: str, judged: list, group: dict, settings: Settings) -> tuple[Result, dict, list[dict]]:
    places = [(ANSWERS.index(most), ANSWERS.index(said)) for _, most, said in judged if {most, said} <= set(ANSWERS)]
    tables = np.zeros((len(places), 9, 9))
    for row, (most, said) in enumerate(places):
        tables[row, most, said] = 1
    groups = np.array([group[clip] for clip, most, said in judged if {most, said} <= set(ANSWERS)])

    def agrees(s: np.ndarray) -> np.ndarray:
        return np.trace(s, axis1=-2, axis2=-1) / s.sum((-2, -1))

    def kappa(s: np.ndarray) -> np.ndarray:
        total = s.sum((-2, -1))
        chance = (s.sum(-1) * s.sum(-2)).sum(-1) / total**2
        return (agrees(s) - chance) / (1 - chance)

    value, low, high = group_interval(tables, groups, agrees, settings)
    k, k_low, k_high = group_interval(tables, groups, kappa, settings)
    row = {"annotator": name, "clips": len(places), "agrees": float(value), "low": float(low), "high": float(high),
           "kappa": float(k), "kappa_low": float(k_low), "kappa_high": float(k_high)}  # fmt: skip
    total = tables.sum(0)
    confusion = [
        {"annotator": name, "others": ANSWERS[a], "says": ANSWERS[b], "clips": int(total[a, b])}
        for a, b in zip(*np.nonzero(total), strict=True)
    ]
    note = f"with the others' majority; kappa {float(k):.2f}"
    return Result(f"{name} agrees", float(value), float(low), float(high), len(places), note), row, confusion


def hard_clips(answers: dict) -> list[dict]:
    """Every clip with how far its answers are apart (entropy in bits), the hardest first."""
    rows = []
    for clip, given in answers.items():
        counts = Counter(given.values())
        share = np.array(list(counts.values())) / len(given)
        bits = float(-(share * np.log2(share)).sum()) + 0.0
        said = ", ".join(f"{answer} {count}" for answer, count in counts.most_common())
        rows.append({"clip_id": clip, "entropy_bits": bits, "answers": len(given), "said": said})
    return sorted(rows, key=lambda row: (-row["entropy_bits"], row["clip_id"]))


def _draw(rows: list[dict]) -> Picture:
    figure, axes = draw(5.0, 0.32 * len(rows) + 0.9)
    value, low, high = ([row[key] for row in rows] for key in ("agrees", "low", "high"))
    dots(axes[0, 0], [row["annotator"][:24] for row in rows], value, low, high)
    axes[0, 0].set_xlim(0, 1)
    axes[0, 0].set_xlabel("agrees with the others' majority", color=INK)
    return picture(figure, "How often each annotator says what most of the others say.")


ANALYSIS = register(Analysis("people", "People", ("answers",), run))
