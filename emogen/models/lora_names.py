"""Names of a LoRA's tensors: diffusers' names of a Wan model's linear layers and those of Wan's own code, by which
ComfyUI and DiffSynth go. kohya's tools (musubi-tuner) write the latter with underscores for dots."""

from __future__ import annotations

import re
from collections.abc import Mapping

# diffusers' names -> Wan's, of layers inside and outside the blocks
_IN_BLOCK = {
    f"{attention}.{ours}": f"{original}.{theirs}"
    for attention, original in (("attn1", "self_attn"), ("attn2", "cross_attn"))
    for ours, theirs in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "o"))
} | {
    "attn2.add_k_proj": "cross_attn.k_img",  # image-to-video
    "attn2.add_v_proj": "cross_attn.v_img",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "proj_in": "before_proj",  # VACE
    "proj_out": "after_proj",
}
_OUTSIDE = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
    "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
    "proj_out": "head.head",
}
_TO_WAN = (_IN_BLOCK, _OUTSIDE)
_FROM_WAN = tuple({theirs: ours for ours, theirs in names.items()} for names in _TO_WAN)
_FROM_KOHYA = tuple({theirs.replace(".", "_"): ours for theirs, ours in names.items()} for names in _FROM_WAN)
_FROM_DIFFUSERS = tuple({ours: ours for ours in names} for names in _TO_WAN)
_BLOCK = re.compile(r"((?:vace_)?blocks)[._](\d+)[._](.+)")
_PREFIX = re.compile(r"transformer\.|diffusion_model\.|(lora_unet__?)")
_SLOTS = {  # ends of keys -> what they hold
    r"\.(lora_A(\.default)?|lora_down)\.weight": "lora_A.weight",
    r"\.(lora_B(\.default)?|lora_up)\.weight": "lora_B.weight",
    r"\.lora_B(\.default)?\.bias": "lora_B.bias",
    r"\.diff_b": "diff_b",
    r"\.lora_magnitude_vector": "lora_magnitude_vector",
    r"\.dora_scale": "dora_scale",
    r"\.alpha": "alpha",
}


def parse_key(key: str) -> tuple[str, str] | None:
    """A key's layer, by diffusers' name, and what the key holds; None if it is no key of a Wan model's LoRA.

    It holds `lora_A.weight`, `lora_B.weight`, `lora_B.bias`, `diff_b` (ComfyUI's: the bias times the LoRA's scale),
    `lora_magnitude_vector`, `dora_scale` or `alpha`.
    """
    prefix = _PREFIX.match(key)
    name = key[prefix.end() if prefix else 0 :]
    for pattern, slot in _SLOTS.items():
        if match := re.fullmatch(f"(.+?){pattern}", name):
            for tables in (_FROM_KOHYA,) if prefix and prefix[1] else (_FROM_DIFFUSERS, _FROM_WAN):
                if layer := _rename(match[1], *tables):
                    return layer, slot
    return None


def wan_name(layer: str) -> str:
    """The name in Wan's own code of a layer that `parse_key` returned.

    Raises:
        KeyError: it is none.
    """
    name = _rename(layer, *_TO_WAN)
    if name is None:
        raise KeyError(layer)
    return name


def _rename(name: str, in_block: Mapping[str, str], outside: Mapping[str, str]) -> str | None:
    if match := _BLOCK.fullmatch(name):
        new = in_block.get(match[3])
        return new and f"{match[1]}.{match[2]}.{new}"
    return outside.get(name)
