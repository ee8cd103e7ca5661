"""A small video classifier with named heads: the network behind the embedded judge and the content reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file
from torch import nn

_SCALE = ".scale"


class _Block(nn.Module):
    def __init__(self, width: int, out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, out)
        self.skip = nn.Conv2d(width, out, 1, stride, bias=False) if stride > 1 or width != out else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.silu(self.norm1(self.conv1(x)))
        return F.silu(self.norm2(self.conv2(h)) + self.skip(x))


class ClipClassifier(ModelMixin, ConfigMixin):
    """Frames through a small residual network, then mean, maximum and mean change over time, then a head a question.

    Args:
        heads: name -> list of class names; a head named with an empty list is a regression with `regressions[name]`
            outputs.
        size: side in pixels that clips are resized to.
        frames: how many frames, evenly spaced, are read of a clip.
        width: channels of the first stage.
        pool: cells a side that the last feature map is averaged to; more keep more of where things are.
    """

    @register_to_config
    def __init__(
        self,
        heads: dict[str, list[str]],
        regressions: dict[str, int] | None = None,
        size: int = 96,
        frames: int = 5,
        width: int = 32,
        dropout: float = 0.2,
        pool: int = 2,
    ):
        super().__init__()
        w = width
        self.stem = nn.Conv2d(12, w, 3, padding=1)  # 2x2 pixels of 3 colours at a time
        self.stages = nn.Sequential(
            _Block(w, w, 1),
            _Block(w, 2 * w, 2),
            _Block(2 * w, 2 * w, 1),
            _Block(2 * w, 4 * w, 2),
            _Block(4 * w, 4 * w, 1),
            _Block(4 * w, 6 * w, 2),
        )
        features = 6 * w * pool * pool
        self.mix = nn.Sequential(nn.Linear(3 * features, 192), nn.SiLU(), nn.Dropout(dropout))
        outputs = {name: len(classes) for name, classes in heads.items()} | (regressions or {})
        self.answers = nn.ModuleDict({name: nn.Linear(192, count) for name, count in outputs.items()})

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> ClipClassifier:
        """As diffusers' own, and also with matrices that are stored in 8 bits: int8 `NAME` with `NAME.scale` [rows, 1],
        whose product is the matrix (see `in_8_bits`)."""
        file = Path(pretrained_model_name_or_path) / SAFETENSORS_WEIGHTS_NAME
        stored = load_file(file) if file.is_file() else {}
        scales = [name for name in stored if name.endswith(_SCALE)]
        if not scales:
            return super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        for name in scales:
            matrix = name.removesuffix(_SCALE)
            stored[matrix] = stored[matrix].float() * stored.pop(name).float()
        model = cls.from_config(cls.load_config(pretrained_model_name_or_path))
        model.load_state_dict({name: value.float() for name, value in stored.items()})
        return model.eval()

    def forward(self, clips: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits of every head.

        Args:
            clips: `[B, F, 3, H, W]` in [0, 1].

        Returns:
            head name -> `[B, classes]`.
        """
        picks = torch.linspace(0, clips.shape[1] - 1, self.config.frames).round().long()
        clips = clips[:, picks]
        b, f = clips.shape[:2]
        x = clips.flatten(0, 1) * 2 - 1
        if x.shape[-2:] != (self.config.size, self.config.size):
            x = F.interpolate(x, (self.config.size, self.config.size), mode="bilinear", antialias=True)
        x = self.stages(self.stem(F.pixel_unshuffle(x, 2)))
        x = F.adaptive_avg_pool2d(x, self.config.pool).flatten(1).view(b, f, -1)
        change = (x[:, 1:] - x[:, :-1]).abs().mean(1) if f > 1 else torch.zeros_like(x[:, 0])
        hidden = self.mix(torch.cat([x.mean(1), x.amax(1), change], dim=-1))
        return {name: head(hidden) for name, head in self.answers.items()}


def in_8_bits(weights: dict[str, torch.Tensor], names: Sequence[str]) -> dict[str, torch.Tensor]:
    """The weights with some matrices in 8 bits, a scale a row: half the bytes of 16 bits.

    Args:
        weights: as stored; names: of matrices [rows, columns].
    """
    found = dict(weights)
    for name in names:
        matrix = weights[name].float()
        scale = matrix.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
        found[name] = (matrix / scale).round().to(torch.int8)
        found[name + _SCALE] = scale
    return found
