"""Read the votes: preference with an interval, names against what was asked and against the judge."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from emogen.emotion import MIKELS, POSITIVE
from emogen.eval.metrics.agreement import kappa_of
from emogen.eval.statistics import clustered_mean, rate, sign_flip
from emogen.settings import ConfigError
from emogen.settings.json_file import read_checked_json
from emogen.settings.types import shown

PAIR_ANSWERS = ("left", "right", "tie")
Emotion = Literal[MIKELS]


class _Question(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    emotion: Emotion
    prompt: str
    left: str | None = None
    right: str | None = None
    system: str | None = None
    judge: Emotion | None = None

    @model_validator(mode="after")
    def _of_a_kind(self) -> _Question:
        pair = self.left is not None and self.right is not None
        if pair == (self.system is not None and self.judge is not None):
            raise ValueError("is neither a pair (left, right) nor a clip to name (system, judge)")
        return self


class _Key(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    study: str
    systems: Annotated[list[str], Field(min_length=2, max_length=2)]
    questions: dict[str, _Question]

    @model_validator(mode="after")
    def _known(self) -> _Key:
        for name, question in self.questions.items():
            strangers = {question.left, question.right, question.system} - {None, *self.systems}
            if strangers:
                raise ValueError(f"questions.{name} names {strangers.pop()!r}, which is none of systems")
        return self


class _Votes(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    study: str
    voter: Annotated[str, Field(min_length=1)]
    votes: dict[str, Any]


def read_key(path: Path) -> dict[str, Any]:
    """The key that building left beside the folder.

    Raises:
        ConfigError: it is no key.
    """
    return read_checked_json(path, _Key, "key of a study")


def read_votes(
    key: Mapping[str, Any],
    files: Sequence[Path],
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> list[dict[str, Any]]:
    """All votes with what was asked.

    Args:
        say: told of every file that is left out and of every answer that is not counted.

    Raises:
        ConfigError: a file is of another study, one voter's votes come twice, or no vote is left.
    """
    votes, voters = [], {}
    for file in files:
        try:
            raw = read_checked_json(file, _Votes, "votes")
        except ConfigError as error:
            say(f"left out: {str(error).replace('holds no votes', 'is no file of votes')}")
            continue
        voter = raw["voter"]
        if raw["study"] != key["study"]:
            raise ConfigError(f"{file}: belongs to study {raw['study']}, not {key['study']}")
        if voter in voters:
            raise ConfigError(f"{file}: holds the votes of the same voter as {voters[voter]}; give one of the two")
        voters[voter] = file
        votes += _counted(key, file, voter, raw["votes"], say)
    if not votes:
        raise ConfigError("there are no votes in these files")
    return votes


def _counted(
    key: Mapping[str, Any], file: Path, voter: str, answers: Mapping[str, Any], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One voter's votes on questions of this study, with answers that mean something."""
    found, meaningless, unknown = [], [], 0
    for question, given in answers.items():
        about = key["questions"].get(question)
        if about is None:
            unknown += 1
            continue
        given = given if isinstance(given, Mapping) else {"answer": None}
        answer = given.get("answer")
        if answer not in (PAIR_ANSWERS if about.get("left") is not None else MIKELS):
            meaningless.append(answer)
            continue
        seconds = given.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
            seconds = None
        found.append({**about, "question": question, "voter": voter, "answer": answer, "seconds": seconds})
    if meaningless:
        say(f"{file}: {len(meaningless)} answers mean nothing and are not counted, such as {shown(meaningless[0])}")
    if unknown:
        say(f"{file}: {unknown} votes are on questions that this study does not have; they are not counted")
    return found


def summarise_votes(key: Mapping[str, Any], votes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Preference for the second system over the first, and how the clips were named.

    A tie counts half. Votes on one question, and questions on one prompt, are alike, so intervals resample prompts;
    voters are counted but not resampled.
    """
    first, second = key["systems"]
    summary: dict[str, Any] = {"voters": len({v["voter"] for v in votes}), "systems": [first, second]}
    pairs = [v for v in votes if "left" in v]
    if pairs:
        value = [0.5 if v["answer"] == "tie" else float(v[v["answer"]] == second) for v in pairs]
        prompts = [v["prompt"] for v in pairs]
        mean, low, high = clustered_mean(value, prompts)
        summary["preference"] = {
            "for": second, "value": mean, "low": low, "high": high, "n": len(pairs),
            "questions": len({v["question"] for v in pairs}), "ties": sum(v["answer"] == "tie" for v in pairs),
            "p": sign_flip(value, [0.5] * len(value), prompts),
        }  # fmt: skip
        agree = _agreement_between_voters(pairs)
        if agree is not None:
            summary["preference"]["voters_agree"] = agree
    for system in (first, second):
        named = [v for v in votes if v.get("system") == system]
        if named:
            eight = [v["answer"] == v["emotion"] for v in named]
            two = [(v["answer"] in POSITIVE) == (v["emotion"] in POSITIVE) for v in named]
            summary.setdefault("named", {})[system] = {"EA-8": rate(eight), "EA-2": rate(two)}
    named = [v for v in votes if "system" in v]
    if named:
        kappa = kappa_of([v["judge"] for v in named], [v["answer"] for v in named])
        summary["kappa_with_judge"] = {"value": kappa, "n": len(named)}
        summary["confusion"] = _confusion(named, "emotion").tolist()
    return summary


def _confusion(votes: Sequence[Mapping[str, Any]], against: str) -> np.ndarray:
    found = np.zeros((8, 8), int)
    for vote in votes:
        found[MIKELS.index(vote[against]), MIKELS.index(vote["answer"])] += 1
    return found


def _agreement_between_voters(pairs: Sequence[Mapping[str, Any]]) -> float | None:
    """How often two voters gave the same answer to a question, over all such pairs of votes."""
    by_question: dict[str, list[str]] = {}
    for vote in pairs:
        by_question.setdefault(vote["question"], []).append(vote["answer"])
    same = total = 0
    for answers in by_question.values():
        for i, one in enumerate(answers):
            for other in answers[i + 1 :]:
                same, total = same + (one == other), total + 1
    return same / total if total else None


def text(summary: Mapping[str, Any]) -> str:
    """The summary in words."""
    lines = [f"{summary['voters']} voters"]
    preference = summary.get("preference")
    if preference:
        low, high = preference["low"], preference["high"]
        bounds = "" if low is None else f"[{100 * low:.1f}, {100 * high:.1f}] "
        lines.append(f"{preference['for']} preferred to {summary['systems'][0]} in {100 * preference['value']:.1f} % "
                     f"{bounds}of {preference['n']} votes "
                     f"({preference['questions']} pairs, {preference['ties']} ties counted half; "
                     f"p = {preference['p']:.3f})")  # fmt: skip
        if "voters_agree" in preference:
            lines.append(f"two voters agree on a pair in {100 * preference['voters_agree']:.0f} % of cases")
    for system, figures in summary.get("named", {}).items():
        eight, two = figures["EA-8"], figures["EA-2"]
        lines.append(f"{system}: named as asked {100 * eight['value']:.1f} % [{100 * eight['low']:.1f}, "
                     f"{100 * eight['high']:.1f}], valence {100 * two['value']:.1f} % (n = {eight['n']})")  # fmt: skip
    if "kappa_with_judge" in summary:
        kappa = summary["kappa_with_judge"]
        shown = "-" if kappa["value"] is None else f"{kappa['value']:.2f}"
        lines.append(f"kappa of people and judge: {shown} (n = {kappa['n']})")
    return "\n".join(lines)
