"""Folders in diffusers' own format, in bfloat16, with their generation defaults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from torch import nn
from transformers import CLIPVisionModel

from emogen.files import atomic
from emogen.pipelines.defaults import GenerationDefaults
from recipe.base import TEXT_POSITIONS
from recipe.config import Recipe
from recipe.i2v import build_image_processor


def defaults(recipe: Recipe) -> GenerationDefaults:
    """What a call without sizes gets."""
    clips, sampling = recipe.clips, recipe.sampling
    return GenerationDefaults(
        height=clips.size,
        width=clips.size,
        num_frames=clips.frames,
        num_inference_steps=sampling.steps,
        guidance_scale=sampling.guidance_scale,
        max_sequence_length=TEXT_POSITIONS,
        fps=clips.fps,
    )


def export(
    recipe: Recipe,
    vae: AutoencoderKLWan,
    transformer: WanTransformer3DModel,
    encoder: nn.Module,
    tokenizer,
    out: Path,
) -> None:
    """Write the text-to-video folder; any Wan pipeline of diffusers reads it."""
    pipeline = WanPipeline(
        tokenizer=tokenizer,
        text_encoder=encoder.to(torch.bfloat16),
        vae=vae.to(torch.bfloat16),
        scheduler=_scheduler(recipe),
        transformer=transformer.to(torch.bfloat16),
    )
    with atomic(out) as temporary:
        pipeline.save_pretrained(temporary)
        defaults(recipe).save(temporary)


def export_i2v(
    recipe: Recipe,
    text_to_video: Path,
    transformer: WanTransformer3DModel,
    image_encoder: CLIPVisionModel,
    out: Path,
) -> None:
    """Write the image-to-video folder; autoencoder, text encoder and tokenizer are those of the folder `text_to_video`.

    Args:
        transformer: merged, that is plain.
    """
    shared = WanPipeline.from_pretrained(text_to_video, torch_dtype=torch.bfloat16, transformer=None)
    pipeline = WanImageToVideoPipeline(
        tokenizer=shared.tokenizer,
        text_encoder=shared.text_encoder,
        vae=shared.vae,
        scheduler=shared.scheduler,
        transformer=transformer.to(torch.bfloat16),
        image_encoder=image_encoder.to(torch.bfloat16),
        image_processor=build_image_processor(recipe.clips.size),
    )
    with atomic(out) as temporary:
        pipeline.save_pretrained(temporary)
        replace(defaults(recipe), guidance_scale=recipe.sampling.i2v_guidance_scale).save(temporary)


def _scheduler(recipe: Recipe) -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=recipe.base.shift,
        num_train_timesteps=1000,
    )
