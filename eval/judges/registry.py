"""From a specification to a judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from emogen.eval.judges.base import LABELS, ScoringJudge, TemperedJudge
from emogen.eval.judges.card import CARD_NAME, FORMAT, JudgeCard, TrainingData
from emogen.eval.judges.embedded import EmbeddedJudge, Judge
from emogen.eval.judges.spec import JudgeError, check_spec, judge_name, nearest
from emogen.text_files import read_json

_EMBEDDED = {"embedded": "judge", "embedded_blends": "judge_blends"}
"""Names of the judges in the package, and what `embedded_judge` calls them."""


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
        spec = {"kind": spec} if spec in _EMBEDDED else {"kind": _kind_of_folder(spec), "folder": spec}
    judge = _MAKERS[spec["kind"]](spec, name, device)
    judge.name = name
    judge.card = dataclasses.replace(_card(judge.card, spec), name=name)
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
        hint = nearest(text, tuple(_EMBEDDED))
        raise JudgeError(f"{text!r} is no judge: neither embedded nor a folder"
                         + (hint if hint.startswith("; did") else "; a model of the Hub is {kind: clip, model: ...} or "
                            "{kind: vlm, model: ...}"))  # fmt: skip
    try:
        config = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise JudgeError(f"{folder}: holds no judge: config.json cannot be read ({error})") from error
    if not isinstance(config, Mapping):
        raise JudgeError(f"{folder}: holds no judge: config.json holds no settings")
    if config.get("kind") == "linear_probe":
        return "probe"
    if config.get("_class_name") == "ClipClassifier":
        return "classifier"
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


def _embedded(spec: Mapping[str, Any], name: str, device: Any) -> Judge:
    from emogen.embedded import embedded_judge

    try:
        folder = embedded_judge(_EMBEDDED[spec["kind"]])
    except FileNotFoundError as error:
        raise JudgeError(str(error)) from error
    judge = _classifier({"folder": folder}, name, device)
    # by the recipe's splits, the judge and the embedded generator share no clip
    training = dataclasses.replace(judge.card.training, disjoint_from=("embedded",))
    kind = spec["kind"]
    judge.card = dataclasses.replace(judge.card, kind=kind, made_of=kind, licence="Apache-2.0", training=training)
    return judge


def _classifier(spec: Mapping[str, Any], name: str, device: Any) -> Judge:
    folder = Path(spec["folder"])
    try:
        judge = EmbeddedJudge(str(folder), str(device))
        heads = {**judge.network.config.heads, **(judge.network.config.regressions or {})}
        emotions = list(judge.network.config.heads.get("emotion", ()))
    except (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError) as error:
        # the network is built from what the folder's config.json says, whatever that is
        what = f"{type(error).__name__}: {error}"
        if "meta tensor" in what:  # how diffusers leaves what the file of weights lacks
            what = "its weights lack a part of the network that config.json describes"
        raise JudgeError(f"{folder}: a damaged classifier ({what})") from error
    if "emotion" not in heads or "valence_arousal" not in heads:
        raise JudgeError(f"{folder}: this classifier has no heads emotion and valence_arousal ({', '.join(heads)})")
    if emotions != list(LABELS):
        raise JudgeError(f"{folder}: its head emotion reads {', '.join(map(str, emotions))}, not {', '.join(LABELS)}")
    judge.card = _classifier_card(folder, name)
    return judge


def _classifier_card(folder: Path, name: str) -> JudgeCard:
    card = JudgeCard(name, "classifier", folder.name)
    try:
        values = read_json(folder / CARD_NAME)
    except FileNotFoundError:
        return card
    except (OSError, ValueError) as error:
        raise JudgeError(f"{folder / CARD_NAME}: cannot be read ({error})") from error
    if isinstance(values, Mapping) and values.get("format") == FORMAT:
        return JudgeCard.from_dict(values, str(folder / CARD_NAME))
    try:
        counts = {key: n for key, n in values.get("training", {}).items() if isinstance(n, int)}
        about = ", ".join(f"{n} {key}" for key, n in counts.items()) or "not stated"
        held_out = {data: _recipe_figures(found) for data, found in values.get("held_out", {}).items()}
        if blends := values.get("held_out_blends"):  # a hit names both emotions of a blend
            low, high = blends["Wilson"]
            right = {"value": blends["both right"], "low": low, "high": high, "n": blends["blends"]}
            held_out["blends, both"] = {"n": blends["blends"], "accuracy": right, "recall": {}}
        card = dataclasses.replace(card, training=TrainingData(about), held_out=held_out)
        return JudgeCard.from_dict(card.to_dict(), str(folder / CARD_NAME))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, JudgeError):
            raise
        raise JudgeError(f"{folder / CARD_NAME}: a damaged card ({error})") from error


def _recipe_figures(found: Mapping[str, Any]) -> dict[str, Any]:
    """The form of `check_judge` of what the embedded recipe writes; it measures no calibration."""
    low, high = found.get("EA-8 Wilson", (None, None))
    return {"n": found["n"], "accuracy": {"value": found["EA-8"], "low": low, "high": high, "n": found["n"]},
            "EA-2": {"value": found["EA-2"], "n": found["n"]},
            "recall": {name: {"value": value} for name, value in found["recall"].items()}}  # fmt: skip


def _probe(spec: Mapping[str, Any], name: str, device: Any) -> Judge:
    from emogen.eval.judges.probe import ProbeJudge

    return ProbeJudge.load(spec["folder"], spec.get("encoder"), device)


def _clip(spec: Mapping[str, Any], name: str, device: Any) -> Judge:
    from emogen.eval.judges.clip import CLIPJudge

    return CLIPJudge(spec["model"], frames=spec.get("frames", 8), name=name, device=device)


def _vlm(spec: Mapping[str, Any], name: str, device: Any) -> Judge:
    from emogen.eval.judges.vlm import VLMJudge

    keys = ("frames", "question", "scoring", "batch_size", "dtype", "trust_remote_code")
    return VLMJudge(spec["model"], name=name, device=device, **{key: spec[key] for key in keys if key in spec})


def _ensemble(spec: Mapping[str, Any], name: str, device: Any) -> Judge:
    from emogen.eval.judges.ensemble import EnsembleJudge

    members = [load_judge(member, device) for member in spec["members"]]
    return EnsembleJudge(members, spec.get("weights"), mean=spec.get("mean", "log"), name=name)


_MAKERS: dict[str, Callable[[Mapping[str, Any], str, Any], Judge]] = {
    "embedded": _embedded, "embedded_blends": _embedded, "classifier": _classifier, "probe": _probe, "clip": _clip,
    "vlm": _vlm, "ensemble": _ensemble,
}  # fmt: skip
