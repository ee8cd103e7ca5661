"""Tiny random Wan transformers and adapters with random, non-zero weights ("trained")."""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
from parts import TINY_WAN

from emogen.models import EmotionAdapterConfig, EmotionTensors, attach_emotion_adapter

TINY = TINY_WAN
FRAMES = 3


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def make_transformer():
    """Builds a text-to-video, image-to-video or VACE transformer, the same one for the same seed."""

    def make(kind: str = "t2v", seed: int = 0, **overrides):
        torch.manual_seed(seed)
        if kind == "vace":
            return WanVACETransformer3DModel(**TINY, vace_layers=[0], vace_in_channels=6, **overrides).eval()
        image = {"image_dim": 24, "added_kv_proj_dim": 64, "in_channels": 9} if kind == "i2v" else {}
        return WanTransformer3DModel(**(TINY | image | overrides)).eval()

    return make


@pytest.fixture
def make_inputs():
    """Arguments of a forward of two clips of three latent frames."""

    def make(kind: str = "t2v", text_length: int = 12, dtype: torch.dtype = torch.float32):
        random = torch.Generator().manual_seed(1)
        inputs = {
            "hidden_states": torch.randn(2, 9 if kind == "i2v" else 4, FRAMES, 8, 8, generator=random),
            "encoder_hidden_states": torch.randn(2, text_length, 16, generator=random),
        }
        if kind == "i2v":
            inputs["encoder_hidden_states_image"] = torch.randn(2, 5, 24, generator=random)
        if kind == "vace":
            inputs["control_hidden_states"] = torch.randn(2, 6, FRAMES, 8, 8, generator=random)
        return {name: value.to(dtype) for name, value in inputs.items()} | {"timestep": torch.tensor([900, 200])}

    return make


@pytest.fixture
def config():
    return EmotionAdapterConfig(num_tokens=4, rank=64, head_dim=32, hidden_dim=16, text_length=12)


@pytest.fixture
def emotions():
    """Two constant emotions."""
    return EmotionTensors(torch.eye(8)[[0, 7]], torch.tensor([[0.7, 0.4], [-0.6, -0.3]]), torch.tensor([1.0, 0.6]))


@pytest.fixture
def arcs():
    """Two emotions that change with every latent frame."""
    random = torch.Generator().manual_seed(2)
    return EmotionTensors(
        torch.rand(2, FRAMES, 8, generator=random).softmax(-1),
        torch.rand(2, FRAMES, 2, generator=random),
        torch.rand(2, FRAMES, generator=random) + 0.5,
    )


def train_at_random(adapter, seed: int = 3):
    """Make every weight of an adapter random, as if it had been trained."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in adapter.state_dict().values():
            value.add_((0.3 * torch.randn(value.shape, generator=random)).to(value.dtype))
    return adapter


@pytest.fixture
def trained(config):
    """Attaches an adapter with random weights to a transformer."""

    def attach(transformer, config=config, **kwargs):
        return train_at_random(attach_emotion_adapter(transformer, config, **kwargs))

    return attach


@pytest.fixture
def run():
    """The transformer's output for given arguments, without gradients."""

    def forward(transformer, inputs, **more):
        with torch.no_grad():
            return transformer(**inputs, **more, return_dict=False)[0]

    return forward
