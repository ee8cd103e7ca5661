"""A judge that anyone can fit: a linear probe on a frozen encoder. A folder of `probe.safetensors`, `config.json` and
`card.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emogen.eval.judges.base import LABELS, ScoringJudge
from emogen.eval.judges.card import CARD_NAME, JudgeCard
from emogen.eval.judges.encoders import Encoder, load_encoder
from emogen.eval.judges.logistic import Logistic
from emogen.eval.judges.spec import JudgeError, JudgeSpec, register_judge
from emogen.files import atomic, write_json
from emogen.settings.types import Name

WEIGHTS_NAME, CONFIG_NAME = "probe.safetensors", "config.json"
KIND = "linear_probe"


class ProbeJudge(ScoringJudge):
    """Logistic regression on an encoder's features.

    Its confidence is 1 minus neutral's share where neutral clips were among those it was fitted on, otherwise 1.
    Valence and arousal are the expectation over the eight's points.
    """

    def __init__(
        self,
        encoder: Encoder,
        head: Logistic,
        card: JudgeCard,
        *,
        temperature: float = 1.0,
        settings: dict[str, Any] | None = None,
    ):
        super().__init__(card.name, card)
        self.encoder, self.head, self.temperature = encoder, head, temperature
        self.settings = settings or {}

    def to(self, device: str | torch.device) -> ProbeJudge:
        """Move the encoder; the head, which is small, stays on the CPU."""
        if isinstance(network := getattr(self.encoder, "network", getattr(self.encoder, "model", None)), nn.Module):
            network.to(device)
        return self

    def scores(self, clips: np.ndarray) -> Tensor:
        return self.head.scores(self.encoder(clips))

    def save(self, folder: str | Path) -> Path:
        """Write the probe's folder; the encoder stays where it is, and its mark is kept to know it again."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        head = {name: getattr(self.head, name).contiguous() for name in ("weight", "bias", "mean", "scale")}
        with atomic(folder / WEIGHTS_NAME) as temporary:
            save_file({**head, "mark": mark_of(self.encoder)}, temporary, metadata={"format": "pt"})
        config = {"kind": KIND, "encoder": self.encoder.name, "classes": list(LABELS[: len(self.head.bias)]),
                  "temperature": self.temperature, **self.settings}  # fmt: skip
        write_json(folder / CONFIG_NAME, config, indent=1)
        self.card.save(folder / CARD_NAME)
        return folder

    @classmethod
    def load(cls, folder: str | Path, encoder: str | None = None, device: str | torch.device = "cpu") -> ProbeJudge:
        """Read a folder.

        Args:
            encoder: where the encoder lies now, if not where it lay when the probe was fitted.

        Raises:
            JudgeError: a file is missing or damaged, or the encoder is another one.
        """
        folder = Path(folder)
        try:
            config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
            state = load_file(folder / WEIGHTS_NAME)
            head = Logistic(*(state[name] for name in ("weight", "bias", "mean", "scale")))
            name, temperature, mark = str(config["encoder"]), float(config["temperature"]), state["mark"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise JudgeError(f"{folder}: no whole linear probe ({error}); fit it with `emogen judge train`") from error
        try:
            found = load_encoder(encoder or name, int(config.get("frames", 8)), device)
        except JudgeError as error:
            raise JudgeError(f"{folder}: {error}; if it has moved, say {{kind: probe, folder: {folder}, encoder: "
                             "WHERE}}") from error  # fmt: skip
        here = mark_of(found)
        if here.shape != mark.shape or not torch.allclose(here, mark, rtol=0.05, atol=0.05 * float(mark.std() + 1e-6)):
            raise JudgeError(f"{folder}: {found.name} is not the encoder that the probe was fitted on: it gives other "
                             "features for the same pixels")  # fmt: skip
        return cls(found, head, JudgeCard.load(folder / CARD_NAME), temperature=temperature)


def mark_of(encoder: Encoder) -> Tensor:
    """Features `[d]` of one clip of fixed noise: the same for the same weights, up to rounding."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 4, 8, 8, 3), dtype=np.uint8).repeat(8, 2).repeat(8, 3)
    return encoder(noise)[0].float().contiguous()


@dataclass(kw_only=True, config={"extra": "forbid"})
class ProbeSpec(JudgeSpec):
    """Attributes: folder: of the probe. encoder: where its encoder lies now, if that has moved."""

    folder: Name
    encoder: Name | None = None


@register_judge("probe", spec=ProbeSpec, made_of="folder", owns=lambda config: config.get("kind") == KIND)
def make_probe(spec: Mapping[str, Any], name: str, device: Any) -> ProbeJudge:
    """A probe as `emogen judge train` saved it."""
    return ProbeJudge.load(spec["folder"], spec.get("encoder"), device)
