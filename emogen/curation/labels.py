"""From votes to labels: the paper's majority rule, and the soft label that keeps the disagreement.

A vote is a row of its own: `clip_id`, `annotator`, `emotion` (one of the eight, or "none" for "no specific emotion"),
and perhaps `round`, `when`. "none" is an answer and may win; it is not the adapter's neutral. "unsure" is no answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emogen.emotion import MIKELS

NONE = "none"
UNSURE = "unsure"
ANSWERS = (*MIKELS, NONE)


class VoteError(ValueError):
    """A vote means nothing; the message names the clip and the annotator."""


@dataclass(frozen=True)
class Merged:
    """What a clip's votes come to.

    Attributes:
        emotion: the label, or None if the clip is left out.
        soft: every emotion's share among the votes for one of the eight, as `emotion` of metadata takes a mixture
            ("joy:0.67+awe:0.33"); None if there are none.
        agreement: share of the votes that the leading answer has, [0, 1]; None without votes.
        votes: how many answers count.
        dropped: why there is no label; None where there is one.
    """

    emotion: str | None
    soft: str | None
    agreement: float | None
    votes: int
    dropped: str | None

    def to_row(self) -> dict[str, Any]:
        """Columns of the table."""
        return {
            "emotion": self.emotion,
            "emotion_soft": self.soft,
            "agreement": self.agreement,
            "votes": self.votes,
            "no_label": self.dropped,
            "label_kind": "human" if self.emotion else None,
        }


def answers(votes: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Clip -> annotator -> answer. Of several votes of one annotator on a clip the first counts (a repetition measures
    self-agreement); "unsure" counts as no vote.

    Raises:
        VoteError: an answer is none of the eight, "none" or "unsure".
    """
    found: dict[str, dict[str, str]] = {}
    for vote in votes:
        missing = [name for name in ("clip_id", "annotator", "emotion") if vote.get(name) in (None, "")]
        if missing:
            raise VoteError(f"a vote lacks {' and '.join(missing)}: {str(dict(vote))[:200]}")
        clip, annotator, emotion = str(vote["clip_id"]), str(vote["annotator"]), str(vote["emotion"]).strip().lower()
        if emotion not in (*ANSWERS, UNSURE):
            known = ", ".join((*ANSWERS, UNSURE))
            said = str(vote["emotion"])[:80]
            raise VoteError(f"clip {clip[:80]}, annotator {annotator[:80]}: {said!r} is no answer; use one of {known}")
        if emotion != UNSURE:
            found.setdefault(clip, {}).setdefault(annotator, emotion)
    return found


def merge(given: Mapping[str, str], annotators: int = 3, agree: int = 2) -> Merged:
    """The paper's rule: of three annotators two must agree, else the clip is dropped; "no specific emotion" may win.

    Args:
        given: annotator -> answer, of one clip.
        annotators: how many answers a clip needs.
        agree: how many of them must be the same. With more answers than `annotators` their share must be at least
            `agree / annotators`.
    """
    counts = Counter(given.values())
    total = sum(counts.values())
    felt = {emotion: counts[emotion] for emotion in MIKELS if counts[emotion]}
    soft = _mixture(felt) if felt else None
    if total < annotators:
        share = max(counts.values()) / total if total else None
        return Merged(None, soft, share, total, f"{total} of {annotators} votes")
    # A tie has no leader, whatever the rule.
    (first, most), second = counts.most_common(1)[0], sorted(counts.values())[-2] if len(counts) > 1 else 0
    share = most / total
    if most == second or share < agree / annotators - 1e-9:
        return Merged(None, soft, share, total, "no majority")
    if first == NONE:
        return Merged(None, soft, share, total, "no specific emotion")
    return Merged(first, soft, share, total, None)


def _mixture(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    order = sorted(counts, key=lambda emotion: (-counts[emotion], MIKELS.index(emotion)))
    return order[0] if len(order) == 1 else "+".join(f"{emotion}:{counts[emotion] / total:.2f}" for emotion in order)
