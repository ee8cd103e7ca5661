"""Fidelity of clips to the image that they start from: PSNR and LPIPS of the first frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.image import PeakSignalNoiseRatio

from emogen.eval.metrics.base import BenchmarkMetric, ClipBatch, register
from emogen.eval.metrics.perceptual import PerceptualMean, image_distance
from emogen.eval.metrics.pixels import check_clips, check_images, to_unit

_EQUAL = 100.0  # dB of a frame that is the picture, whose ratio is infinite, which JSON does not know


@register(
    "first_frame_lpips", heading="first frame, LPIPS", needs=("first_frame",),
    meaning="first frame, LPIPS: its perceptual distance to the picture given, 0 is the same",
)  # fmt: skip
class FirstFrameLPIPS(PerceptualMean):
    """LPIPS of each clip's first frame and the image that it was to start from, mean over clips; 0 is the same image.

    Args:
        distance: by default `perceptual.load_lpips()`, which needs the extra `lpips`.

    Raises:
        ImportError: LPIPS is not installed or does not work here.
    """

    higher_is_better = False

    def score(self, clips: Tensor, images: Tensor) -> Tensor:
        """Distance of each clip, float64 `[B]`; arguments and errors as in `FirstFramePSNR.update`."""
        first, images = _first_frames(clips, images)
        return image_distance(self.distance, first.to(self.device), images.to(self.device))

    def read(self, batch: ClipBatch) -> Sequence[float] | None:
        """The distance of each clip of an image-to-video system."""
        return None if batch.first_frames is None else self.score(batch.clips, batch.first_frames).tolist()


@register(
    "first_frame_psnr", heading="first frame, dB", unit="dB", digits=1, needs=("first_frame",),
    meaning="first frame: its PSNR to the picture given",
)  # fmt: skip
class FirstFramePSNR(BenchmarkMetric, PeakSignalNoiseRatio):
    """Peak signal-to-noise ratio, in dB, of the clips' first frames and the images that they were to start from.

    `10 log10(1 / MSE)` with the squared error pooled over all clips (torchmetrics); infinite when all are the same.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(data_range=1.0, **kwargs)

    def score(self, clips: Tensor, images: Tensor) -> list[float]:
        """The ratio of each clip in dB, at most 100; arguments and errors as in `update`."""
        first, images = (to_unit(pixels).float() for pixels in _first_frames(clips, images))
        pairs = zip(first, images, strict=True)
        return [min(float(peak_signal_noise_ratio(one, other, data_range=1.0)), _EQUAL) for one, other in pairs]

    def read(self, batch: ClipBatch) -> Sequence[float] | None:
        """The ratio of each clip of an image-to-video system."""
        return None if batch.first_frames is None else self.score(batch.clips, batch.first_frames)

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
