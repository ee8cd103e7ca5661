"""What the judges share: reading a verdict off scores, and choosing frames."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from emogen.emotion import MIKELS, MIKELS_VA, NEUTRAL
from emogen.eval.judges.card import JudgeCard
from emogen.eval.judges.embedded import Judge, Verdict

LABELS = (*MIKELS, NEUTRAL)
"""The eight, and "neutral", which only takes from the confidence."""
SMALLEST = 1e-12
"""Where shares are cut before their logarithm is taken."""


def expected_va(distribution: np.ndarray) -> np.ndarray:
    """Valence-arousal `[B, 2]` in [-1, 1] as the expectation of the eight's points (`MIKELS_VA`) under `[B, 8]`.

    So it never leaves the hull of the eight points, and an undecided judge reads near the middle.
    """
    return distribution @ np.array([MIKELS_VA[name] for name in MIKELS])


def verdict_of(scores: Tensor) -> Verdict:
    """A verdict from unnormalised log-probabilities `[B, 8]`, or `[B, 9]` with neutral last.

    The distribution is the softmax over the eight. The confidence, the probability that the clip shows any emotion, is
    1 minus neutral's share of the nine; a judge that does not know neutral has confidence 1.
    """
    scores = scores.detach().double().cpu()
    distribution = scores[:, : len(MIKELS)].softmax(-1).numpy()
    sure = np.ones(len(scores)) if scores.shape[1] == len(MIKELS) else 1 - scores.softmax(-1)[:, -1].numpy()
    return Verdict(distribution, expected_va(distribution), sure)


def log_shares(distribution: np.ndarray) -> np.ndarray:
    """Logarithm of shares, cut at `SMALLEST`: logits of the same softmax."""
    return np.log(np.clip(np.asarray(distribution, float), SMALLEST, None))


def pick_frames(clips: np.ndarray, count: int) -> np.ndarray:
    """`count` frames of clips `[B, F, H, W, 3]`, evenly spaced, first and last among them; all if there are fewer."""
    frames = clips.shape[1]
    if frames <= count:
        return clips
    if count == 1:
        return clips[:, frames // 2 : frames // 2 + 1]
    return clips[:, np.linspace(0, frames - 1, count).round().astype(int)]


class ScoringJudge:
    """A judge that scores the labels; subclasses give `scores`.

    Attributes:
        name: in results. card: see `JudgeCard`. temperature: that scores are divided by (`calibration`).
    """

    temperature = 1.0

    def __init__(self, name: str, card: JudgeCard):
        self.name, self.card = name, card

    def scores(self, clips: np.ndarray) -> Tensor:
        """Unnormalised log-probabilities `[B, 8]`, or `[B, 9]` with neutral last, of uint8 `[B, F, H, W, 3]`."""
        raise NotImplementedError

    def __call__(self, clips: np.ndarray) -> Verdict:
        return verdict_of(self.scores(clips).double() / self.temperature)


class TemperedJudge:
    """Another judge with its distribution's logarithm divided by a temperature; the rest of the verdict stays."""

    def __init__(self, judge: Judge, temperature: float):
        self.judge, self.temperature = judge, temperature
        self.name, self.card = judge.name, getattr(judge, "card", None)

    def to(self, device: str | torch.device) -> TemperedJudge:
        if hasattr(self.judge, "to"):
            self.judge.to(device)
        return self

    def __call__(self, clips: np.ndarray) -> Verdict:
        verdict = self.judge(clips)
        scaled = torch.from_numpy(log_shares(verdict.distribution) / self.temperature).softmax(-1).numpy()
        return Verdict(scaled, verdict.valence_arousal, verdict.confidence)
