"""LPIPS, the perceptual distance of two images, from the `lpips` package, and metrics that are means of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from emogen.eval.metrics.base import ClipMean
from emogen.eval.metrics.pixels import to_unit
from emogen.extras import how_to_install

Distance = Callable[[Tensor, Tensor], Tensor]
"""Two batches of images float32 `[N, 3, H, W]` in [-1, 1] -> N numbers, of any shape."""


def load_lpips(net: str = "alex") -> nn.Module:
    """LPIPS (Zhang et al., CVPR 2018) version 0.1.

    Args:
        net: "alex" (theirs for comparing), "vgg" or "squeeze".

    Raises:
        ImportError: the package `lpips` or the torchvision that it needs is missing or does not work.
        RuntimeError: the network's weights, which torchvision downloads, cannot be had.
    """
    try:
        import lpips
    except (ImportError, RuntimeError) as error:  # a torchvision built for another torch raises RuntimeError
        raise ImportError(
            "LPIPS needs the package lpips and a torchvision that fits this torch "
            f"({type(error).__name__}: {str(error).splitlines()[0]}): {how_to_install('lpips')}; or "
            "give `distance=` a perceptual distance of your own, or use FirstFramePSNR"
        ) from error
    try:
        return lpips.LPIPS(net=net, verbose=False).eval().requires_grad_(False)
    except OSError as error:
        raise RuntimeError(
            f"the weights of LPIPS's {net} network cannot be downloaded ({error}); put them into "
            "torch's hub cache, or give `distance=`"
        ) from error


def image_distance(distance: Distance, first: Tensor, second: Tensor) -> Tensor:
    """The distance of checked images `[N, 3, H, W]`, float64 `[N]`.

    Raises:
        ValueError: a distance that does not give one finite number a pair.
    """
    with torch.no_grad():
        values = distance(to_unit(first).float() * 2 - 1, to_unit(second).float() * 2 - 1)
    if values.numel() != len(first) or not values.isfinite().all():
        raise ValueError(f"the distance gave {list(values.shape)} for {len(first)} pairs, or a value not finite")
    return values.reshape(-1).double()


class PerceptualMean(ClipMean):
    """A mean of perceptual distances; `distance` is by default `load_lpips()`."""

    def __init__(self, distance: Distance | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.distance = load_lpips() if distance is None else distance
