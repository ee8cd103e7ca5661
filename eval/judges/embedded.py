"""The judge: reads a clip and says which emotion it shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pydantic.dataclasses import dataclass as pydantic_dataclass

from emogen.emotion import MIKELS, NEUTRAL
from emogen.eval.judges.card import CARD_NAME, FORMAT, JudgeCard, TrainingData
from emogen.eval.judges.classifier import ClipClassifier
from emogen.eval.judges.spec import JudgeError, JudgeSpec, register_judge
from emogen.settings.types import Name
from emogen.text_files import read_json


@dataclass(frozen=True)
class Verdict:
    """What a judge says of a batch of clips.

    Attributes:
        distribution: `[B, 8]` over Mikels' eight in the order of `emogen.emotion.MIKELS`, rows sum to 1.
        valence_arousal: `[B, 2]` in [-1, 1].
        confidence: `[B]` in [0, 1]: the probability that the clip shows any emotion at all.
    """

    distribution: np.ndarray
    valence_arousal: np.ndarray
    confidence: np.ndarray

    @property
    def labels(self) -> list[str]:
        """The most probable of the eight, a clip."""
        return [MIKELS[i] for i in self.distribution.argmax(1)]


class Judge(Protocol):
    """Anything that reads clips: uint8 `[B, F, H, W, 3]` in, a `Verdict` out."""

    name: str

    def __call__(self, clips: np.ndarray) -> Verdict: ...


def to_tensor(clips: np.ndarray) -> torch.Tensor:
    """uint8 `[B, F, H, W, 3]` or float in [0, 1] -> float tensor `[B, F, 3, H, W]` in [0, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(clips))
    tensor = tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor.float()
    return tensor.permute(0, 1, 4, 2, 3)


class EmbeddedJudge:
    """The small classifier shipped with emogen, for stickers only; see its card for what it was trained on."""

    def __init__(self, folder: str | None = None, device: str = "cpu"):
        from emogen.embedded import embedded_judge

        self.network = ClipClassifier.from_pretrained(folder or embedded_judge()).to(device)
        self.device = device
        self.name = "embedded sticker judge"

    @torch.no_grad()
    def __call__(self, clips: np.ndarray) -> Verdict:
        parts = [self.network(part.to(self.device)) for part in to_tensor(clips).split(32)]
        logits = torch.cat([p["emotion"] for p in parts]).float().cpu()
        va = torch.cat([p["valence_arousal"] for p in parts]).float().cpu()
        full = logits.softmax(-1)
        return Verdict(logits[:, :8].softmax(-1).numpy(), va.clamp(-1, 1).numpy(), (1 - full[:, 8]).numpy())


class ContentReader:
    """Reads shape, colour, background and accessory of a sticker: does the clip still show what the prompt names?

    Attributes:
        questions: what it answers.
    """

    def __init__(self, folder: str | None = None):
        from emogen.embedded import embedded_judge

        self.network = ClipClassifier.from_pretrained(folder or embedded_judge("content"))
        self.questions = tuple(self.network.config.heads)

    @torch.no_grad()
    def __call__(self, clips: np.ndarray) -> list[dict[str, str]]:
        """One dict a clip: head name -> class name."""
        parts = [self.network(part) for part in to_tensor(clips).split(32)]
        read = {n: torch.cat([p[n] for p in parts]).argmax(-1).tolist() for n in self.network.config.heads}
        names = self.network.config.heads
        return [{n: names[n][read[n][i]] for n in names} for i in range(len(clips))]


_EMBEDDED = {"embedded": "judge", "embedded_blends": "judge_blends"}
"""Kinds of the judges in the package, and what `embedded_judge` calls them."""


@pydantic_dataclass(kw_only=True, config={"extra": "forbid"})
class ClassifierSpec(JudgeSpec):
    """Attributes: folder: of a `ClipClassifier`."""

    folder: Name


@register_judge("embedded_blends")
@register_judge("embedded")
def make_embedded(spec: Mapping[str, Any], name: str, device: Any) -> Judge:
    from emogen.embedded import embedded_judge

    try:
        folder = embedded_judge(_EMBEDDED[spec["kind"]])
    except FileNotFoundError as error:
        raise JudgeError(str(error)) from error
    judge = make_classifier({"folder": folder}, name, device)
    # by the recipe's splits, the judge and the embedded generator share no clip
    training = dataclasses.replace(judge.card.training, disjoint_from=("embedded",))
    kind = spec["kind"]
    judge.card = dataclasses.replace(judge.card, kind=kind, made_of=kind, licence="Apache-2.0", training=training)
    return judge


@register_judge(
    "classifier",
    spec=ClassifierSpec,
    made_of="folder",
    owns=lambda config: config.get("_class_name") == "ClipClassifier",
)
def make_classifier(spec: Mapping[str, Any], name: str, device: Any) -> Judge:
    folder, labels = Path(spec["folder"]), [*MIKELS, NEUTRAL]
    try:
        judge = EmbeddedJudge(str(folder), str(device))
        heads = {**judge.network.config.heads, **(judge.network.config.regressions or {})}
        emotions = list(judge.network.config.heads.get("emotion", ()))
    except (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError) as error:
        # the network is built from what the folder's config.json says, whatever that is
        raise JudgeError(f"{folder}: a damaged classifier ({type(error).__name__}: {error})") from error
    if "emotion" not in heads or "valence_arousal" not in heads:
        raise JudgeError(f"{folder}: this classifier has no heads emotion and valence_arousal ({', '.join(heads)})")
    if emotions != labels:
        raise JudgeError(f"{folder}: its head emotion reads {', '.join(map(str, emotions))}, not {', '.join(labels)}")
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
