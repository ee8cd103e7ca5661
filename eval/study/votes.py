"""Read the votes: preference with an interval, names against what was asked and against the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emogen.emotion import MIKELS, POSITIVE
from emogen.eval.agreement import rate
from emogen.eval.benchmark.config import EvalConfigError
from emogen.eval.benchmark.summary import cohen_kappa
from emogen.eval.statistics import clustered_mean, sign_flip
from emogen.text_files import TextError, read_json


def read_votes(key: Mapping[str, Any], files: Sequence[Path]) -> list[dict[str, Any]]:
    """All votes with what was asked.

    Raises:
        EvalConfigError: a file is none of this study's, or one voter's votes come twice.
    """
    votes, voters = [], {}
    for file in files:
        try:
            raw = read_json(file)
            study, voter, answers = raw["study"], raw["voter"], raw["votes"]
        except (OSError, TextError, KeyError, TypeError) as error:
            raise EvalConfigError(f"{file}: is no file of votes ({error})") from error
        if study != key["study"]:
            raise EvalConfigError(f"{file}: belongs to study {study}, not {key['study']}")
        if voter in voters:
            raise EvalConfigError(f"{file}: holds the votes of the same voter as {voters[voter]}")
        voters[voter] = file
        for question, given in answers.items():
            if question in key["questions"]:
                votes.append({**key["questions"][question], "question": question, "voter": voter,
                              "answer": given["answer"], "seconds": given.get("seconds")})  # fmt: skip
    if not votes:
        raise EvalConfigError("there are no votes in these files")
    return votes


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
        summary["kappa_with_judge"] = {"value": cohen_kappa(_confusion(named, "judge")), "n": len(named)}
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
        lines.append(f"{preference['for']} preferred to {summary['systems'][0]} in {100 * preference['value']:.1f} % "
                     f"[{100 * preference['low']:.1f}, {100 * preference['high']:.1f}] of {preference['n']} votes "
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
        lines.append(f"kappa of people and judge: {kappa['value']:.2f} (n = {kappa['n']})")
    return "\n".join(lines)
