"""Diversity of the clips of one prompt."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from emogen.eval.metrics.base import ClipBatch, register
from emogen.eval.metrics.perceptual import PerceptualMean, image_distance
from emogen.eval.metrics.pixels import check_clips


@register(
    "lpips_diversity", heading="LPIPS diversity", needs=("seeds",),
    meaning="LPIPS diversity: how different the clips of one prompt and emotion are over seeds; noise is diverse too",
)  # fmt: skip
class LPIPSDiversity(PerceptualMean):
    """How different the clips of one prompt are: LPIPS of frame pairs at the same time, mean over frames and over all
    pairs of clips, then mean over prompts. 0 is one clip over and over; higher is more diverse.

    The mean pairwise LPIPS is the diversity of BicycleGAN (Zhu et al., NeurIPS 2017), here on frames. Noise is diverse
    too: read it beside a quality metric.

    Args:
        distance: by default `perceptual.load_lpips()`, which needs the extra `lpips`.

    Raises:
        ImportError: LPIPS is not installed or does not work here.
    """

    higher_is_better = True

    def score(self, clips: Tensor) -> Tensor:
        """Diversity of the clips of one prompt; one update is one prompt.

        Args:
            clips: `[K, F, 3, H, W]`, K >= 2, uint8 or float in [0, 1].

        Returns:
            float64 `[1]`.

        Raises:
            TypeError, ValueError: not clips, or fewer than two.
        """
        clips = check_clips(clips).to(self.device)
        if len(clips) < 2:
            raise ValueError(f"diversity needs at least 2 clips of the prompt, not {len(clips)}")
        pairs = [image_distance(self.distance, one, other).mean() for one, other in combinations(clips, 2)]
        return torch.stack(pairs).mean()[None]

    def read(self, batch: ClipBatch) -> None:
        """Nothing: one clip alone has no diversity."""
        return None

    def read_seeds(self, clips: Tensor) -> float:
        """`score` of the clips."""
        return float(self.score(clips))
