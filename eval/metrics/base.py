"""What a metric of the benchmark is, and the list of all of them.

A metric is one file with one torchmetrics class that `register` describes. The benchmark hands it batches of clips
(`ClipBatch`), keeps what it reads of each clip in the clip's row, and asks it for a system's figures from the rows; the
tables take headings, units and digits from the description. Nothing else names a metric.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.aggregation import MeanMetric

from emogen.eval.statistics import Figure, clustered_mean

NEEDS = {
    "judge": "a judge's reading of every clip",
    "reference": "a system of real clips, named as reference",
    "captions": "the prompts' texts",
    "named": "what the prompts name",
    "first_frame": "pictures that the clips begin with: systems with image: true",
    "pictures": "pictures of the prompts: weights.sd_images, or systems with image: true",
    "seeds": "two seeds or more",
}
"""What a metric may need beside the clips."""

INTERVALS = {
    "prompts": "a bootstrap that draws whole prompts",
    "halves": "the spread over halves of the clips",
    "none": "no interval",
}
"""How a metric's interval may be made."""

Row = Mapping[str, Any]
"""What is known of one clip: `system`, `clip`, `prompt`, `emotion`, `seed`, `judges`, and each metric's reading under
the metric's name."""


@dataclass(frozen=True)
class Column:
    """How a figure stands in the tables.

    Attributes:
        key: of the figure in a system's summary. heading: of the column.
        meaning: a sentence for the page, without a full stop.
        unit: "%" prints a share as per cent; any other is only named in the heading.
        digits: after the point. better: "more", "less" or "neither".
    """

    key: str
    heading: str
    meaning: str = ""
    unit: str = ""
    digits: int = 4
    better: str = ""


@dataclass(frozen=True)
class Description(Column):
    """What the benchmark must know of a metric; `key` is its name.

    Attributes:
        needs: of `NEEDS`. weights: keys under `weights` of the configuration that it needs.
        interval: of `INTERVALS`.
    """

    needs: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    interval: str = "prompts"


@dataclass(frozen=True)
class ClipBatch:
    """Clips of one shape, and what was asked of each.

    Attributes:
        clips: uint8 `[B, F, 3, H, W]`. keys: the clips' names, such as `000_fear_0`.
        prompts, emotions: as asked. named: what each prompt names, question -> answer.
        first_frames: uint8 `[B, 3, H, W]`, the pictures the clips were to begin with; None for text-to-video.
    """

    clips: Tensor
    keys: Sequence[str]
    prompts: Sequence[str]
    emotions: Sequence[str]
    named: Sequence[Mapping[str, str]]
    first_frames: Tensor | None = None


REGISTRY: dict[str, type[Metric]] = {}
"""Name -> class of every metric. Each class has `about`, its `Description`."""

Registered = TypeVar("Registered", bound=type)


def register(name: str, **described: Any) -> Callable[[Registered], Registered]:
    """Class decorator: enter a metric under its name.

    Args:
        name: in the configuration and in the results. described: the fields of `Description`.

    Raises:
        ValueError: the name is another class's, or a need or interval is unknown.
    """
    about = Description(name, **{"heading": name.replace("_", " "), **described})
    unknown = [need for need in about.needs if need not in NEEDS]
    if unknown or about.interval not in INTERVALS:
        known = NEEDS if unknown else INTERVALS
        raise ValueError(f"metric {name}: {(unknown or [about.interval])[0]!r} is none of {', '.join(known)}")

    def enter(cls: Registered) -> Registered:
        other = REGISTRY.get(name)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"metric {name!r} is registered by {other.__module__} already")
        found = getattr(cls, "higher_is_better", None)  # a property where it depends on the metric's arguments
        better = {True: "more", False: "less"}.get(found if isinstance(found, bool) else None, "neither")
        cls.about = about if about.better else dataclasses.replace(about, better=better)
        REGISTRY[name] = cls
        return cls

    return enter


