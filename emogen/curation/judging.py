"""What judges say of a clip as columns of the table. The judges themselves are handed in by the command."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from emogen.curation.stage import Row
from emogen.emotion import MIKELS


def judged_row(clip_id: str, shares: np.ndarray, names: Sequence[str], least: float) -> Row:
    """The columns that judges fill.

    Args:
        shares: `[J, 8]`, what each judge gives each of the eight; rows sum to 1.
        names: of the judges.
        least: from which mean share on the leading emotion becomes the label; below, it is only `judge_emotion`.
    """
    mean = shares.mean(0)
    place = int(mean.argmax())
    confidence = float(mean[place])
    row: Row = {
        "clip_id": clip_id,
        "judge": ", ".join(names),
        "judge_emotion": MIKELS[place],
        "confidence": round(confidence, 6),
        "disagreement": round(disagreement(shares), 6),
    }
    if confidence >= least:
        row |= {"emotion": MIKELS[place], "label_kind": "model"}
    return row


def disagreement(shares: np.ndarray) -> float:
    """How far judges are apart: their Jensen-Shannon divergence over its largest value, 0 (of one mind) to 1. Of one
    judge alone it is how unsure it is: 1 - its largest share.

    Args:
        shares: `[J, 8]`, rows sum to 1.
    """
    if len(shares) == 1:
        return float(1 - shares.max())

    def entropy(p: np.ndarray) -> np.ndarray:
        return -(p * np.log(np.maximum(p, 1e-12))).sum(-1)

    return float(max(0.0, entropy(shares.mean(0)) - entropy(shares).mean()) / math.log(min(len(shares), len(MIKELS))))
