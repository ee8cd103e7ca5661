"""A judge without training: frames and sentences about emotions compared by CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from emogen.eval.judges.base import LABELS, ScoringJudge, pick_frames
from emogen.eval.judges.card import JudgeCard, TrainingData
from emogen.eval.judges.spec import JudgeError, JudgeSpec, register_judge
from emogen.eval.metrics.clip import CLIPEncoder
from emogen.settings.types import Count, Name

TEMPLATES = ("a video frame that evokes {noun}", "a picture with a feeling of {noun}", "{scene}",
             "a character who looks {look}")  # fmt: skip
WORDS: dict[str, tuple[str, str, str]] = {
    "amusement": ("amusement", "a funny, amusing scene", "amused and laughing"),
    "awe": ("awe", "an awe-inspiring scene", "full of awe and wonder"),
    "contentment": ("contentment", "a calm, peaceful scene", "content and relaxed"),
    "excitement": ("excitement", "a thrilling, exciting scene", "excited and eager"),
    "anger": ("anger", "a scene full of rage", "angry and furious"),
    "disgust": ("disgust", "a gross, disgusting scene", "disgusted"),
    "fear": ("fear", "a scary, frightening scene", "afraid and terrified"),
    "sadness": ("sadness", "a sad, sorrowful scene", "sad and crying"),
    "neutral": ("no particular emotion", "an ordinary scene", "neutral, without expression"),
}
"""Label -> noun, scene, look. The wording is ours and was not tuned on any data; the labels are Mikels'. That several
sentences a label are averaged in the embedding follows Radford et al. 2021 (CLIP), section 3.1.4."""


def label_texts() -> list[list[str]]:
    """The sentences of each of `LABELS`."""
    found = []
    for label in LABELS:
        noun, scene, look = WORDS[label]
        found.append([template.format(noun=noun, scene=scene, look=look) for template in TEMPLATES])
    return found


class CLIPJudge(ScoringJudge):
    """CLIP zero-shot: the scores are the model's logit scale times the cosine of frame and label, mean over frames.

    A label's embedding is the unit mean of its sentences' (`TEMPLATES`). Neutral is scored too and takes from the
    confidence alone. Valence and arousal are the expectation over the eight's points. On drawings such as stickers
    zero-shot judges are weak: check one on clips of your domain (`emogen judge check`) before believing it.

    Args:
        model: a folder or Hub name of a `CLIPModel` with its processor, or the model itself.
        processor: a `CLIPProcessor`; needed with a model given itself.
        frames: of each clip, evenly spaced.

    Raises:
        JudgeError: no such model, or another kind.
    """

    def __init__(
        self,
        model: str | Path | nn.Module,
        processor: Any = None,
        *,
        frames: int = 8,
        name: str = "clip",
        device: str | torch.device = "cpu",
    ):
        try:
            self.encoder = CLIPEncoder(model, processor).to(device)
        except (OSError, ValueError) as error:
            raise JudgeError(f"{name}: {error}") from error
        about = f"zero-shot: whatever {self.encoder.name} was pretrained on"
        super().__init__(name, JudgeCard(name, "clip", self.encoder.name, training=TrainingData(about)))
        self.frames = frames
        self.labels = torch.stack([F.normalize(self.encoder.texts(texts).mean(0), dim=0) for texts in label_texts()])

    def to(self, device: str | torch.device) -> CLIPJudge:
        self.encoder.to(device)
        self.labels = self.labels.to(device)
        return self

    @torch.no_grad()
    def scores(self, clips: np.ndarray) -> Tensor:
        chosen = torch.from_numpy(np.ascontiguousarray(pick_frames(clips, self.frames))).permute(0, 1, 4, 2, 3)
        seen = self.encoder.images(chosen.flatten(0, 1)).unflatten(0, chosen.shape[:2])
        cosine = (seen @ self.labels.T).mean(1)
        return cosine * self.encoder.model.logit_scale.detach().double().exp()


@dataclass(kw_only=True, config={"extra": "forbid"})
class CLIPSpec(JudgeSpec):
    """Attributes: model: folder or Hub name. frames: of each clip."""

    model: Name
    frames: Count = 8


@register_judge("clip", spec=CLIPSpec, made_of="model")
def make_clip(spec: Mapping[str, Any], name: str, device: Any) -> CLIPJudge:
    """CLIP zero-shot."""
    return CLIPJudge(spec["model"], frames=spec.get("frames", 8), name=name, device=device)
