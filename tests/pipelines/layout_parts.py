"""Tiny Wan models of random weights, written out as Wan's own code, ComfyUI and GGUF keep them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from safetensors.torch import save_file
from tokenizer_parts import WORDS, tiny_tokenizer
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

SIZES = {
    "num_attention_heads": 1, "attention_head_dim": 128, "num_layers": 2, "ffn_dim": 64, "text_dim": 16, "freq_dim": 16,
    "in_channels": 16, "out_channels": 16,
}  # fmt: skip
KINDS = {
    "t2v": {},
    "i2v": {"in_channels": 36, "image_dim": 160, "added_kv_proj_dim": 128},
    "flf2v": {"in_channels": 36, "image_dim": 160, "added_kv_proj_dim": 128, "pos_embed_seq_len": 34},
    "i2v 2.2": {"in_channels": 36},
    "ti2v": {"in_channels": 48, "out_channels": 48},
}
TO_WAN = [  # in a block and outside: diffusers' names -> Wan's
    (r"attn1\.", "self_attn."), (r"attn2\.", "cross_attn."), (r"\.to_([qkv])\.", r".\1."), (r"\.to_out\.0\.", ".o."),
    (r"add_([kv])_proj", r"\1_img"), (r"norm_added_k", "norm_k_img"), (r"ffn\.net\.0\.proj", "ffn.0"),
    (r"ffn\.net\.2", "ffn.2"), (r"^(blocks\.\d+\.)norm2", r"\1norm3"),
    (r"^(blocks\.\d+\.)scale_shift_table", r"\1modulation"), (r"^scale_shift_table", "head.modulation"),
    (r"^proj_out", "head.head"), (r"condition_embedder\.time_embedder\.linear_1", "time_embedding.0"),
    (r"condition_embedder\.time_embedder\.linear_2", "time_embedding.2"),
    (r"condition_embedder\.time_proj", "time_projection.1"),
    (r"condition_embedder\.text_embedder\.linear_1", "text_embedding.0"),
    (r"condition_embedder\.text_embedder\.linear_2", "text_embedding.2"),
    (r"condition_embedder\.image_embedder\.norm1", "img_emb.proj.0"),
    (r"condition_embedder\.image_embedder\.ff\.net\.0\.proj", "img_emb.proj.1"),
    (r"condition_embedder\.image_embedder\.ff\.net\.2", "img_emb.proj.3"),
    (r"condition_embedder\.image_embedder\.norm2", "img_emb.proj.4"),
    (r"condition_embedder\.image_embedder\.pos_embed", "img_emb.emb_pos"),
]  # fmt: skip
TEXT_TO_WAN = [
    (r"^shared", "token_embedding"), (r"^encoder\.final_layer_norm", "norm"), (r"^encoder\.block", "blocks"),
    (r"layer\.0\.layer_norm", "norm1"), (r"layer\.1\.layer_norm", "norm2"),
    (r"layer\.0\.SelfAttention\.relative_attention_bias", "pos_embedding.embedding"),
    (r"layer\.0\.SelfAttention", "attn"), (r"layer\.1\.DenseReluDense\.wi_0", "ffn.gate.0"),
    (r"layer\.1\.DenseReluDense\.wi_1", "ffn.fc1"), (r"layer\.1\.DenseReluDense\.wo", "ffn.fc2"),
]  # fmt: skip
RESNET = [("norm1", "residual.0"), ("conv1", "residual.2"), ("norm2", "residual.3"), ("conv2", "residual.6"),
          ("conv_shortcut", "shortcut")]  # fmt: skip


def random(module, seed):
    """All weights random, so that no two tensors are alike."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(0.2 * torch.randn(value.shape, generator=noise))
    return module.eval()


def transformer(kind="t2v", seed=0):
    return random(WanTransformer3DModel(**(SIZES | KINDS[kind])), seed)


def vae(channels=16):
    if channels == 48:
        return random(AutoencoderKLWan(
            base_dim=8, decoder_base_dim=8, z_dim=48, is_residual=True, in_channels=12, out_channels=12, patch_size=2,
            scale_factor_spatial=16, latents_mean=[0.1] * 48, latents_std=[1.5] * 48), 1)  # fmt: skip
    return random(AutoencoderKLWan(base_dim=4), 1)


def text_encoder():
    sizes = UMT5Config(vocab_size=len(WORDS) + 5, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
                       relative_attention_num_buckets=8, feed_forward_proj="gated-gelu")  # fmt: skip
    return random(UMT5EncoderModel(sizes), 2)


