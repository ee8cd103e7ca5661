"""The weights of a diffusers Wan transformer under the names of Wan's own code, which are ComfyUI's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from emogen.models.lora import wan_name

_BLOCK = re.compile(r"((?:vace_)?blocks\.\d+)\.(.+)")
_NORMS = {
    "norm2": "norm3",  # the one before the cross-attention
    "scale_shift_table": "modulation",
    **{
        f"{ours}.{norm}": f"{theirs}.{norm}"
        for ours, theirs in (("attn1", "self_attn"), ("attn2", "cross_attn"))
        for norm in ("norm_q", "norm_k")
    },
    "attn2.norm_added_k": "cross_attn.norm_k_img",
}
_OUTSIDE = {
    "patch_embedding": "patch_embedding",
    "vace_patch_embedding": "vace_patch_embedding",
    "scale_shift_table": "head.modulation",
    "condition_embedder.image_embedder.norm1": "img_emb.proj.0",
    "condition_embedder.image_embedder.norm2": "img_emb.proj.4",
    "condition_embedder.image_embedder.pos_embed": "img_emb.emb_pos",
}


def comfyui_weights(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A transformer's state by ComfyUI's names.

    Raises:
        ValueError: a key that no Wan transformer has.
    """
    return {_renamed(key): value for key, value in state.items()}


def _renamed(key: str) -> str:
    layer, dot, slot = key.rpartition(".")
    if slot not in ("weight", "bias"):
        layer, dot, slot = key, "", ""
    if block := _BLOCK.fullmatch(layer):
        if block[2] in _NORMS:
            return f"{block[1]}.{_NORMS[block[2]]}{dot}{slot}"
    elif layer in _OUTSIDE:
        return f"{_OUTSIDE[layer]}{dot}{slot}"
    return f"{wan_name(layer)}{dot}{slot}"
