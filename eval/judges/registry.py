"""From a specification to a judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from emogen.eval.judges.base import ScoringJudge, TemperedJudge
from emogen.eval.judges.card import JudgeCard
from emogen.eval.judges.embedded import Judge
from emogen.eval.judges.spec import JudgeError, check_spec, judge_kind, judge_kinds, judge_name, nearest
from emogen.text_files import read_json


def load_judge(spec: str | Mapping[str, Any], device: str | torch.device = "cpu") -> Judge:
    """A judge with its `card`.

    Args:
        spec: "embedded"; "embedded_blends", which has also seen blends of two emotions; the folder of a
            `ClipClassifier` or of a linear probe; or a mapping:

            - `{kind: embedded}`, `{kind: embedded_blends}`, `{kind: classifier, folder: F}`,
              `{kind: probe, folder: F, encoder: WHERE}`;
            - `{kind: clip, model: ID, frames: 8}`;
            - `{kind: vlm, model: ID, frames: 8, scoring: sum, batch_size: 1, dtype: bfloat16, question: ...}`;
            - `{kind: ensemble, members: [SPEC, SPEC], weights: [2, 1], mean: log}`;

            each with `name`, `temperature` (what `emogen judge check` found), `card` (the file it wrote) and `licence`.

    Raises:
        JudgeError: the specification is wrong, or its weights cannot be had.
    """
    spec = check_spec(spec)
    name = judge_name(spec)
    if isinstance(spec, str):
        bare = spec in judge_kinds() and judge_kinds()[spec].needs_nothing
        spec = {"kind": spec} if bare else {"kind": _kind_of_folder(spec), "folder": spec}
    judge = judge_kind(spec["kind"]).make(spec, name, device)
    judge.name = name
    card = getattr(judge, "card", None) or JudgeCard(name, str(spec["kind"]))
    judge.card = dataclasses.replace(_card(card, spec), name=name)
    if "temperature" in spec:
        if isinstance(judge, ScoringJudge):
            judge.temperature = float(spec["temperature"])
        else:
            judge = TemperedJudge(judge, float(spec["temperature"]))
        judge.card = dataclasses.replace(judge.card, temperature=float(spec["temperature"]))
    return judge


def _kind_of_folder(text: str) -> str:
    folder = Path(text)
    if not folder.is_dir():
        hint = nearest(text, [name for name, kind in judge_kinds().items() if kind.needs_nothing])
        raise JudgeError(f"{text!r} is no judge: neither embedded nor a folder"
                         + (hint if hint.startswith("; did") else "; a model of the Hub is {kind: clip, model: ...} or "
                            "{kind: vlm, model: ...}"))  # fmt: skip
    try:
        config = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise JudgeError(f"{folder}: holds no judge: config.json cannot be read ({error})") from error
    if not isinstance(config, Mapping):
        raise JudgeError(f"{folder}: holds no judge: config.json holds no settings")
    for name, kind in judge_kinds().items():
        if kind.owns is not None and kind.owns(config):
            return name
    what = config.get("model_type") or config.get("_class_name") or "unknown"
    raise JudgeError(
        f"{folder}: is a folder of kind {what}, not of a classifier or probe of ours; for a model of "
        "transformers say {kind: clip or vlm, model: FOLDER}, or fit a probe on it (`emogen judge train`)"
    )


def _card(card: JudgeCard, spec: Mapping[str, Any]) -> JudgeCard:
    """The judge's own card, with the figures of the card that the specification names, and its licence."""
    if spec.get("card"):
        found = JudgeCard.load(spec["card"])
        if found.kind != card.kind or found.made_of != card.made_of:
            raise JudgeError(f"{spec['card']}: is the card of another judge ({found.kind} {found.made_of}, not "
                             f"{card.kind} {card.made_of})")  # fmt: skip
        card = dataclasses.replace(found, temperature=card.temperature, members=card.members)
    return dataclasses.replace(card, licence=str(spec["licence"])) if spec.get("licence") else card
