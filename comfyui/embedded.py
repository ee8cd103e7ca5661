"""emogen's embedded text-to-video model in ComfyUI: a workflow that runs in seconds on a CPU, without any download.

ComfyUI reads no such model by itself: it takes Wan's heads to be 128 wide, its patches 2x2 and its autoencoder to be
the published one. So these nodes tell it the sizes; the decoder is diffusers' and needs that package.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from emogen.embedded import embedded_model

from .keys import comfyui_weights

CATEGORY = "emogen/embedded"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def wan_config(transformer: dict[str, Any]) -> dict[str, Any]:
    """Sizes for ComfyUI's network, of a diffusers transformer's configuration."""
    width = transformer["num_attention_heads"] * transformer["attention_head_dim"]
    kind, extra = "t2v" if transformer.get("image_dim") is None else "i2v", {}
    if "vace_layers" in transformer:
        kind = "vace"
        extra = {"vace_layers": len(transformer["vace_layers"]), "vace_in_dim": transformer["vace_in_channels"]}
    return extra | {
        "image_model": "wan2.1",
        "model_type": kind,
        "dim": width,
        "num_heads": transformer["num_attention_heads"],
        "num_layers": transformer["num_layers"],
        "ffn_dim": transformer["ffn_dim"],
        "freq_dim": transformer["freq_dim"],
        "text_dim": transformer["text_dim"],
        "in_dim": transformer["in_channels"],
        "out_dim": transformer["out_channels"],
        "patch_size": tuple(transformer["patch_size"]),
        "cross_attn_norm": transformer["cross_attn_norm"],
        "eps": transformer["eps"],
    }


def load_transformer(
    transformer: dict[str, Any],
    state: dict[str, torch.Tensor],
    *,
    shift: float,
    latents: Any = None,
    dtype: torch.dtype = torch.float32,
    compute: torch.dtype | None = None,
) -> Any:
    """A `ModelPatcher` of a Wan transformer whose sizes ComfyUI would not find out.

    Args:
        transformer: diffusers' configuration. state: weights by diffusers' names.
        shift: of the noise levels. latents: ComfyUI's latent format; by default Wan2.1's.
        dtype: of the weights. compute: of the computation, by default the same.
    """
    import comfy.latent_formats
    import comfy.model_management as management
    import comfy.supported_models
    from comfy.model_patcher import ModelPatcher

    config = wan_config(transformer)
    kinds = {"t2v": "WAN21_T2V", "i2v": "WAN21_I2V", "vace": "WAN21_Vace"}
    described = getattr(comfy.supported_models, kinds[config["model_type"]])(config)
    described.sampling_settings = {"shift": shift}
    described.latent_format = latents or comfy.latent_formats.Wan21()
    described.set_inference_dtype(dtype, compute)
    model = described.get_model(state, "")
    model.diffusion_model.load_state_dict(comfyui_weights(state))
    model.diffusion_model.eval().requires_grad_(False)
    return ModelPatcher(
        model, load_device=management.get_torch_device(), offload_device=management.unet_offload_device()
    )


def latent_format(vae: dict[str, Any]) -> Any:
    """How ComfyUI scales the embedded autoencoder's latents, and that two frames make one of them."""
    import comfy.latent_formats

    latents = comfy.latent_formats.Wan21()
    latents.latents_mean = torch.tensor(vae["latents_mean"]).view(1, -1, 1, 1, 1)
    latents.latents_std = torch.tensor(vae["latents_std"]).view(1, -1, 1, 1, 1)
    latents.temporal_downscale_ratio = vae["scale_factor_temporal"]
    return latents


def _json(path: str, folder: str | None = None) -> dict[str, Any]:
    return json.loads((Path(folder or embedded_model()) / path).read_text(encoding="utf-8"))


class LoadEmbeddedModel:
    """The model, and empty latents of the size it was trained on."""

    DESCRIPTION = "The small model in the emogen package, which draws stickers; to try the nodes without a download."
    RETURN_TYPES = ("MODEL", "LATENT")
    FUNCTION = "load"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"clips": ("INT", {"default": 1, "min": 1, "max": 64, "tooltip": "to make at once"})}}

    def load(self, clips: int) -> tuple[Any, dict[str, torch.Tensor]]:
        vae, defaults = _json("vae/config.json"), _json("generation_config.json")
        state = load_file(Path(embedded_model()) / "transformer" / WEIGHTS)
        model = load_transformer(
            _json("transformer/config.json"),
            state,
            shift=_json("scheduler/scheduler_config.json")["flow_shift"],
            latents=latent_format(vae),
        )
        frames = (defaults["num_frames"] - 1) // vae["scale_factor_temporal"] + 1
        side = vae["scale_factor_spatial"]
        size = (clips, vae["z_dim"], frames, defaults["height"] // side, defaults["width"] // side)
        return model, {"samples": torch.zeros(size)}


class EncodeEmbeddedPrompt:
    """A prompt for the embedded model, by its own text encoder."""

    DESCRIPTION = 'Such as "a flat sticker of a round yellow face".'
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "encode"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        text = {"multiline": True, "default": "a flat sticker of a round yellow face"}
        return {"required": {"text": ("STRING", text)}}

    def encode(self, text: str) -> tuple[list[Any]]:
        from transformers import AutoTokenizer, UMT5EncoderModel

        folder, length = embedded_model(), _json("generation_config.json")["max_sequence_length"]
        tokenizer = AutoTokenizer.from_pretrained(folder, subfolder="tokenizer")
        encoder = UMT5EncoderModel.from_pretrained(folder, subfolder="text_encoder", dtype=torch.float32).eval()
        words = " ".join(html.unescape(text).split())
        tokens = tokenizer(words, truncation=True, max_length=length, return_tensors="pt")
        with torch.no_grad():
            embeds = encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
        # As Wan's pipelines: encoded together with padding or not is the same, and the rest is zero.
        return ([[torch.nn.functional.pad(embeds, (0, 0, 0, length - embeds.shape[1])), {}]],)


class DecodeEmbedded:
    """Latents of the embedded model to frames, through its own autoencoder."""

    DESCRIPTION = "Decodes latents of the embedded model. Needs diffusers."
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "decode"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"samples": ("LATENT",)}}

    def decode(self, samples: dict[str, torch.Tensor]) -> tuple[torch.Tensor]:
        try:
            from diffusers import AutoencoderKLWan
        except ImportError as error:
            raise ImportError("the embedded autoencoder is run by diffusers: pip install diffusers") from error
        vae = AutoencoderKLWan.from_pretrained(embedded_model(), subfolder="vae", torch_dtype=torch.float32)
        with torch.no_grad():  # ComfyUI's latents outside of a sampler have the autoencoder's own scale
            clips = vae.decode(samples["samples"].float(), return_dict=False)[0]
        return (((clips + 1) / 2).clamp(0, 1).permute(0, 2, 3, 4, 1).flatten(0, 1).cpu(),)