def image_encoder():
    sizes = CLIPVisionConfig(hidden_size=160, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                             image_size=28, patch_size=7, hidden_act="gelu")  # fmt: skip
    return random(CLIPVisionModel(sizes), 3)


def renamed(state, table):
    found = {}
    for name, value in state.items():
        for pattern, new in table:
            name = re.sub(pattern, new, name)
        found[name] = value
    return found


def wan_names(module):
    """A transformer's tensors by Wan's names."""
    return renamed(module.state_dict(), TO_WAN)


def text_tensors(module):
    """A text encoder's, as transformers and ComfyUI have them."""
    return {name: value for name, value in module.state_dict().items() if name != "encoder.embed_tokens.weight"}


def vae_names(module):
    """An autoencoder's tensors by Wan's names."""
    return {_vae_name(name, module.config): value for name, value in module.state_dict().items()}


def _vae_name(name, config):
    if name.startswith(("quant_conv", "post_quant_conv")):
        return name.replace("post_quant_conv", "conv2").replace("quant_conv", "conv1")
    for new, old in (("conv_in", "conv1"), ("norm_out", "head.0"), ("conv_out", "head.2"),
                     ("mid_block.attentions.0", "middle.1")):  # fmt: skip
        name = re.sub(rf"^(\w+)\.{new}\.", rf"\1.{old}.", name)
    for new, old in RESNET:
        name = re.sub(rf"(resnets\.\d+|down_blocks\.\d+)\.{new}\.", rf"\1.{old}.", name)
    name = re.sub(r"mid_block\.resnets\.([01])", lambda m: f"middle.{2 * int(m[1])}", name)
    if config.is_residual:
        name = re.sub(r"(down|up)_blocks\.(\d+)\.resnets\.(\d+)", r"\1samples.\2.\1samples.\3", name)
        count = {"down": config.num_res_blocks, "up": config.num_res_blocks + 1}
        return re.sub(r"(down|up)_blocks\.(\d+)\.\1sampler",
                      lambda m: f"{m[1]}samples.{m[2]}.{m[1]}samples.{count[m[1]]}", name)  # fmt: skip
    name = re.sub(r"down_blocks\.(\d+)", r"downsamples.\1", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"upsamples.{4 * int(m[1]) + int(m[2])}", name)
    return re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"upsamples.{4 * int(m[1]) + 3}", name)


def fp8_scaled(tensors, old_marks=True, rows=False):
    """ComfyUI's scaled fp8: matrices in 8 bits beside their scales. Returns the file's tensors, and what they mean."""
    file, meaning = ({"scaled_fp8": torch.tensor([], dtype=torch.float8_e4m3fn)} if old_marks else {}), {}
    for name, value in tensors.items():
        if value.ndim != 2 or not name.endswith("weight"):
            file[name] = meaning[name] = value.half()
            continue
        scale = (value.abs().amax(1, keepdim=True) if rows else value.abs().max()) / 448
        small = (value / scale).to(torch.float8_e4m3fn)
        stem = name.removesuffix("weight")
        file[name], meaning[name] = small, small.float() * scale
        if old_marks:
            file[f"{stem}scale_weight"], file[f"{stem}scale_input"] = scale, torch.ones(())
        else:
            text = json.dumps({"format": "float8_e4m3fn"}).encode()
            file[f"{stem}weight_scale"], file[f"{stem}comfy_quant"] = scale, torch.tensor(list(text), dtype=torch.uint8)
    return file, meaning


def save(tensors, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, path)
    return path


def comfyui_folder(root: Path, channels=16):
    """A folder as ComfyUI's `models`, with text encoder and autoencoder, and a tokenizer."""
    save(vae_names(vae(channels)), root / "vae" / "wan_vae.safetensors")
    save(text_tensors(text_encoder()), root / "text_encoders" / "umt5_xxl.safetensors")
    save(
        image_encoder().state_dict() | {"visual_projection.weight": torch.ones(2, 2)},
        root / "clip_vision/h.safetensors",
    )
    tiny_tokenizer().save_pretrained(root / "text_encoders" / "tokenizer")
    return root


def diffusers_folder(root: Path, **parts):
    """The same model as diffusers keeps it."""
    own = {"transformer": transformer(), "vae": vae(), "text_encoder": text_encoder(), "tokenizer": tiny_tokenizer(),
           "scheduler": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True,
                                                num_train_timesteps=1000, flow_shift=3.0)}  # fmt: skip
    WanPipeline(**(own | parts)).save_pretrained(root)
    return root
