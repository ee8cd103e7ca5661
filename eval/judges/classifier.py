"""A small video classifier with named heads: the network behind the embedded judge and the content reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from emogen.files import atomic, write_json
from emogen.text_files import read_json

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"
"""As diffusers names them, which wrote and reads such folders; it is not needed here, where ComfyUI may be the host."""
_SCALE = ".scale"


@dataclass(frozen=True)
class ClassifierConfig:
    """The arguments of a `ClipClassifier`."""

    heads: dict[str, list[str]]
    regressions: dict[str, int] | None
    size: int
    frames: int
    width: int
    dropout: float
    pool: int


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


class ClipClassifier(nn.Module):
    """Frames through a small residual network, then mean, maximum and mean change over time, then a head a question.

    Args:
        heads: name -> list of class names; a head named with an empty list is a regression with `regressions[name]`
            outputs.
        size: side in pixels that clips are resized to.
        frames: how many frames, evenly spaced, are read of a clip.
        width: channels of the first stage.
        pool: cells a side that the last feature map is averaged to; more keep more of where things are.
    """

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
        self.config = ClassifierConfig(heads, regressions, size, frames, width, dropout, pool)
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
    def from_pretrained(cls, folder: str | Path) -> ClipClassifier:
        """The classifier of a folder, in float32 and ready to read clips.

        A weight may be stored in 8 bits: int8 `NAME` with `NAME.scale` [rows, 1, ...], whose product it is (see
        `in_8_bits`).

        Raises:
            OSError: a file is missing or not whole.
            ValueError, TypeError, RuntimeError: the configuration describes no classifier, or not that of the weights.
        """
        values = read_json(Path(folder) / CONFIG_NAME)
        arguments = {key: value for key, value in values.items() if not key.startswith("_")}
        with torch.device("meta"):  # nothing is allocated before the weights are seen to fit
            model = cls(**arguments)
        file = Path(folder) / WEIGHTS_NAME
        try:
            stored = load_file(file)
        except SafetensorError as error:
            raise OSError(f"{file}: not a whole safetensors file ({error})") from error
        for name in [name for name in stored if name.endswith(_SCALE)]:
            matrix = name.removesuffix(_SCALE)
            stored[matrix] = stored[matrix].float() * stored.pop(name).float()
        if missing := sorted(model.state_dict().keys() - stored.keys()):
            raise ValueError(f"its weights lack a part of the network that {CONFIG_NAME} describes ({missing[0]})")
        model.load_state_dict({name: value.float() for name, value in stored.items()}, assign=True)
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write configuration and weights, as `from_pretrained` and diffusers read them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFIG_NAME, {"_class_name": type(self).__name__, **asdict(self.config)})
        with atomic(folder / WEIGHTS_NAME) as temporary:
            save_file(
                {name: value.contiguous() for name, value in self.state_dict().items()},
                temporary,
                metadata={"format": "pt"},
            )

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
    """The weights with some in 8 bits, a scale a row: half the bytes of 16 bits.

    Args:
        weights: as stored; names: of matrices [rows, columns] and of convolutions [channels, ...].
    """
    found = dict(weights)
    for name in names:
        matrix = weights[name].float()
        scale = matrix.abs().amax(tuple(range(1, matrix.ndim)), keepdim=True).clamp(min=1e-12) / 127
        found[name] = (matrix / scale).round().to(torch.int8)
        found[name + _SCALE] = scale
    return found
