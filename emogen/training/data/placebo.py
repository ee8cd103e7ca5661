"""Labels dealt out at random: the data of a placebo, whose training sees everything but what the labels say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emogen.data.records import ClipRecord

_LABEL = ("emotion", "arc", "label_source", "agreement", "confidence")
_STREAM = 0x6C61  # apart from whatever else is drawn with the same seed


def shuffle_labels(records: Sequence[ClipRecord], seed: int, split: str = "train") -> tuple[list[ClipRecord], int]:
    """Give the labels of a split's clips to each other, by a random permutation.

    A label moves as a whole: the emotion or its arc, and who gave it how surely. Everything else, captions above all,
    stays with the clip. Every permutation is equally likely, so some clips get their own label back, or an equal one:
    a permutation that avoided those would still tell what a clip is not.

    Args:
        records: of all splits.
        seed: with the number of clips of the split, all that the permutation depends on.
        split: the others' labels stay.

    Returns:
        The records in the same order, and how many of the split have the same category as before.

    Raises:
        ValueError: the clips of the split all have one category, so that there is nothing to shuffle.
    """
    rows = [row for row, record in enumerate(records) if record.split == split]
    if len({records[row].label for row in rows}) == 1:
        raise ValueError(
            f"all {len(rows)} clips of split {split!r} are labelled {records[rows[0]].label}: shuffling "
            "their labels would change nothing"
        )
    found = list(records)
    order = np.random.default_rng([seed, _STREAM]).permutation(len(rows))
    for row, place in zip(rows, order, strict=True):
        giver = records[rows[place]]
        found[row] = replace(records[row], **{name: getattr(giver, name) for name in _LABEL})
    return found, sum(found[row].label == records[row].label for row in rows)
