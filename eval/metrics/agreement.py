"""Emotion agreement as a metric: is a clip read as the emotion that was asked for?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
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

from emogen.emotion import MIKELS, MIKELS_VA, POSITIVE
from emogen.eval.metrics.base import BenchmarkMetric, Column, Row, register
from emogen.eval.statistics import clustered_mean, intraclass_correlation, rate, wilson

_EIGHT = len(MIKELS)
_HALF = len(POSITIVE)


def summed_halves(probabilities: Tensor) -> Tensor:
    """Whether the four positive shares of `[n, 8]` outweigh the four negative ones, bool `[n]`; a draw is positive.

    This is EA-2's reading (EmoGen, Yang et al., CVPR 2024), not the sign of the top category: a clip whose top
    category is fear is read as positive when the positive shares together are larger.
    """
    return probabilities[:, :_HALF].sum(1) >= probabilities[:, _HALF:].sum(1)


def read_as_asked(distribution: np.ndarray, asked: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each clip is read as asked, by category (EA-8) and by valence (EA-2, `summed_halves`).

    Args:
        distribution: `(n, 8)` in the order of `MIKELS`. asked: n names of the eight.

    Returns:
        Two boolean arrays `(n,)`.
    """
    truth = np.array([MIKELS.index(name) for name in asked])
    positive = summed_halves(torch.as_tensor(distribution)).numpy()
    return distribution.argmax(1) == truth, positive == (truth < _HALF)


