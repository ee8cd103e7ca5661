"""A tiny random Wan in a diffusers folder, and a handful of clips, built once a session."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

EMOTIONS = ("joy", "fear", "sadness:0.5", "neutral")
WORDS = ("a", "red", "blue", "ball", "on", "the", "table", "rolls", "slowly")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """What is found in clips is kept in the user's cache folder: not in that of who runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    from diffusers import (
        AutoencoderKLWan,
        FlowMatchEulerDiscreteScheduler,
        WanPipeline,
        WanTransformer3DModel,
    )
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    vocabulary = {word: index for index, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    text = UMT5EncoderModel(
        UMT5Config(vocab_size=len(vocabulary), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )
    vae = AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1], num_res_blocks=1, temperal_downsample=[True, True],
        latents_mean=[0.1, -0.1, 0.0, 0.2], latents_std=[0.5, 1.0, 1.5, 2.0],
        scale_factor_spatial=4, scale_factor_temporal=4,
    )  # fmt: skip
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4,
        text_dim=16, freq_dim=16, ffn_dim=32, num_layers=2, rope_max_seq_len=32,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")
    WanPipeline(
        tokenizer=tokenizer, text_encoder=text, vae=vae, transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=2.0),
    ).save_pretrained(folder)  # fmt: skip
    settings = {"height": 16, "width": 16, "num_frames": 5, "fps": 8, "max_sequence_length": 12}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="session")
def clips_folder(tmp_path_factory) -> Path:
    """Ten clips of 5 frames, two of them held out, every emotion in turn."""
    folder = tmp_path_factory.mktemp("clips")
    random = np.random.default_rng(0)
    rows = []
    for index in range(10):
        frames = [Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(5)]
        name = f"clip{index}.webp"
        frames[0].save(folder / name, save_all=True, append_images=frames[1:], duration=125, lossless=True, loop=0)
        rows.append(
            {
                "file_name": name,
                "caption": f"a {('red', 'blue')[index % 2]} ball rolls",
                "emotion": EMOTIONS[index % 4],
                "split": "val" if index >= 8 else "train",
            }
        )
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def make_config(model_folder, clips_folder, tmp_path):
    """A small valid configuration; keyword arguments are sections to change."""
    from emogen.training.config import config_from_dict

    def make(**changes):
        raw = {
            "model": {"pretrained_model_name_or_path": str(model_folder), "base_dtype": "fp32"},
            "data": {"dataset_name": str(clips_folder), "cache_dir": str(tmp_path / "cache")},
            "lora": {"rank": 2},
            "adapter": {"num_tokens": 2, "hidden_dim": 8, "adapter_rank": 8, "adapter_head_dim": 4},
            "objective": {"timesteps": "logit_normal", "shift": 2.0},
            "optimizer": {"learning_rate": 1e-2, "adapter_learning_rate": 1e-2, "lr_warmup_steps": 2},
            "run": {
                "output_dir": str(tmp_path / "run"), "max_train_steps": 4, "train_batch_size": 2,
                "mixed_precision": "no", "cpu": True, "logging_steps": 1, "ema_decay": 0.9,
            },
            "checkpoint": {"checkpointing_steps": 100},
            "validation": {"validation_steps": 0, "validation_clips": 2, "validation_quantiles": [0.3, 0.7]},
        }  # fmt: skip
        for section, values in changes.items():
            raw[section] = {**raw[section], **values} if section in raw else values
        return config_from_dict(raw)

    return make
