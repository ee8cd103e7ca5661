"""Several judges as one, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from emogen.eval.judges.base import log_shares
from emogen.eval.judges.card import JudgeCard, card_of
from emogen.eval.judges.embedded import Judge, Verdict
from emogen.eval.judges.spec import JudgeError, JudgeSpec, register_judge
from emogen.eval.metrics.agreement import kappa_of
from emogen.settings.types import Name, Number, Several, shown

MEANS = ("log", "probability")


class EnsembleJudge:
    """The weighted mean of several judges' distributions.

    "log" is the logarithmic opinion pool, the normalised product of powers: one judge that is sure a label is wrong can
    veto it. "probability" is the linear pool, the mean. Valence, arousal and confidence are weighted means. (Genest and
    Zidek 1986, Statistical Science 1, for both pools.)

    Args:
        members: two judges or more.
        weights: one a member, positive; equal by default.

    Raises:
        JudgeError: fewer than two members, weights that do not fit, or an unknown mean.
    """

    def __init__(
        self,
        members: Sequence[Judge],
        weights: Sequence[float] | None = None,
        *,
        mean: str = "log",
        name: str = "ensemble",
    ):
        if len(members) < 2:
            raise JudgeError(f"{name}: an ensemble needs two judges or more, not {len(members)}")
        if mean not in MEANS:
            raise JudgeError(f"{name}: mean {mean!r} is none of {', '.join(MEANS)}")
        weights = [1.0] * len(members) if weights is None else list(weights)
        numbers = all(isinstance(w, (int, float)) and not isinstance(w, bool) and 0 < w < np.inf for w in weights)
        if len(weights) != len(members) or not numbers:
            raise JudgeError(f"{name}: weights must be {len(members)} positive numbers, not {weights}")
        self.members, self.mean, self.name = list(members), mean, name
        self.weights = np.array(weights, float) / sum(weights)
        made_of = ", ".join(member.name for member in members)
        self.card = JudgeCard(name, "ensemble", made_of, members=tuple(card_of(member) for member in members))

    def to(self, device: str | torch.device) -> EnsembleJudge:
        for member in self.members:
            if hasattr(member, "to"):
                member.to(device)
        return self

    def __call__(self, clips: np.ndarray) -> Verdict:
        verdicts = [member(clips) for member in self.members]
        shares = np.stack([np.asarray(verdict.distribution, float) for verdict in verdicts])
        if self.mean == "log":
            pooled = torch.from_numpy(np.tensordot(self.weights, log_shares(shares), 1)).softmax(-1).numpy()
        else:
            pooled = np.tensordot(self.weights, shares, 1)
        plane = np.tensordot(self.weights, np.stack([verdict.valence_arousal for verdict in verdicts]), 1)
        return Verdict(pooled, plane, np.tensordot(self.weights, np.stack([v.confidence for v in verdicts]), 1))


def kappa_table(labels: Mapping[str, Sequence[str]]) -> dict[str, float | None]:
    """Cohen's kappa of every two judges on the same clips (`metrics.agreement.kappa_of`).

    Args:
        labels: judge -> its label of each clip, one of the eight.

    Returns:
        "a and b" -> kappa.
    """
    names = list(labels)
    return {
        f"{one} and {other}": kappa_of(labels[one], labels[other])
        for i, one in enumerate(names) for other in names[i + 1 :] if len(labels[one])
    }  # fmt: skip


def _members(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise ValueError(f"must be a list of two judges or more, not {shown(value)}")
    return list(value)


@dataclass(kw_only=True, config={"extra": "forbid"})
class EnsembleSpec(JudgeSpec):
    """Attributes: members: specifications. weights: one a member. mean: of `MEANS`."""

    members: Annotated[list[Any], BeforeValidator(_members)]
    weights: Several[Number] | None = None
    mean: Name = "log"


@register_judge("ensemble", spec=EnsembleSpec)
def make_ensemble(spec: Mapping[str, Any], name: str, device: Any) -> EnsembleJudge:
    """Several judges as one."""
    from emogen.eval.judges.registry import load_judge

    members = [load_judge(member, device) for member in spec["members"]]
    return EnsembleJudge(members, spec.get("weights"), mean=spec.get("mean", "log"), name=name)