@register("agreement", meaning="whether a clip is read as the emotion asked", needs=("judge",))
class EmotionAgreement(BenchmarkMetric, WrapperMetric):
    """Agreement of judged clips with the emotions asked for, over Mikels' eight in the order of `MIKELS`.

    `compute` gives a dict of float tensors (NaN where there is nothing to tell from):

    - `n`: clips;
    - `ea8`, `ea8_low`, `ea8_high`: share of clips whose top category is the one asked, with Wilson's 95 % interval;
    - `ea2`, `ea2_low`, `ea2_high`: the same of the two summed halves (`summed_halves`);
    - `recall` `[8]`: EA-8 of each category asked, NaN where none was;
    - `f1` `[8]`: F1 of each category, NaN where it was neither asked nor read, and `macro_f1`, their mean;
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
        sync = {"sync_on_compute": self.sync_on_compute}
        # compute groups are formed at the first update, which a process without clips never sees
        self.categories = MetricCollection(
            {
                "ea8": MulticlassAccuracy(_EIGHT, average="micro", **sync),
                "recall": MulticlassRecall(_EIGHT, average=None, **sync),
                "f1": MulticlassF1Score(_EIGHT, average=None, **sync),
                "kappa": MulticlassCohenKappa(_EIGHT, **sync),
                "confusion": MulticlassConfusionMatrix(_EIGHT, **sync),
            },
            compute_groups=False,
        ).set_dtype(torch.float64)
        self.halves = MetricCollection({"ea2": BinaryAccuracy(**sync)}, compute_groups=False).set_dtype(torch.float64)
        self.plane = MetricCollection(
            {
                "mae": MeanAbsoluteError(num_outputs=2, **sync),
                "pearson": PearsonCorrCoef(num_outputs=2, **sync),
                "ccc": ConcordanceCorrCoef(num_outputs=2, **sync),
            },
            compute_groups=False,
        ).set_dtype(torch.float64)
        self.plane_count = SumMetric(**sync)

    def figures(self, rows: Sequence[Row], judges: Sequence[str], emotions: Sequence[str]) -> dict[str, Any]:
        """EA-8 and EA-2 of the first judge, EA-8 of the others, and the first one's recall, confusion, kappa, macro F1
        over the emotions asked, and readings of the plane."""
        prompts, found = [row["prompt"] for row in rows], {}
        read = [row["judges"][judges[0]] for row in rows]
        for key in ("EA-8", "EA-2"):
            found[key] = agreement_figure([one[key] for one in read], prompts)
        for other in judges[1:]:
            found[f"EA-8 by {other}"] = agreement_figure([row["judges"][other]["EA-8"] for row in rows], prompts)
        found["recall"] = {
            emotion: rate([one["EA-8"] for row, one in zip(rows, read, strict=True) if row["emotion"] == emotion])
            for emotion in emotions
        }
        metric = type(self)(sync_on_compute=False)  # of a launch, the main process alone has rows
        asked = torch.tensor([MIKELS.index(row["emotion"]) for row in rows])
        metric.add_readings(
            torch.tensor([MIKELS.index(one["read"]) for one in read]),
            torch.tensor([one["EA-2"] == (row["emotion"] in POSITIVE) for row, one in zip(rows, read, strict=True)]),
            asked,
            (
                torch.tensor([[one["valence"], one["arousal"]] for one in read], dtype=torch.float64),
                torch.tensor([MIKELS_VA[row["emotion"]] for row in rows], dtype=torch.float64),
            ),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of readings that never vary: their correlation is None
            values = metric.compute()
        found["confusion"] = values["confusion"].long().tolist()
        found["kappa"] = kappa_of([row["emotion"] for row in rows], [one["read"] for one in read])
        found["macro_F1"] = float(values["f1"][asked.unique()].mean())
        for axis in ("valence", "arousal"):
            r = float(values[f"{axis}_pearson"])
            found[axis] = {"mean_absolute_error": float(values[f"{axis}_mae"]), "r": None if r != r else r}
        return found

    def paired(self, judge: str) -> dict[str, Callable[[Row], Any]]:
        """EA-8 and EA-2 of the first judge."""
        return {key: lambda row, key=key: row["judges"][judge][key] for key in ("EA-8", "EA-2")}

    @classmethod
    def columns(cls, systems: Sequence[Mapping[str, Any]]) -> list[Column]:
        """EA-8, the same by every other judge, and EA-2."""
        others = dict.fromkeys(key for one in systems for key in one if key.startswith("EA-8 by "))
        same = "{}: the same, as another judge reads it"
        return [
            Column("EA-8", "EA-8cls", "EA-8cls: clips that the judge reads as the emotion asked, of eight, in % "
                   "(guessing: 12.5)", "%", 1, "more"),
            *(Column(key, key.replace("EA-8", "EA-8cls"), same.format(key), "%", 1, "more") for key in others),
            Column("EA-2", "EA-2cls", "EA-2cls: clips read on the side asked, pleasant or unpleasant, in % "
                   "(guessing: 50)", "%", 1, "more"),
        ]  # fmt: skip

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
        _check(probabilities, target)
        if va is not None:
            _check_plane(va, len(target))
        probabilities = probabilities.detach()
        self.add_readings(probabilities.argmax(1), summed_halves(probabilities), target, va)

    def add_readings(
        self, read: Tensor, positive: Tensor, target: Tensor, va: tuple[Tensor, Tensor] | None = None
    ) -> None:
        """Add clips that were read before.

        Args:
            read, target: `[n]`, places in `MIKELS`. positive: bool `[n]`, `summed_halves` of the readings.
            va: as in `update`.
        """
        for metric, found, asked in self._pairs(read, positive, target, va):
            metric.update(found, asked)
        self.plane_count.update(0 if va is None else len(target))

    def forward(
        self, probabilities: Tensor, target: Tensor, va: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """`update`, and the values of this batch alone."""
        _check(probabilities, target)
        if va is not None:
            _check_plane(va, len(target))
        values: dict[str, Tensor] = {}
        probabilities = probabilities.detach()
        for metric, read, asked in self._pairs(probabilities.argmax(1), summed_halves(probabilities), target, va):
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
        self, read: Tensor, positive: Tensor, target: Tensor, va: tuple[Tensor, Tensor] | None
    ) -> Iterator[tuple[MetricCollection, Tensor, Tensor]]:
        device = self.plane_count.device
        target = target.to(device)
        yield self.categories, read.to(device), target
        yield self.halves, positive.long().to(device), (target < _HALF).long()
        if va is not None:
            yield self.plane, va[0].detach().to(device, torch.float64), va[1].to(device, torch.float64)


def kappa_of(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Cohen's kappa (1960) of two readings of the same clips, names of the eight: 1 is one mind, 0 chance; None where
    both give one and the same label throughout, or there are no clips."""
    metric = MulticlassCohenKappa(_EIGHT, sync_on_compute=False).set_dtype(torch.float64)
    if len(set(one) | set(other)) < 2:
        return None
    metric.update(*(torch.tensor([MIKELS.index(label) for label in labels]) for labels in (one, other)))
    return float(metric.compute())


def agreement_figure(values: Sequence[bool], prompts: Sequence[str]) -> dict[str, Any]:
    """A rate with Wilson's interval, `by_prompt`, the interval over whole prompts (None with few prompts), and `icc`,
    the correlation within prompts (None where it cannot be told)."""
    low, high = clustered_mean(values, prompts)[1:]
    by_prompt = None if low is None else [low, high]
    return {**rate(values), "by_prompt": by_prompt, "icc": intraclass_correlation(values, prompts)}


def _report(values: dict[str, Tensor], plane_count: int) -> dict[str, Tensor]:
    confusion = values["confusion"]
    n, asked = int(confusion.sum()), confusion.sum(1)
    report = {"n": confusion.new_tensor(n, dtype=torch.float32)}
    for name in ("ea8", "ea2"):
        share = values[name]
        low, high = wilson(round(float(share) * n), n)
        report |= {name: share, f"{name}_low": share.new_tensor(low), f"{name}_high": share.new_tensor(high)}
    report["recall"] = torch.where(asked > 0, values["recall"], torch.nan)
    f1 = torch.where(asked + confusion.sum(0) > 0, values["f1"], torch.nan)
    report |= {"f1": f1, "macro_f1": f1.nanmean(), "kappa": values["kappa"], "confusion": confusion}
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
