"""The image-to-video weights in the package: readable by stock diffusers, beginning with the picture, and feeling."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanImageToVideoPipeline
from PIL import Image

from emogen import EmotionWanImageToVideoPipeline, embedded_i2v_adapter, embedded_i2v_model
from emogen.emotion import MIKELS
from emogen.eval.judges.embedded import EmbeddedJudge
from emogen.eval.metrics import FirstFramePSNR
from emogen.eval.metrics.agreement import read_as_asked
from emogen.stickers.render import StickerSpec, render

PROMPT = "a flat sticker of a heart-shaped pink face on a white background"
CALL = dict(height=96, width=96, num_frames=5, num_inference_steps=3, guidance_scale=2.5, max_sequence_length=512,
            output_type="np")  # fmt: skip


@pytest.fixture(scope="module")
def picture():
    return Image.fromarray(render(StickerSpec("heart", "pink", "white", seed=2))[0])


@pytest.fixture(scope="module")
def pipe():
    pipe = EmotionWanImageToVideoPipeline.from_pretrained(embedded_i2v_model())
    pipe.set_progress_bar_config(disable=True)
    pipe.load_emotion_adapter(embedded_i2v_adapter())
    return pipe


def seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_wan21s_own_kind_of_model():
    folder = Path(embedded_i2v_model())
    stock = WanImageToVideoPipeline.from_pretrained(folder)
    config = stock.transformer.config
    assert config.image_dim is not None and config.added_kv_proj_dim is not None
    assert config.in_channels == 2 * config.out_channels + stock.vae_scale_factor_temporal
    assert not [f for f in folder.rglob("*") if f.suffix in (".bin", ".pt", ".pth", ".pkl")]


def test_scale_zero_without_lora_is_the_stock_pipeline_bit_for_bit(picture):
    stock = WanImageToVideoPipeline.from_pretrained(embedded_i2v_model())
    stock.set_progress_bar_config(disable=True)
    base = stock(picture, PROMPT, generator=seed(), **CALL).frames
    pipe = EmotionWanImageToVideoPipeline.from_pretrained(embedded_i2v_model())
    pipe.set_progress_bar_config(disable=True)
    pipe.load_emotion_adapter(embedded_i2v_adapter(), load_lora=False)
    for neutral in ({"emotion": "joy", "emotion_scale": 0.0}, {"emotion": "neutral"}):
        assert np.abs(pipe(picture, PROMPT, generator=seed(), **neutral, **CALL).frames - base).max() == 0
    assert np.abs(pipe(picture, PROMPT, emotion="joy", generator=seed(), **CALL).frames - base).max() > 0.05


def test_the_clip_begins_with_the_picture_and_comes_to_the_emotion(pipe, picture):
    asked = ["amusement", "anger", "fear", "sadness"]
    call = {**CALL, "num_frames": 13, "num_inference_steps": 8}
    clips = pipe(picture, [PROMPT] * 4, emotion=asked, generator=[seed() for _ in asked], **call).frames
    clips = (clips * 255).round().astype(np.uint8)
    given = torch.from_numpy(np.stack([np.asarray(picture)] * len(clips))).permute(0, 3, 1, 2)
    assert min(FirstFramePSNR().score(torch.from_numpy(clips).permute(0, 1, 4, 2, 3), given)) > 18
    verdict = EmbeddedJudge()(clips[:, 4:])
    eight, two = read_as_asked(verdict.distribution, asked)
    assert eight.sum() >= 2 and two.sum() >= 3, verdict.labels
    assert set(verdict.labels) <= set(MIKELS)
