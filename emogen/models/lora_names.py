"""The names of a Wan transformer's layers in LoRA files: diffusers', Wan's own, kohya's with underscores, and mixtures.

`parse_key` reads a key of any of them; `wan_name` and `wan_parameter` give the names in Wan's own code.
"""

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
# the same of what is no linear layer: norms, modulation, the patch embedding
_IN_BLOCK_DIRECT = {
    f"{attention}.{norm}": f"{original}.{norm}"
    for attention, original in (("attn1", "self_attn"), ("attn2", "cross_attn"))
    for norm in ("norm_q", "norm_k")
} | {"attn2.norm_added_k": "cross_attn.norm_k_img", "norm2": "norm3", "scale_shift_table": "modulation"}
_OUTSIDE_DIRECT = {
    "patch_embedding": "patch_embedding",
    "vace_patch_embedding": "vace_patch_embedding",
    "condition_embedder.image_embedder.norm1": "img_emb.proj.0",
    "condition_embedder.image_embedder.norm2": "img_emb.proj.4",
    "condition_embedder.image_embedder.pos_embed": "img_emb.emb_pos",
    "scale_shift_table": "head.modulation",
}


class LoraFormatError(ValueError):
    """A file that is no LoRA of a Wan model, or a LoRA that a format cannot hold."""


_Names = tuple[Mapping[str, str], Mapping[str, str]]


def _readable(in_block: Mapping[str, str], outside: Mapping[str, str]) -> list[_Names]:
    """Tables of read names -> diffusers': diffusers' own, Wan's, and either with underscores for dots."""
    ours = tuple({name: name for name in names} for names in (in_block, outside))
    theirs = tuple({new: old for old, new in names.items()} for names in (in_block, outside))
    flat = tuple(
        {name.replace(".", "_"): to for name, to in (a | b).items()} for a, b in zip(ours, theirs, strict=True)
    )
    return [ours, theirs, flat]  # type: ignore[list-item]


_TO_WAN: _Names = (_IN_BLOCK, _OUTSIDE)
_TO_WAN_DIRECT: _Names = (_IN_BLOCK_DIRECT, _OUTSIDE_DIRECT)
_LINEAR = _readable(*_TO_WAN)
_DIRECT = _readable(*_TO_WAN_DIRECT)
_BARE = ("scale_shift_table", "pos_embed")  # parameters that are no `weight` of a module
_BLOCK = re.compile(r"((?:vace_)?blocks)[._](\d+)[._](.+)")
_PREFIX = re.compile(
    r"(base_model\.model\.|model\.diffusion_model\.|diffusion_model\.|transformer\.|pipe\.dit\.|dit\.|model\.)*"
    r"(lora_unet__?|lora_transformer_|lycoris_)?"
)
_SLOTS = {  # ends of keys -> what they hold
    r"\.(lora_A(\.default)?|lora_down)\.weight": "lora_A.weight",
    r"\.(lora_B(\.default)?|lora_up)\.weight": "lora_B.weight",
    r"\.lora_B(\.default)?\.bias": "lora_B.bias",
    r"\.(diff_b|b_norm)": "diff_b",
    r"\.(diff|w_norm)": "diff",
    r"\.diff_m": "diff_m",
    r"\.lora_magnitude_vector": "lora_magnitude_vector",
    r"\.dora_scale": "dora_scale",
    r"\.alpha": "alpha",
    **{rf"\.({name})(\.default)?": name for name in (
        "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
        "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")},
}  # fmt: skip


def parse_key(key: str) -> tuple[str, str] | None:
    """A key's layer, by diffusers' name, and what the key holds; None if it is no key of a Wan model's LoRA.

    It holds `lora_A.weight`, `lora_B.weight`, `lora_B.bias`, `lora_magnitude_vector`, `dora_scale`, `alpha`, a factor
    of a LoKr or LoHa (`lokr_...`, `hada_...`), or what is added to the layer's own numbers: `diff` to its weight,
    `diff_b` to its bias. Of modulation (`diff_m`, `modulation.diff`) the layer is the parameter `scale_shift_table`.
    """
    name = key[_PREFIX.match(key).end() :]  # type: ignore[union-attr]
    for pattern, slot in _SLOTS.items():
        if match := re.fullmatch(f"(.+?){pattern}", name):
            if slot == "diff_m":  # LightX2V's, of a block or the head
                layer = _rename(f"{match[1]}.modulation", _DIRECT)
                return layer and (layer, "diff")
            tables = [*_LINEAR, *_DIRECT]
            if (layer := _rename(match[1], tables)) is not None:
                return layer, slot
    return None


def wan_name(layer: str) -> str:
    """The name in Wan's own code of a layer that `parse_key` returned.

    Raises:
        KeyError: it is none.
    """
    for names in (_TO_WAN, _TO_WAN_DIRECT):
        if (name := _rename(layer, [names])) is not None:
            return name
    raise KeyError(layer)


def parameter(layer: str, slot: str) -> str:
    """diffusers' name of the parameter that a layer's `diff` or `diff_b` is added to."""
    if layer.endswith(_BARE):
        return layer
    return f"{layer}.{'bias' if slot == 'diff_b' else 'weight'}"


def is_linear(layer: str) -> bool:
    """Whether a layer, by diffusers' name, is a linear one, which alone peft can put a LoRA beside."""
    return _rename(layer, [_TO_WAN]) is not None


def of_image_branch(name: str) -> bool:
    """Whether a layer or parameter, by diffusers' name, is of what only Wan2.1's image-to-video models have."""
    return "image_embedder" in name or re.search(r"attn2\.(add_[kv]_proj|norm_added_k)", name) is not None


def _rename(name: str, tables: list[_Names]) -> str | None:
    for in_block, outside in tables:
        if match := _BLOCK.fullmatch(name):
            if (new := in_block.get(match[3]) or in_block.get(match[3].replace(".", "_"))) is not None:
                return f"{match[1]}.{match[2]}.{new}"
        elif (new := outside.get(name) or outside.get(name.replace(".", "_"))) is not None:
            return new
    return None
