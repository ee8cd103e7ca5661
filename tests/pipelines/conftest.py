"""A tiny random Wan pipeline, and adapters with random, non-zero weights ("trained")."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from parts import TINY_WAN
from tokenizer_parts import WORDS, tiny_tokenizer
from transformers import UMT5Config, UMT5EncoderModel

from emogen.models import EmotionAdapterConfig
from emogen.pipelines import EmotionWanPipeline

CALL = {
    "height": 16,
    "width": 16,
    "num_frames": 5,
    "num_inference_steps": 2,
    "guidance_scale": 3.0,
    "max_sequence_length": 12,
    "output_type": "pt",
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def tiny_transformer(**overrides) -> WanTransformer3DModel:
    return WanTransformer3DModel(**(TINY_WAN | overrides)).eval()


def components(**overrides):
    torch.manual_seed(0)
    text = UMT5Config(vocab_size=len(WORDS) + 5, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    parts = {
        "tokenizer": tiny_tokenizer(),
        "text_encoder": UMT5EncoderModel(text).eval(),
        "vae": AutoencoderKLWan(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[True, True],
            latents_mean=[0.1, -0.1, 0.0, 0.2],
            latents_std=[0.5, 1.0, 1.5, 2.0],
            scale_factor_spatial=4,
            scale_factor_temporal=4,
        ).eval(),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
        "transformer": tiny_transformer(),
    }
    return parts | overrides


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def make_transformer():
    """Builds a tiny transformer, with other sizes if asked."""
    return tiny_transformer


@pytest.fixture
def make_pipe():
    """Builds an emotion pipeline of equal weights every time, with other components if asked."""

    def make(**overrides):
        return quiet(EmotionWanPipeline(**components(**overrides)))

    return make


@pytest.fixture
def pipe():
    """An emotion pipeline without an adapter; equal weights every time."""
    return quiet(EmotionWanPipeline(**components()))


@pytest.fixture
def stock():
    """The stock pipeline with the same weights."""
    return quiet(WanPipeline(**components()))


@pytest.fixture
def train():
    """Gives an adapter random weights."""
    return train_at_random


def train_at_random(adapter, seed: int = 3):
    """Make every weight of an adapter random, as if it had been trained."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in adapter.state_dict().values():
            value.add_((0.3 * torch.randn(value.shape, generator=random)).to(value.dtype))
    return adapter


@pytest.fixture
def config():
    return EmotionAdapterConfig(rank=64, head_dim=32, hidden_dim=16, text_length=12)


@pytest.fixture
def dressed(pipe, config):
    """An emotion pipeline with a trained adapter."""
    train_at_random(pipe.add_emotion_adapter(config))
    return pipe


@pytest.fixture
def generate():
    """The frames of a call, [B, F, C, H, W], with small settings and a fixed seed."""

    def call(pipe, prompt="a red ball", seed=5, **arguments):
        generator = torch.Generator().manual_seed(seed)
        return pipe(prompt, **(CALL | {"generator": generator} | arguments)).frames

    return call


@pytest.fixture
def adapter_folder(dressed, tmp_path):
    """A saved trained adapter."""
    dressed.save_emotion_adapter(tmp_path / "adapter")
    return tmp_path / "adapter"
