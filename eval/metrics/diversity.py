"""Diversity of the clips of one prompt, and fidelity of clips to the image that they start from."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torchmetrics.image import PeakSignalNoiseRatio

from emogen.eval.metrics.mean import ClipMean
from emogen.eval.metrics.perceptual import Distance, image_distance, load_lpips
from emogen.eval.metrics.pixels import check_clips, check_images, to_unit


class _Perceptual(ClipMean):
    def __init__(self, distance: Distance | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.distance = load_lpips() if distance is None else distance


class LPIPSDiversity(_Perceptual):
    """How different the clips of one prompt are: LPIPS of frame pairs at the same time, mean over frames and over all
    pairs of clips, then mean over prompts. 0 is one clip over and over; higher is more diverse.

    The mean pairwise LPIPS is the diversity of BicycleGAN (Zhu et al., NeurIPS 2017), here on frames. Noise is diverse
    too: read it beside a quality metric.

    Args:
        distance: by default `perceptual.load_lpips()`, which needs the extra `emogen[lpips]`.

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


class FirstFrameLPIPS(_Perceptual):
    """LPIPS of each clip's first frame and the image that it was to start from, mean over clips; 0 is the same image.

    Args:
        distance: by default `perceptual.load_lpips()`, which needs the extra `emogen[lpips]`.

    Raises:
        ImportError: LPIPS is not installed or does not work here.
    """

    higher_is_better = False

    def score(self, clips: Tensor, images: Tensor) -> Tensor:
        """Distance of each clip, float64 `[B]`; arguments and errors as in `FirstFramePSNR.update`."""
        first, images = _first_frames(clips, images)
        return image_distance(self.distance, first.to(self.device), images.to(self.device))


class FirstFramePSNR(PeakSignalNoiseRatio):
    """Peak signal-to-noise ratio, in dB, of the clips' first frames and the images that they were to start from.

    `10 log10(1 / MSE)` with the squared error pooled over all clips (torchmetrics); infinite when all are the same.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(data_range=1.0, **kwargs)

    def update(self, clips: Tensor, images: Tensor) -> None:
        """Add clips.

        Args:
            clips: `[B, F, 3, H, W]`, uint8 or float in [0, 1].
            images: `[B, 3, H, W]`, in the same convention and of the same size.

        Raises:
            TypeError, ValueError: not clips and images, or of another count or size.
        """
        first, images = _first_frames(clips, images)
        super().update(to_unit(first).float().to(self.device), to_unit(images).float().to(self.device))

    def compute(self) -> Tensor:
        """The ratio in dB, a scalar.

        Raises:
            ValueError: no clips were given.
        """
        if not self.total:
            raise ValueError("FirstFramePSNR: no clips were given")
        return super().compute()


def _first_frames(clips: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    first = check_clips(clips)[:, 0]
    check_images(images)
    if images.shape != first.shape:
        raise ValueError(f"images must be {list(first.shape)}, one a clip and of its size, not {list(images.shape)}")
    return first, images