class BenchmarkMetric:
    """What the benchmark calls; mixed into a torchmetrics class. The defaults fit a metric of one number a clip."""

    about: Description

    @classmethod
    def open(cls, weights: Mapping[str, str]) -> BenchmarkMetric:
        """The metric, with the files and folders that it needs as its first arguments.

        Raises:
            ImportError, OSError, ValueError: a package or weights are missing or wrong.
        """
        return cls(*(weights[key] for key in cls.about.weights))

    def check(self, keys: Sequence[str]) -> None:
        """Called before anything is generated, with the names of all clips.

        Raises:
            OSError, ValueError: something that the metric needs for one of them is missing.
        """

    def check_named(self, named: Sequence[Mapping[str, str]]) -> None:
        """Called before anything is generated, with what the prompt of each clip names.

        Raises:
            ValueError: the metric cannot tell one of them.
        """

    def read(self, batch: ClipBatch) -> Sequence[Any] | np.ndarray | None:
        """What to note of each clip in its row: numbers, None where the metric says nothing of a clip, or mappings.
        An array `[B, d]` of features is kept beside the rows, for `across`. None: nothing is read of single clips."""
        return None

    def read_seeds(self, clips: Tensor) -> float | None:
        """What to note of the clips of one prompt and emotion over all seeds, `[K, F, 3, H, W]`, K >= 2; asked of
        metrics that need "seeds"."""
        return None

    def figures(self, rows: Sequence[Row], judges: Sequence[str], emotions: Sequence[str]) -> dict[str, Any]:
        """The figures of a system, or of a part of it, by their keys; the first judge leads."""
        name = self.about.key
        read = [(row[name], row["prompt"]) for row in rows if row.get(name) is not None]
        return {name: mean_figure([value for value, _ in read], [prompt for _, prompt in read])} if read else {}

    def across(
        self, arrays: Mapping[str, np.ndarray], rows: Mapping[str, Sequence[Row]], reference: str, baseline: str | None
    ) -> dict[str, Figure]:
        """System -> its figure, for metrics that compare whole systems with the reference.

        Args:
            arrays: what `read` gave as arrays, stacked `[n, d]` by system. rows: of each system, in the same order.
        """
        return {}

    def paired(self, judge: str) -> dict[str, Callable[[Row], Any]]:
        """Key -> a row's number, for figures that are compared with the baseline's on the same clips."""
        return {self.about.key: lambda row: row.get(self.about.key)} if self.about.interval == "prompts" else {}

    @classmethod
    def columns(cls, systems: Sequence[Mapping[str, Any]]) -> list[Column]:
        """The columns of the tables, given all systems' figures."""
        return [cls.about]


def mean_figure(values: Sequence[float], prompts: Sequence[str]) -> Figure:
    """A mean with its interval over prompts."""
    mean, low, high = clustered_mean(values, prompts)
    return {"value": mean, "low": low, "high": high, "n": len(values)}


class ClipMean(BenchmarkMetric, MeanMetric):
    """The mean of `score` over all clips; sums are kept in float64 and added up over processes.

    `score` takes what `update` takes and gives the values of single clips, which paired tests need; it changes no
    state.
    """

    full_state_update = False

    def __init__(self, **kwargs: Any):
        super().__init__(nan_strategy="error", **kwargs)
        self.set_dtype(torch.float64)

    def score(self, *args: Any, **kwargs: Any) -> Tensor:
        """One number a clip, `[B]`."""
        raise NotImplementedError

    def read(self, batch: ClipBatch) -> Sequence[Any] | None:
        """`score` of the clips; a metric that takes more than clips says here what."""
        return self.score(batch.clips).tolist()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add clips; arguments and errors are those of `score`."""
        super().update(self.score(*args, **kwargs).to(self.device, torch.float64))

    def compute(self) -> Tensor:
        """The mean, a float64 scalar.

        Raises:
            ValueError: no clips were given.
        """
        if not self.weight:
            raise ValueError(f"{type(self).__name__}: no clips were given, so there is no mean")
        return super().compute()
