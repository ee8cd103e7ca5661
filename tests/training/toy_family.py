"""A family that is not Wan: a tiny transformer over patches, letters for text, averaged pixels for latents."""

from contextlib import contextmanager

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.loaders import PeftAdapterMixin
from safetensors.torch import save_file
from torch import nn

from emogen.training.families import EmotionModel, Family


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))

    def forward(self, hidden, text):
        seen = torch.cat([hidden, text], dim=1)
        shown = nn.functional.scaled_dot_product_attention(self.to_q(hidden), self.to_k(seen), self.to_v(seen))
        return hidden + shown


class ToyTransformer(ModelMixin, ConfigMixin, PeftAdapterMixin):
    _supports_gradient_checkpointing = False

    @register_to_config
    def __init__(self, channels=3, width=8, num_layers=2):
        super().__init__()
        self.enter, self.leave = nn.Linear(channels + 1, width), nn.Linear(width, channels)
        self.stages = nn.ModuleList(Block(width) for _ in range(num_layers))

    def forward(self, latents, sigma, text):
        batch, _, *size = latents.shape
        level = sigma.view(-1, 1, 1, 1, 1).expand(batch, 1, *size).to(latents)
        hidden = self.enter(torch.cat([latents, level], 1).flatten(2).transpose(1, 2))
        for stage in self.stages:
            hidden = stage(hidden, text)
        return self.leave(hidden).transpose(1, 2).unflatten(2, size)


class ToyModel(EmotionModel):
    def forward(self, noisy, sigma, batch):
        dtype = self.transformer.dtype
        return self.transformer(noisy.to(dtype), sigma, batch.text.to(dtype))


class ToyPipeline:
    """Saves a LoRA, which is all that a run without previews asks of a pipeline."""

    @staticmethod
    def save_lora_weights(folder, transformer_lora_layers, weight_name, **metadata):
        save_file(transformer_lora_layers, folder / weight_name)


class Limit:
    limit = 16

    def fit(self, text, sentence=""):
        from emogen.models.text_limit import FittedText

        return FittedText(f"{text} {sentence}".strip(), len(text), "")


class ToyFamily(Family):
    transformer_class = "ToyTransformer"
    pipeline_class = stock_pipeline_class = ToyPipeline
    clip_defaults = {"height": 16, "width": 16, "num_frames": 5, "fps": 8.0, "max_sequence_length": 16}  # noqa: RUF012

    @classmethod
    def from_folder(cls, folder):
        return cls.from_config({}, folder)

    @classmethod
    def from_config(cls, config, folder=None):
        return cls(folder=folder, kind="t2v", spatial=4, temporal=4, patch=(1, 1, 1), channels=3, text_dim=8, layers=2,
                   heads=1)  # fmt: skip

    def described(self):
        return {"_class_name": self.transformer_class}

    @property
    def encoder_folders(self):
        return {"text": [self.folder / "transformer"], "clips": [self.folder / "transformer"]}

    def text_encoder(self, device, length):
        return lambda captions: [torch.tensor([[ord(c) / 128] * 8 for c in text or " "][:length]) for text in captions]

    def text_limit(self, length):
        return Limit()

    def clip_encoder(self, device):
        return lambda pixels: {"latents": nn.functional.avg_pool3d(pixels[:, :, ::4], (1, 4, 4))}

    def load_transformer(self, dtype, **extra):
        return ToyTransformer.from_pretrained(self.folder, subfolder="transformer", torch_dtype=dtype)

    def empty_transformer(self, layers=None):
        return ToyTransformer(num_layers=layers or self.layers)

    def blocks(self, transformer):
        return transformer.stages

    def keeps_float32(self, name):
        return False

    def wrap(self, transformer, adapter):
        return ToyModel(self, transformer, adapter)

    @contextmanager
    def pipeline(self, transformer, device, with_text):
        raise NotImplementedError
