"""The last stage of the base: the folder in diffusers' own format, in bfloat16, with its generation defaults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from torch import nn

from emogen.pipelines.defaults import GenerationDefaults
from recipe import i2v
from recipe.base import PIPELINE_TEXT_LENGTH, SHIFT, TRANSFORMER_CONFIG
from recipe.clips import FPS, FRAMES, SIZE

DEFAULTS = GenerationDefaults(
    height=SIZE,
    width=SIZE,
    num_frames=FRAMES,
    num_inference_steps=20,
    guidance_scale=2.5,
    max_sequence_length=PIPELINE_TEXT_LENGTH,
    fps=FPS,
)


def export(work: Path, vae: AutoencoderKLWan, tokenizer, encoder: nn.Module, out: Path) -> None:
    """Write the model folder from the averaged weights; any Wan pipeline of diffusers reads it."""
    transformer = WanTransformer3DModel(**TRANSFORMER_CONFIG)
    state = torch.load(work / "base_ema.pt", weights_only=True)
    nn.ModuleDict({"transformer": transformer, "text_encoder": encoder}).load_state_dict(state)
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT, num_train_timesteps=1000
    )
    pipeline = WanPipeline(
        tokenizer=tokenizer,
        text_encoder=encoder.to(torch.bfloat16),
        vae=vae.to(torch.bfloat16),
        scheduler=scheduler,
        transformer=transformer.to(torch.bfloat16),
    )
    pipeline.save_pretrained(out)
    DEFAULTS.save(out)
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"{out}: {size / 2**20:.1f} MiB")


def export_i2v(work: Path, out: Path) -> None:
    """Write what image-to-video has of its own: transformer, image encoder and processor, model index and defaults.

    Autoencoder, text encoder, tokenizer and scheduler are the text-to-video model's.
    """
    modules = nn.ModuleDict({
        "transformer": WanTransformer3DModel(**i2v.CONFIG), "image_encoder": i2v.build_image_encoder()
    })  # fmt: skip
    modules.load_state_dict(torch.load(work / "i2v_ema.pt", weights_only=True))
    modules.to(torch.bfloat16)
    modules["transformer"].save_pretrained(out / "transformer")
    modules["image_encoder"].save_pretrained(out / "image_encoder")
    i2v.build_image_processor().save_pretrained(out / "image_processor")
    replace(DEFAULTS, guidance_scale=2.0).save(out)
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"{out}: {size / 2**20:.1f} MiB")
