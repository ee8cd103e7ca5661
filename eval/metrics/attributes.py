"""How clips of each emotion look: brightness, colourfulness, saturation, hue and motion, by emotion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from emogen.data.attributes import MIN_CONCENTRATION, clip_attributes
from emogen.emotion import MIKELS
from emogen.eval.metrics.base import BenchmarkMetric, ClipBatch, Column, Row, register
from emogen.eval.metrics.pixels import check_clips, to_bytes

_LINEAR = ("brightness", "colourfulness", "saturation", "motion")


@register("attributes", meaning="how clips of each emotion look", interval="none")
class EmotionAttributes(BenchmarkMetric, Metric):
    """Mean attributes of the clips of each of Mikels' eight, as `emogen.data.attributes.clip_attributes` has them.

    EmoVid (AAAI 2026) reports them by emotion; side by side for real and generated clips they say whether a model
    learned an emotion or a colour. `compute` gives a dict of tensors `[8]` in the order of `MIKELS`, NaN where there
    is no clip: `brightness` (0 to 1), `colourfulness` (0 to about 185), `saturation` (0 to 1), `motion` (0 to 1),
    `hue` (circular mean in degrees, [0, 360), NaN also where hues point everywhere), and `n`, the counts.

    Brightness is luma and colourfulness that of Hasler and Suesstrunk; EmoVid's own colourfulness is `saturation`.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = None

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        for name in (*_LINEAR, "n", "hue_n", "hue_cos", "hue_sin"):
            self.add_state(name, torch.zeros(len(MIKELS), dtype=torch.float64), dist_reduce_fx="sum")

    def read(self, batch: ClipBatch) -> list[dict[str, float | None]]:
        """Each clip's attributes, to five digits."""
        return [
            {name: None if value is None else round(float(value), 5) for name, value in found.to_dict().items()}
            for found in map(clip_attributes, _frames(batch.clips))
        ]

    def figures(self, rows: Sequence[Row], judges: Sequence[str], emotions: Sequence[str]) -> dict[str, Any]:
        """Means by emotion, of those that the first clip of the emotion has."""
        found: dict[str, dict[str, float]] = {}
        for emotion in emotions:
            mine = [row["attributes"] for row in rows if row["emotion"] == emotion]
            has = [name for name in _LINEAR if mine and mine[0].get(name) is not None]
            found[emotion] = {name: float(np.mean([one[name] for one in mine])) for name in has}
        return {"attributes": found}

    @classmethod
    def columns(cls, systems: Sequence[Mapping[str, Any]]) -> list[Column]:
        """None: a table by emotion is no column."""
        return []

    def update(self, clips: Tensor, target: Tensor) -> None:
        """Add clips.

        Args:
            clips: `[B, F, 3, H, W]`, uint8 or float in [0, 1].
            target: `[B]`, integers 0..7: the emotion of each clip, as its place in `MIKELS`.

        Raises:
            TypeError: not tensors, or a target that is not of integers.
            ValueError: not clips, or a target of another shape or outside 0..7.
        """
        check_clips(clips)
        if not isinstance(target, Tensor) or target.is_floating_point() or target.dtype == torch.bool:
            kind = getattr(target, "dtype", type(target).__name__)
            raise TypeError(f"target must be a tensor of integers, not {kind}")
        if target.shape != clips.shape[:1] or not ((target >= 0) & (target < len(MIKELS))).all():
            raise ValueError(f"target must be [{len(clips)}] in 0..{len(MIKELS) - 1}, not {target.tolist()}")
        for frames, place in zip(_frames(clips), target.tolist(), strict=True):
            found = clip_attributes(frames)
            for name in _LINEAR:
                getattr(self, name)[place] += getattr(found, name)
            self.n[place] += 1
            if found.hue is not None:
                self.hue_n[place] += 1
                self.hue_cos[place] += math.cos(math.radians(found.hue))
                self.hue_sin[place] += math.sin(math.radians(found.hue))

    def compute(self) -> dict[str, Tensor]:
        """Means by emotion; see the class.

        Raises:
            ValueError: no clips were given.
        """
        if not self.n.any():
            raise ValueError("EmotionAttributes: no clips were given")
        means = {name: getattr(self, name) / self.n for name in _LINEAR}  # 0 / 0 is NaN: no such clips
        degrees = torch.rad2deg(torch.atan2(self.hue_sin, self.hue_cos)) % 360
        clear = torch.hypot(self.hue_sin, self.hue_cos) >= MIN_CONCENTRATION * self.hue_n.clamp_min(1)
        means["hue"] = torch.where(clear, torch.where(degrees < 360, degrees, 0.0), torch.nan)
        return means | {"n": self.n.clone()}


def _frames(clips: Tensor) -> np.ndarray:
    """uint8 `[B, F, H, W, 3]`."""
    return to_bytes(clips).permute(0, 1, 3, 4, 2).cpu().numpy()
