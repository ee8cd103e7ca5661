"""Content agreement: does the clip still show what its prompt names?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from emogen.eval.metrics.base import BenchmarkMetric, ClipBatch, register
from emogen.eval.metrics.pixels import check_clips, to_bytes


@register(
    "content", meaning="content: of what the prompt names, seen by a second classifier, in %", unit="%", digits=1,
    needs=("named",),
)  # fmt: skip
class ContentAgreement(BenchmarkMetric, Metric):
    """Share of the named properties that a reader finds in the clips.

    An emotion that is bought by forgetting the subject shows here. `compute` gives a dict of float tensors:

    - `content`: the share of a clip's named properties that are read as named, mean over clips, 0 to 1;
    - `all`: share of clips with every named property;
    - `n`: clips; and each question's own share, NaN where no clip names it.

    Args:
        reader: takes uint8 frames `[B, F, H, W, 3]` (NumPy) and gives a dict a clip, question -> answer; by default
            the embedded reader of stickers, which knows nothing else.
        questions: what prompts may name; by default what the reader says that it answers (`reader.questions`).
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True

    def __init__(
        self,
        reader: Callable[[np.ndarray], Sequence[Mapping[str, str]]] | None = None,
        questions: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if reader is None:
            from emogen.eval.judges.embedded import ContentReader

            reader = ContentReader()
        questions = getattr(reader, "questions", ()) if questions is None else questions
        clash = {"content", "all", "n"} & set(questions)
        if clash or not questions:
            raise ValueError(f"questions {list(questions)} must be some names other than content, all and n")
        self.reader, self.questions = reader, tuple(questions)
        for name in ("right", "asked"):
            self.add_state(name, torch.zeros(len(self.questions), dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("shares", "whole", "clips"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def check_named(self, named: Sequence[Mapping[str, str]]) -> None:
        """Refuse prompts that name what the reader cannot tell; see `BenchmarkMetric.check_named`."""
        unknown = sorted({question for properties in named for question in properties} - set(self.questions))
        if unknown:
            raise ValueError(
                f"the prompts name {', '.join(unknown)}, which the content reader cannot tell; it tells "
                f"{', '.join(self.questions)}. Leave the metric out, or ask other prompts"
            )

    def score(self, clips: Tensor, named: Sequence[Mapping[str, str]]) -> list[dict[str, bool]]:
        """Of each clip, which of the named properties are read as named; arguments and errors as in `update`."""
        check_clips(clips)
        if isinstance(named, Mapping) or len(named) != len(clips):
            raise ValueError(
                f"named must be {len(clips)} dicts, one a clip, not "
                f"{'one dict' if isinstance(named, Mapping) else len(named)}"
            )
        for place, properties in enumerate(named):
            unknown = [q for q in properties if q not in self.questions]
            if unknown or not properties:
                raise ValueError(
                    f"clip {place} names {unknown or 'nothing'}; it must name some of {', '.join(self.questions)}"
                )
        seen = self.reader(to_bytes(clips).permute(0, 1, 3, 4, 2).cpu().numpy())
        rows = []
        for place, (properties, answers) in enumerate(zip(named, seen, strict=True)):
            silent = [q for q in properties if q not in answers]
            if silent:
                raise ValueError(
                    f"clip {place}: the reader does not answer {', '.join(silent)}; it answers {', '.join(answers)}"
                )
            rows.append({q: answers[q] == properties[q] for q in properties})
        return rows

    def read(self, batch: ClipBatch) -> list[float | None]:
        """The share of each clip's named properties that are seen; None where the prompt names none."""
        places = [place for place, named in enumerate(batch.named) if named]
        shares: list[float | None] = [None] * len(batch.named)
        if places:
            for place, row in zip(
                places, self.score(batch.clips[places], [batch.named[p] for p in places]), strict=True
            ):
                shares[place] = sum(row.values()) / len(row)
        return shares

    def update(self, clips: Tensor, named: Sequence[Mapping[str, str]]) -> None:
        """Add clips.

        Args:
            clips: `[B, F, 3, H, W]`, uint8 or float in [0, 1].
            named: B dicts, question -> what the prompt names; each names at least one thing.

        Raises:
            TypeError: not clips.
            ValueError: not clips, another count of dicts, a dict that names nothing or something that is not a
                question, or a reader that does not answer.
        """
        for row in self.score(clips, named):
            for question, right in row.items():
                self.right[self.questions.index(question)] += right
                self.asked[self.questions.index(question)] += 1
            self.shares += sum(row.values()) / len(row)
            self.whole += all(row.values())
            self.clips += 1

    def compute(self) -> dict[str, Tensor]:
        """All values; see the class.

        Raises:
            ValueError: no clips were given.
        """
        if not self.clips:
            raise ValueError("ContentAgreement: no clips were given")
        rates = self.right / self.asked  # 0 / 0 is NaN: nobody named it
        report = {"content": self.shares / self.clips, "all": self.whole / self.clips, "n": self.clips.clone()}
        return report | {question: rates[i] for i, question in enumerate(self.questions)}
