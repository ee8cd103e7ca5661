"""Labels dealt out at random: the data of a placebo, whose training sees everything but what the labels say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from emogen.data.records import ClipRecord
from emogen.training.config import TrainingConfig
from emogen.training.life.checkpoint import CheckpointError, find_resume

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


def check_same_labels(config: TrainingConfig) -> None:
    """Refuse to go on from a checkpoint whose run had the clips labelled otherwise: shuffled, not shuffled, or shuffled
    by another seed. The rest would be neither the run nor its placebo.

    Raises:
        CheckpointError: they differ.
    """
    wanted = config.checkpoint.resume_from_checkpoint
    checkpoint = find_resume(Path(config.run.output_dir), wanted) if wanted is not None else None
    begun = checkpoint.parent / "training_config.yaml" if checkpoint is not None else None
    if begun is None or not begun.is_file():
        return
    try:
        settings = yaml.safe_load(begun.read_text(encoding="utf-8"))
        before = bool(settings["data"].get("shuffle_labels", False)), settings["run"].get("seed", 0)
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{begun}: not the configuration of a run ({error}); restore or delete it") from error
    now = config.data.shuffle_labels, config.run.seed
    if before[0] != now[0]:
        raise CheckpointError(
            f"{checkpoint}: its run had data.shuffle_labels: {str(before[0]).lower()}; resume with "
            "the same, or choose another --output_dir and no checkpoint"
        )
    if now[0] and before[1] != now[1]:
        raise CheckpointError(
            f"{checkpoint}: its run had its labels shuffled by run.seed: {before[1]}, not {now[1]}; "
            "resume with the same, or choose another --output_dir and no checkpoint"
        )
