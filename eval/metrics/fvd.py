"""Features of I3D trained on Kinetics-400, the network of FVD, from the TorchScript file that others use."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from emogen.eval.metrics.base import register
from emogen.eval.metrics.distance import BenchmarkDistance
from emogen.eval.metrics.video_features import VideoFeatures
from emogen.files import fingerprint_file

FILE = "i3d_torchscript.pt"
WIDTH = 400
OPTIONS = {"rescale": True, "resize": True, "return_features": True}


class I3DFeatures(VideoFeatures):
    """The 400 logits of I3D (Carreira and Zisserman 2017), as StyleGAN-V's and cd-fvd's FVD take them.

    The file is StyleGAN-V's `i3d_torchscript.pt`, a TorchScript module called with `rescale`, `resize` and
    `return_features`: pixels 0..255 are mapped to [-1, 1] and frames stretched to 224 x 224 inside it. emogen does not
    ship it. TorchScript is code: load only files that you trust, and give `sha256` to be sure of one.

    Clips need 10 frames; results are comparable at equal frame counts only, and papers use 16.

    Args:
        source: a file, or a repository of the Hugging Face Hub, "owner/name" or "owner/name:path/in/it", in which
            `i3d_torchscript.pt` is looked for.
        sha256: hexadecimal digest that the file must have.

    Raises:
        FileNotFoundError: no such file, and no such repository can be reached.
        ValueError: a file that is not I3D as described, or not of that digest.
    """

    name = "i3d_kinetics400"
    least_frames = 10

    def __init__(self, source: str | Path, sha256: str | None = None, device: str | torch.device = "cpu"):
        super().__init__()
        path = _find(source)
        digest = fingerprint_file(path)
        if sha256 is not None and digest != sha256.lower():
            raise ValueError(f"{path}: its sha256 is {digest}, not {sha256.lower()}")
        try:
            self.network = torch.jit.load(path, map_location="cpu")
        except RuntimeError as error:
            raise ValueError(f"{path}: not a TorchScript file ({str(error).splitlines()[0]})") from error
        takes = {argument.name for argument in self.network.forward.schema.arguments}
        if not takes >= OPTIONS.keys():
            raise ValueError(f"{path}: not StyleGAN-V's I3D, whose forward takes {', '.join(OPTIONS)}")
        self.settings = {"file": path.name, "sha256": digest}
        self._freeze()
        self.to(device)

    def read(self, pixels: Tensor) -> Tensor:
        frames = pixels.transpose(1, 2) * 255  # [B, 3, F, H, W]
        features = self.network(frames, **OPTIONS)
        if features.ndim != 2 or features.shape[1] != WIDTH:
            raise ValueError(
                f"{self.settings['file']}: gave features {list(features.shape)} for {len(pixels)} clips; "
                f"I3D of Kinetics-400 gives [{len(pixels)}, {WIDTH}]"
            )
        return features


@register(
    "fvd", heading="FVD", needs=("reference",), weights=("i3d",), digits=2, interval="halves",
    meaning="FVD: the Frechet distance of I3D's features to the reference's clips, less is nearer",
)  # fmt: skip
class FVD(BenchmarkDistance):
    """The Frechet video distance that papers print (Unterthiner et al. 2018)."""

    network = I3DFeatures


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.is_dir():
        path = path / FILE
    if path.is_file():
        return path
    repository, _, name = str(source).partition(":")
    is_file = Path(repository).suffix.lower() in (".pt", ".pth", ".ts", ".jit")
    if repository.count("/") == 1 and not repository.startswith((".", "/", "~")) and not is_file:
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(repository, name or FILE))
        except Exception as error:  # the hub's client raises all sorts; what counts is what was looked for
            raise FileNotFoundError(
                f"{source}: neither a file here nor reachable on the Hub "
                f"({type(error).__name__}: {str(error).splitlines()[0]})"
            ) from error
    raise FileNotFoundError(
        f"{path}: no such file. FVD needs StyleGAN-V's {FILE}, which emogen does not ship: give "
        'its path, or a Hub repository ("owner/name") that holds it'
    )
