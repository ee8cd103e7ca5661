"""Features of VideoMAE, the network of content-debiased FVD, through transformers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from emogen.eval.metrics.base import register
from emogen.eval.metrics.distance import BenchmarkDistance
from emogen.eval.metrics.video_features import VideoFeatures, resize


class VideoMAEFeatures(VideoFeatures):
    """The mean of a VideoMAE encoder's tokens, through its `fc_norm` where the checkpoint has one.

    As in the content-debiased FVD of Ge et al. (CVPR 2024, cd-fvd): frames stretched bilinearly to the model's size,
    pixels in [0, 1] without ImageNet's mean and deviation, 16 frames. Their network is VideoMAE-v2 ViT-g/14 fine-tuned
    on Something-Something v2, 1408 wide; distances by another checkpoint are called "fvd_videomae" too, but are
    comparable only with themselves, so report `settings`.

    Longer clips are read at the model's number of frames, evenly spaced, first and last among them.

    Args:
        folder: of a `VideoMAEModel` or `VideoMAEForVideoClassification` with safetensors weights, or a Hub name.

    Raises:
        FileNotFoundError: no such folder, and no such model can be reached.
        ValueError: another kind of model.
    """

    name = "videomae"

    def __init__(self, folder: str | Path, device: str | torch.device = "cpu"):
        super().__init__()
        from transformers import AutoConfig, VideoMAEForVideoClassification, VideoMAEModel

        try:
            config = AutoConfig.from_pretrained(folder)
        except OSError as error:
            raise FileNotFoundError(
                f"{folder}: neither a model folder here nor reachable on the Hub ({str(error).splitlines()[0]})"
            ) from error
        if config.model_type != "videomae":
            raise ValueError(f"{folder}: is a {config.model_type} model, not VideoMAE")
        self.norm: torch.nn.Module = torch.nn.Identity()
        if "VideoMAEForVideoClassification" in (config.architectures or []):
            whole = VideoMAEForVideoClassification.from_pretrained(folder, use_safetensors=True)
            self.network = whole.videomae
            if whole.fc_norm is not None:
                self.norm = whole.fc_norm
        else:
            self.network = VideoMAEModel.from_pretrained(folder, use_safetensors=True)
        self.least_frames = config.num_frames
        self.settings = {
            "model": str(folder),
            "width": config.hidden_size,
            "layers": config.num_hidden_layers,
            "frames": config.num_frames,
            "size": config.image_size,
        }
        self._freeze()
        self.to(device)

    def read(self, pixels: Tensor) -> Tensor:
        config = self.network.config
        picks = torch.linspace(0, pixels.shape[1] - 1, config.num_frames).round().long()
        frames = resize(pixels[:, picks], (config.image_size, config.image_size), antialias=False)
        tokens = self.network(pixel_values=frames.to(self.network.dtype)).last_hidden_state
        return self.norm(tokens.mean(1)).float()


@register(
    "fvd_videomae", heading="FVD (VideoMAE)", needs=("reference",), weights=("videomae",), digits=2, interval="halves",
    meaning="FVD (VideoMAE): the same of VideoMAE's features, the content-debiased kind",
)  # fmt: skip
class FVDVideoMAE(BenchmarkDistance):
    """The content-debiased FVD (Ge et al., CVPR 2024), of the checkpoint that is given."""

    network = VideoMAEFeatures
