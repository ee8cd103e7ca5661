"""Emotion agreement as a metric: is a clip read as the emotion that was asked for?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection, SumMetric
from torchmetrics.classification import (
    BinaryAccuracy,
    MulticlassAccuracy,
    MulticlassCohenKappa,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassRecall,
)
from torchmetrics.regression import ConcordanceCorrCoef, MeanAbsoluteError, PearsonCorrCoef
from torchmetrics.wrappers.abstract import WrapperMetric

from emogen.emotion import MIKELS, POSITIVE
from emogen.eval.statistics import wilson

_EIGHT = len(MIKELS)
_HALF = len(POSITIVE)


def summed_halves(probabilities: Tensor) -> Tensor:
    """Whether the four positive shares of `[n, 8]` outweigh the four negative ones, bool `[n]`; a draw is positive.

    This is EA-2's reading (EmoGen, Yang et al., CVPR 2024), not the sign of the top category: a clip whose top
    category is fear is read as positive when the positive shares together are larger.
    """
    return probabilities[:, :_HALF].sum(1) >= probabilities[:, _HALF:].sum(1)


class EmotionAgreement(WrapperMetric):
    """Agreement of judged clips with the emotions asked for, over Mikels' eight in the order of `MIKELS`.

    `compute` gives a dict of float tensors (NaN where there is nothing to tell from):

    - `n`: clips;
    - `ea8`, `ea8_low`, `ea8_high`: share of clips whose top category is the one asked, with Wilson's 95 % interval;
    - `ea2`, `ea2_low`, `ea2_high`: the same of the two summed halves (`summed_halves`);
    - `recall` `[8]`: EA-8 of each category asked, NaN where none was;
    - `macro_f1`: mean F1 of the categories that were asked or read;
    - `kappa`: Cohen's kappa of asked and read, -1 to 1;
    - `confusion` `[8, 8]`: counts, row asked, column read;
    - with `va`: `va_n`, and for valence and arousal each `_mae` (0 to 2), `_pearson` and `_ccc` (Lin 1989; -1 to 1).

    Wilson's interval takes clips as independent; several clips of one prompt are not, and
    `emogen.eval.statistics.clustered_mean` resamples whole prompts.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        # compute groups are formed at the first update, which a process without clips never sees
        self.categories = MetricCollection(
            {
                "ea8": MulticlassAccuracy(_EIGHT, average="micro"),
                "recall": MulticlassRecall(_EIGHT, average=None),
                "macro_f1": MulticlassF1Score(_EIGHT, average="macro"),
                "kappa": MulticlassCohenKappa(_EIGHT),
                "confusion": MulticlassConfusionMatrix(_EIGHT),
            },
            compute_groups=False,
        )
        self.halves = MetricCollection({"ea2": BinaryAccuracy()}, compute_groups=False)
        self.plane = MetricCollection(
            {
                "mae": MeanAbsoluteError(num_outputs=2),
                "pearson": PearsonCorrCoef(num_outputs=2),
                "ccc": ConcordanceCorrCoef(num_outputs=2),
            },
            compute_groups=False,
        ).set_dtype(torch.float64)
        self.plane_count = SumMetric()

    def update(self, probabilities: Tensor, target: Tensor, va: tuple[Tensor, Tensor] | None = None) -> None:
        """Add judged clips.

        Args:
            probabilities: `[n, 8]`, rows sum to 1.
            target: `[n]`, integers 0..7: the categories asked for, as places in `MIKELS`.
            va: read and asked valence-arousal, each `[n, 2]` in [-1, 1].

        Raises:
            TypeError: not tensors, or a target that is not of integers.
            ValueError: other shapes, NaN, probabilities that are none, a target outside 0..7, or points off the plane.
        """
        for metric, read, asked in self._pairs(probabilities, target, va):
            metric.update(read, asked)
        self.plane_count.update(0 if va is None else len(target))

    def forward(
        self, probabilities: Tensor, target: Tensor, va: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """`update`, and the values of this batch alone."""
        values: dict[str, Tensor] = {}
        for metric, read, asked in self._pairs(probabilities, target, va):
            values |= metric(read, asked)
        count = 0 if va is None else len(target)
        self.plane_count.update(count)
        return _report(values, count)

    def compute(self) -> dict[str, Tensor]:
        """All values; see the class.

        Raises:
            ValueError: no clips were given, to any process.
        """
        values = self.categories.compute() | self.halves.compute()
        if not values["confusion"].sum():
            raise ValueError("EmotionAgreement: no clips were given")
        count = int(self.plane_count.compute())
        if count:
            values |= self.plane.compute()
        return _report(values, count)

    def reset(self) -> None:
        """Forget all clips."""
        super().reset()
        for metric in (self.categories, self.halves, self.plane, self.plane_count):
            metric.reset()

    def _pairs(
        self, probabilities: Tensor, target: Tensor, va: tuple[Tensor, Tensor] | None
    ) -> Iterator[tuple[MetricCollection, Tensor, Tensor]]:
        _check(probabilities, target)
        plane = None if va is None else _check_plane(va, len(target))
        device = self.plane_count.device
        probabilities, target = probabilities.detach().to(device), target.to(device)
        yield self.categories, probabilities.argmax(1), target
        yield self.halves, summed_halves(probabilities).long(), (target < _HALF).long()
        if plane is not None:
            yield self.plane, plane[0].detach().to(device, torch.float64), plane[1].to(device, torch.float64)


def _report(values: dict[str, Tensor], plane_count: int) -> dict[str, Tensor]:
    confusion = values["confusion"]
    n, asked = int(confusion.sum()), confusion.sum(1)
    report = {"n": confusion.new_tensor(n, dtype=torch.float32)}
    for name in ("ea8", "ea2"):
        share = values[name]
        low, high = wilson(round(float(share) * n), n)
        report |= {name: share, f"{name}_low": share.new_tensor(low), f"{name}_high": share.new_tensor(high)}
    report["recall"] = torch.where(asked > 0, values["recall"], torch.nan)
    report |= {"macro_f1": values["macro_f1"], "kappa": values["kappa"], "confusion": confusion}
    if plane_count:
        report["va_n"] = confusion.new_tensor(plane_count, dtype=torch.float32)
        for place, axis in enumerate(("valence", "arousal")):
            report |= {f"{axis}_{name}": values[name][place] for name in ("mae", "pearson", "ccc")}
    return report


def _check(probabilities: Tensor, target: Tensor) -> None:
    if not isinstance(probabilities, Tensor) or not isinstance(target, Tensor):
        raise TypeError(
            f"probabilities and target must be tensors, not {type(probabilities).__name__} and {type(target).__name__}"
        )
    if probabilities.ndim != 2 or probabilities.shape[1] != _EIGHT or not len(probabilities):
        raise ValueError(
            f"probabilities must be [n, {_EIGHT}], n >= 1, in the order {', '.join(MIKELS)}; "
            f"not {list(probabilities.shape)}"
        )
    if target.shape != probabilities.shape[:1]:
        raise ValueError(f"target must be [{len(probabilities)}], one a clip, not {list(target.shape)}")
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise TypeError(f"target must be integers, places in MIKELS, not {target.dtype}")
    if not ((target >= 0) & (target < _EIGHT)).all():
        raise ValueError(f"target must lie in 0..{_EIGHT - 1}, not {int(target.min())}..{int(target.max())}")
    rows = probabilities.detach().double()
    wrong = ~rows.isfinite().all(1) | (rows < -1e-6).any(1) | ((rows.sum(1) - 1).abs() > 1e-2)
    if wrong.any():
        row = int(wrong.nonzero()[0, 0])
        shown = [round(x, 4) for x in rows[row].tolist()]
        raise ValueError(f"probabilities of row {row} are not a distribution: {shown}; of logits take the softmax")


def _check_plane(va: tuple[Tensor, Tensor], n: int) -> tuple[Tensor, Tensor]:
    if not isinstance(va, (tuple, list)) or len(va) != 2:
        raise TypeError("va must be a pair: read and asked valence-arousal, each [n, 2]")
    for points, what in zip(va, ("read", "asked"), strict=True):
        if not isinstance(points, Tensor) or list(points.shape) != [n, 2]:
            raise ValueError(
                f"{what} valence-arousal must be a tensor [{n}, 2], not "
                f"{list(getattr(points, 'shape', [])) or type(points).__name__}"
            )
        if not ((points >= -1) & (points <= 1)).all():  # NaN is neither
            raise ValueError(f"{what} valence-arousal must lie in [-1, 1] and not be NaN")
    return va[0], va[1]
