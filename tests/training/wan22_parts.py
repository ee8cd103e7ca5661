"""Tiny Wan2.2 checkpoints with random weights, of the structure of the published ones, and a picture for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

TINY = {"patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12, "text_dim": 16, "freq_dim": 16,
        "ffn_dim": 32, "num_layers": 2, "rope_max_seq_len": 32}  # fmt: skip


def a14b(base: Path, folder: Path, image: bool = False) -> Path:
    """Two transformers over the tiny Wan2.1's autoencoder; `image` makes them take mask and first frame."""
    from diffusers import WanTransformer3DModel

    shutil.copytree(base, folder)
    for seed, name in ((1, "transformer"), (2, "transformer_2")):
        torch.manual_seed(seed)
        model = WanTransformer3DModel(**TINY, in_channels=12 if image else 4, out_channels=4)
        model.save_pretrained(folder / name)
    _index(
        folder,
        _class_name="WanImageToVideoPipeline" if image else "WanPipeline",
        boundary_ratio=0.9 if image else 0.875,
        transformer_2=["diffusers", "WanTransformer3DModel"],
    )
    return folder


def ti2v(base: Path, folder: Path) -> Path:
    """One transformer over an autoencoder of Wan2.2's kind: residual, on patches of two by two pixels."""
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    shutil.copytree(base, folder)
    torch.manual_seed(3)
    AutoencoderKLWan(
        base_dim=4, decoder_base_dim=4, z_dim=6, dim_mult=[1, 1, 1], num_res_blocks=1, temperal_downsample=[True, True],
        latents_mean=[0.1] * 6, latents_std=[1.5] * 6, is_residual=True, in_channels=12, out_channels=12, patch_size=2,
        scale_factor_spatial=8, scale_factor_temporal=4,
    ).save_pretrained(folder / "vae")  # fmt: skip
    WanTransformer3DModel(**TINY, in_channels=6, out_channels=6).save_pretrained(folder / "transformer")
    _index(folder, expand_timesteps=True)
    return folder


def _index(folder: Path, **changes: object) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
