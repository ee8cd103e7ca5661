"""Emotion agreement: EA-8cls and EA-2cls of judged clips, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emogen.emotion import MIKELS, POSITIVE
from emogen.eval.statistics import wilson


def hits(distribution: np.ndarray, asked: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each clip is read as asked, by category and by valence.

    EA-8: the largest share is the asked category. EA-2: the larger of the two summed halves (four positive, four
    negative) holds it: EmoGen's definition, not the sign of the top category.

    Args:
        distribution: `(n, 8)` in the order of `MIKELS`.
        asked: n names of the eight.

    Returns:
        Two boolean arrays `(n,)`.
    """
    truth = np.array([MIKELS.index(name) for name in asked])
    positive = distribution[:, : len(POSITIVE)].sum(1) >= distribution[:, len(POSITIVE) :].sum(1)
    return distribution.argmax(1) == truth, positive == (truth < len(POSITIVE))


def rate(values: Sequence[bool]) -> dict[str, Any]:
    """A share with its Wilson 95 % interval and its n."""
    n, k = len(values), int(np.sum(values))
    low, high = wilson(k, n)
    return {"value": k / n if n else float("nan"), "low": low, "high": high, "n": n}
