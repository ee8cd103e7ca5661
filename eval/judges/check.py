"""Checking a judge on labelled clips: the figures of its card."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from emogen.data.records import ClipRecord
from emogen.emotion import MIKELS, NEUTRAL
from emogen.eval.judges.base import log_shares
from emogen.eval.judges.calibration import calibration
from emogen.eval.judges.card import JudgeCard, card_of
from emogen.eval.judges.data import ClipReader
from emogen.eval.judges.embedded import Judge, Verdict
from emogen.eval.judges.spec import JudgeError
from emogen.eval.metrics.agreement import read_as_asked
from emogen.eval.statistics import rate


def figures_of(distribution: np.ndarray, labels: Sequence[str], bins: int = 10) -> dict[str, Any]:
    """A card's figures from what a judge said.

    Args:
        distribution: `[n, 8]`. labels: n of the eight.

    Returns:
        `n`; `accuracy` and `EA-2` with Wilson's 95 % interval, which takes the clips as independent; `recall` of every
        category that occurs, with its own; `confusion` `[8][8]`, rows as labelled; and those of
        `calibration.calibration`.
    """
    eight, two = read_as_asked(distribution, labels)
    truth = np.array([MIKELS.index(label) for label in labels])
    confusion = np.zeros((len(MIKELS), len(MIKELS)), int)
    np.add.at(confusion, (truth, distribution.argmax(1)), 1)
    return {
        "accuracy": rate(eight), "EA-2": rate(two),
        "recall": {name: rate(eight[truth == place]) for place, name in enumerate(MIKELS) if (truth == place).any()},
        "confusion": confusion.tolist(), **calibration(log_shares(distribution), truth, bins),
    }  # fmt: skip


def check_judge(
    judge: Judge, records: Sequence[ClipRecord], *, bins: int = 10, quiet: bool = True
) -> tuple[dict[str, Any], dict[str, str]]:
    """Let a judge read labelled clips.

    Neutral clips count for the confidence alone: the eight hold no right answer for them.

    Returns:
        The figures of `figures_of` with `neutral` (how many, and the mean confidence on them) and `confidence` (on
        the others); and what could not be read, file name -> why.

    Raises:
        JudgeError: no clip shows one of the eight, or none can be read.
    """
    reader = ClipReader(records, quiet=quiet)
    labels: list[str] = []
    verdicts: list[Verdict] = []
    for part, clips in reader:
        verdicts.append(judge(clips))
        labels += [record.label for record in part]
    if not any(label != NEUTRAL for label in labels):
        reasons = "; ".join(f"{name}: {why}" for name, why in list(reader.excluded.items())[:3])
        why = f" ({reasons})" if reasons else ""
        raise JudgeError(f"no clip that shows one of {', '.join(MIKELS)} could be read{why}")
    shown = np.array([label != NEUTRAL for label in labels])
    distribution = np.concatenate([verdict.distribution for verdict in verdicts])
    sure = np.concatenate([verdict.confidence for verdict in verdicts])
    found = figures_of(distribution[shown], [label for label in labels if label != NEUTRAL], bins)
    found["confidence"] = float(sure[shown].mean())
    rest = sure[~shown]
    found["neutral"] = {"n": len(rest), "confidence": float(rest.mean()) if len(rest) else None}
    return found, reader.excluded


def checked_card(judge: Judge, data: str, figures: dict[str, Any]) -> JudgeCard:
    """The judge's card with new figures under a data set's name."""
    card = card_of(judge)
    return dataclasses.replace(card, held_out={**card.held_out, data: figures})


def check_text(card: JudgeCard, data: str) -> str:
    """The figures of one data set, for a terminal."""
    found = card.held_out[data]
    lines = [f"{card.name} on {data}: {found['n']} clips", f"  accuracy {_rate(found['accuracy'])}",
             f"  EA-2     {_rate(found['EA-2'])}"]  # fmt: skip
    lines += [f"  recall   {_rate(figure)}  {name} (n = {figure['n']})" for name, figure in found["recall"].items()]
    after = "fewer than 20 clips" if found["ece_after"] is None else f"{found['ece_after']:.3f}"
    lines.append(f"  ECE      {found['ece_before']:.3f}; with temperature {found['temperature']:.2f}: {after}")
    if found["neutral"]["n"]:
        lines.append(f"  confidence {found['confidence']:.2f}, and {found['neutral']['confidence']:.2f} on "
                     f"{found['neutral']['n']} neutral clips")  # fmt: skip
    return "\n".join(lines)


def _rate(figure: dict[str, Any]) -> str:
    return f"{100 * figure['value']:5.1f} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"
