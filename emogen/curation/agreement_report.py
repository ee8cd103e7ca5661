"""All figures of agreement of a set, for people to read and for its card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

from emogen.curation.agreement import Figure, cohen, fleiss, krippendorff, pairs_of_annotators, share
from emogen.curation.labels import answers, merge
from emogen.curation.rates import corrected_rates
from emogen.curation.stage import Row

MODEL = "the model"


def agreement_report(
    votes: Iterable[Mapping[str, Any]], clips: Iterable[Row], annotators: int = 3, agree: int = 2
) -> dict[str, Any]:
    """Figures by name, as JSON.

    "people" is of all votes. Where a model has labelled clips, "people and model" compares both on the random share
    (votes with `audit`) if one was drawn, else on all clips that both have answered, which are then not a fair sample;
    "rates" corrects the model's rates by it.

    Args:
        votes: rows of `votes.parquet`.
        clips: rows of the working table.
        annotators, agree: the rule by which votes become labels (see `labels.merge`).
    """
    votes, clips = list(votes), [clip for clip in clips if clip.get("clip_id")]
    first = answers(vote for vote in votes if vote.get("round") in (None, 1))
    groups = {clip["clip_id"]: str(clip.get("group") or clip["clip_id"]) for clip in clips}
    groups |= {clip: clip for clip in first if clip not in groups}
    merged = {clip: merge(given, annotators, agree) for clip, given in first.items()}
    enough = {clip: one for clip, one in merged.items() if one.votes >= annotators}
    people: dict[str, Figure] = {"Fleiss' kappa": fleiss(first, groups),
                                 "Krippendorff's alpha": krippendorff(first, groups)}  # fmt: skip
    for (one, other), figure in pairs_of_annotators(first, groups).items():
        people[f"Cohen's kappa, {one} and {other}"] = figure
    people |= _self_agreement(votes, first, groups)
    people |= _on_gold(votes, first, groups)
    people["share with a label"] = share({clip: one.emotion is not None for clip, one in enough.items()}, groups)
    report: dict[str, Any] = {"people": {name: asdict(figure) for name, figure in people.items()}}
    report["confused"] = [[one, other, count] for (one, other), count in _confused(first).most_common()]
    model = {clip["clip_id"]: clip["judge_emotion"] for clip in clips if clip.get("judge_emotion")}
    if model and first:
        audited = {str(vote["clip_id"]) for vote in votes if vote.get("audit")}
        report |= _against_model(first, model, audited, groups, annotators, agree)
    return report


def _self_agreement(votes: list[Any], first: Mapping[str, Mapping[str, str]], groups: Any) -> dict[str, Figure]:
    again: dict[str, dict[str, str]] = {}
    for clip, given in answers(vote for vote in votes if vote.get("round") == 2).items():
        for name, answer in given.items():
            again.setdefault(name, {})[clip] = answer
    return {
        f"Cohen's kappa, {name} and {name} again": cohen(_of(first, name), second, groups)
        for name, second in sorted(again.items())
    }


def _on_gold(votes: list[Any], first: Mapping[str, Mapping[str, str]], groups: Any) -> dict[str, Figure]:
    gold = {str(vote["clip_id"]): str(vote["gold"]) for vote in votes if vote.get("gold")}
    names = sorted({name for clip in gold for name in first.get(clip, ())})
    return {
        f"right on known clips, {name}": share(
            {clip: answer == gold[clip] for clip, answer in _of(first, name).items() if clip in gold}, groups
        )
        for name in names
    }


def _of(first: Mapping[str, Mapping[str, str]], name: str) -> dict[str, str]:
    return {clip: given[name] for clip, given in first.items() if name in given}


def _confused(first: Mapping[str, Mapping[str, str]]) -> Counter[tuple[str, str]]:
    """Pairs of different answers of two people on one clip, whichever said which."""
    found: Counter[tuple[str, str]] = Counter()
    for given in first.values():
        for one, other in combinations(given.values(), 2):
            if one != other:
                found[tuple(sorted((one, other)))] += 1
    return found


def _against_model(first, model, audited: set[str], groups, annotators: int, agree: int) -> dict[str, Any]:
    on = {clip: given for clip, given in first.items() if clip in model and (not audited or clip in audited)}
    if not on:
        return {}
    names = sorted({name for given in on.values() for name in given})
    figures = {"Krippendorff's alpha of people": krippendorff(on, groups)}
    with_model = {clip: {**given, MODEL: model[clip]} for clip, given in on.items()}
    figures["Krippendorff's alpha of people and the model"] = krippendorff(with_model, groups)
    for name in names:
        figures[f"Cohen's kappa, {name} and {MODEL}"] = cohen(_of(on, name), model, groups)
    labels = {clip: one.emotion or "none" for clip, given in on.items()
              if (one := merge(given, annotators, agree)).emotion or one.dropped == "no specific emotion"}  # fmt: skip
    found: dict[str, Any] = {
        "people and model": {
            "random share": bool(audited),
            "clips": len(on),
            "figures": {name: asdict(figure) for name, figure in figures.items()},
        }
    }
    if labels:
        figures["Cohen's kappa, people's label and the model"] = cohen(labels, model, groups)
        found["people and model"]["figures"] = {name: asdict(figure) for name, figure in figures.items()}
        found["rates"] = {name: asdict(rate) for name, rate in corrected_rates(model, labels, groups).items()}
    return found
