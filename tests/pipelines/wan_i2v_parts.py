"""Tiny random components of Wan's image-to-video models, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import WanTransformer3DModel
from parts import TINY_WAN
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

IMAGE_TOKENS = 5  # (32 / 16) ** 2 patches and a class token; 257 in the published models

CALL = {
    "height": 16,
    "width": 16,
    "num_frames": 5,
    "num_inference_steps": 2,
    "guidance_scale": 3.0,
    "max_sequence_length": 512,
    "output_type": "pt",
}


def tiny_i2v_transformer(image_branch: bool = True, seed: int = 0, **overrides: Any) -> WanTransformer3DModel:
    """Noise 4, mask 4, first frame 4 channels; with the image branch of Wan2.1, or without as in Wan2.2."""
    torch.manual_seed(seed)
    branch = {"image_dim": 24, "added_kv_proj_dim": 64} if image_branch else {}
    sizes = TINY_WAN | {"in_channels": 12}
    return WanTransformer3DModel(**(sizes | branch | overrides)).eval()


def tiny_clip() -> dict[str, Any]:
    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=24, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16
    )
    return {
        "image_encoder": CLIPVisionModel(config).eval(),
        "image_processor": CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    }


def picture(width: int = 16, height: int = 16, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """Random colours in blocks, so that resizing keeps them apart."""
    random = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 256, (4, 4, len(mode)), generator=random, dtype=torch.uint8)
    return Image.fromarray(blocks.numpy().squeeze()).resize((width, height), Image.Resampling.NEAREST)


FORMS: dict[str, dict[str, Any]] = {
    "wan2.1": {},
    "flf2v": {"pos_embed_seq_len": 2 * IMAGE_TOKENS},
    "wan2.2": {"image_branch": False},
    "ti2v": {"image_branch": False, "in_channels": 4},
}


def tiny_i2v(make_pipe, kind: type, form: str = "wan2.1", **overrides: Any) -> Any:
    """A pipeline of class `kind` around one of the published forms; equal weights every time."""
    parts = make_pipe().components | {"transformer": tiny_i2v_transformer(**FORMS[form])}
    if form in ("wan2.1", "flf2v"):
        parts |= tiny_clip()
    if form == "wan2.2":
        second = tiny_i2v_transformer(**FORMS[form], seed=2)
        parts |= {"transformer_2": second, "boundary_ratio": 0.9}
    if form == "ti2v":
        parts["expand_timesteps"] = True
    pipe = kind(**(parts | overrides))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def film(pipe: Any, prompt: Any = "a red ball", seed: int = 5, **arguments: Any) -> torch.Tensor:
    """The frames of a call, [B, F, C, H, W]."""
    arguments = {"image": picture(), "generator": torch.Generator().manual_seed(seed)} | arguments
    return pipe(prompt=prompt, **(CALL | arguments)).frames
