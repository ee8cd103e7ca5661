"""Wan's networks in the names of other programs, as modules of diffusers and transformers.

Sizes come from the shapes in a file's header. Two numbers are in no file and are those of every published model: heads
of 128 channels, and the mean and scale of the latents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import nn

from emogen.models.compat import kept_in_float32
from emogen.models.file_kinds import Weights, WeightsError
from emogen.pipelines.stored_numbers import MARKS, check_numbers, plain_tensors

TI2V_CHANNELS = 48  # of the latents of Wan2.2 TI2V-5B, and of its autoencoder
_HEAD = 128
_IMAGE_HEAD = 80  # of CLIP ViT-H
_MEAN_2_2 = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891, 0.157,
    -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322,
    0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.123, -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.052,
    0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
_STD_2_2 = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.499, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165,
    0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917,
    0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.06,
    0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip
_VAE_2_2 = {
    "z_dim": 48, "is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2,
    "scale_factor_spatial": 16, "scale_factor_temporal": 4, "latents_mean": list(_MEAN_2_2),
    "latents_std": list(_STD_2_2),
}  # fmt: skip
_VAE_RESIDUAL = {"residual.0": "norm1", "residual.2": "conv1", "residual.3": "norm2", "residual.6": "conv2",
                 "shortcut": "conv_shortcut"}  # fmt: skip
_TEXT = {  # Wan's names of its T5 -> transformers'
    r"token_embedding\.weight": "shared.weight",
    r"norm\.weight": "encoder.final_layer_norm.weight",
    r"blocks\.(\d+)\.norm1\.weight": r"encoder.block.\1.layer.0.layer_norm.weight",
    r"blocks\.(\d+)\.norm2\.weight": r"encoder.block.\1.layer.1.layer_norm.weight",
    r"blocks\.(\d+)\.attn\.([qkvo])\.weight": r"encoder.block.\1.layer.0.SelfAttention.\2.weight",
    r"blocks\.(\d+)\.pos_embedding\.embedding\.weight":
        r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias.weight",
    r"blocks\.(\d+)\.ffn\.gate\.0\.weight": r"encoder.block.\1.layer.1.DenseReluDense.wi_0.weight",
    r"blocks\.(\d+)\.ffn\.fc1\.weight": r"encoder.block.\1.layer.1.DenseReluDense.wi_1.weight",
    r"blocks\.(\d+)\.ffn\.fc2\.weight": r"encoder.block.\1.layer.1.DenseReluDense.wo.weight",
}  # fmt: skip
_TEXT_BUCKETS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"


def transformer_config(weights: Weights) -> dict[str, Any]:
    """The configuration of the `WanTransformer3DModel` in a file.

    Raises:
        WeightsError: it is a part of one, of another kind, or in numbers that are not read here.
    """
    check_numbers(weights)
    names = transformer_names(weights.shapes)
    shapes = {new: weights.shapes[old] for new, old in names.items()}
    try:
        patch = shapes["patch_embedding.weight"]
        text, image = (
            "condition_embedder.text_embedder.linear_1.weight",
            "condition_embedder.image_embedder.norm1.weight",
        )
        config = {
            "patch_size": tuple(patch[2:]),
            "num_attention_heads": patch[0] // _HEAD,
            "attention_head_dim": _HEAD,
            "in_channels": patch[1],
            "out_channels": shapes["proj_out.weight"][0] // math.prod(patch[2:]),
            "text_dim": shapes[text][1],
            "freq_dim": shapes["condition_embedder.time_embedder.linear_1.weight"][1],
            "ffn_dim": shapes["blocks.0.ffn.net.0.proj.weight"][0],
            "num_layers": 1 + max(int(name.split(".")[1]) for name in shapes if name.startswith("blocks.")),
            "cross_attn_norm": "blocks.0.norm2.weight" in shapes,
            "qk_norm": "rms_norm_across_heads",
            "eps": 1e-6,
            "image_dim": shapes[image][0] if image in shapes else None,
            "added_kv_proj_dim": shapes.get("blocks.0.attn2.add_k_proj.weight", (None,))[0],
            "rope_max_seq_len": 1024,
            "pos_embed_seq_len": shapes.get("condition_embedder.image_embedder.pos_embed", (0, None))[1],
        }
    except KeyError as error:
        raise WeightsError(f"{weights.path}: is only a part of {weights.what}: it has no {error.args[0]}") from error
    inside, outside = config["in_channels"], config["out_channels"]
    if patch[0] % _HEAD or inside not in (outside, 2 * outside + 4):
        raise WeightsError(
            f"{weights.path}: is a Wan transformer {patch[0]} wide of {inside} channels in and {outside} out; those "
            f"that run here take {outside} (text to video) or {2 * outside + 4} (image to video)"
        )
    return config


def transformer_names(names: Any) -> dict[str, str]:
    """diffusers' names of a transformer's tensors -> those in a file, without the marks of scaled numbers."""
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    own = {name: name for name in names if not MARKS.search(name)}
    if "head.modulation" not in own:
        return own
    found = convert_wan_transformer_to_diffusers(own)
    if "img_emb.emb_pos" in found:  # of FLF2V; diffusers' converter of single files leaves it
        found["condition_embedder.image_embedder.pos_embed"] = found.pop("img_emb.emb_pos")
    return found


def load_transformer(weights: Weights, config: dict[str, Any], dtype: torch.dtype | None) -> WanTransformer3DModel:
    """The transformer in a file, with every value that the file has; a GGUF file stays as it is quantised.

    Raises:
        WeightsError: it is not whole.
    """
    names = transformer_names(weights.shapes)
    if weights.is_gguf:
        return _load_gguf(weights, names, config, dtype or torch.bfloat16)
    return _fill(WanTransformer3DModel, config, weights, names, dtype)


def _load_gguf(weights: Weights, names: Mapping[str, str], config: dict[str, Any], dtype: torch.dtype) -> Any:
    """By diffusers' quantiser, which multiplies in `dtype`; what is no matrix of a linear layer is dequantised."""
    import tempfile

    from diffusers import GGUFQuantizationConfig
    from diffusers.quantizers.gguf.utils import GGUFParameter, dequantize_gguf_tensor

    from emogen.files import write_json

    model = _empty(WanTransformer3DModel, config)
    _check_names(weights, names, model)
    linear = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    tensors = weights.tensors()
    state = {}
    for new, old in names.items():
        value = tensors.pop(old)
        quantised = isinstance(value, GGUFParameter)
        state[new] = dequantize_gguf_tensor(value) if quantised and new not in linear else value
    with tempfile.TemporaryDirectory() as folder:
        write_json(f"{folder}/config.json", {"_class_name": WanTransformer3DModel.__name__, **config})
        return WanTransformer3DModel.from_single_file(
            state, config=folder, quantization_config=GGUFQuantizationConfig(compute_dtype=dtype), dtype=dtype
        )


def vae_channels(weights: Weights) -> int:
    """Channels of an autoencoder's latents."""
    name = "conv2.weight" if "conv2.weight" in weights.shapes else "post_quant_conv.weight"
    return weights.shapes[name][0] if name in weights.shapes else 0


def load_vae(weights: Weights, dtype: torch.dtype | None) -> AutoencoderKLWan:
    """Wan2.1's autoencoder, or Wan2.2's of 48 channels, in Wan's names or diffusers'.

    Raises:
        WeightsError: it is not whole, or another one.
    """
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    check_numbers(weights)
    channels = vae_channels(weights)
    own = {name: name for name in weights.shapes if not MARKS.search(name)}
    if channels not in (16, TI2V_CHANNELS):
        raise WeightsError(
            f"{weights.path}: is an autoencoder of {channels} channels; Wan's have 16 or {TI2V_CHANNELS}"
        )
    original = "decoder.middle.0.residual.0.gamma" in own
    begin, end = ("encoder.conv1.weight", "decoder.conv1.weight") if original else (
        "encoder.conv_in.weight", "decoder.conv_in.weight")  # fmt: skip
    config: dict[str, Any] = {"base_dim": weights.shapes[begin][0]}
    if channels == TI2V_CHANNELS:
        config |= _VAE_2_2 | {"decoder_base_dim": weights.shapes[end][0] // 4}
        names = {_vae_2_2_name(name): name for name in own} if original else own
    else:
        names = convert_wan_vae_to_diffusers(own) if original else own
    return _fill(AutoencoderKLWan, config, weights, names, dtype)


def _vae_2_2_name(name: str) -> str:
    """diffusers' name of a tensor of Wan2.2's autoencoder."""
    for old, new in (("conv1", "quant_conv"), ("conv2", "post_quant_conv")):
        if name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    side, _, rest = name.partition(".")
    ends = {"conv1": "conv_in", "head.0": "norm_out", "head.2": "conv_out", "middle.1": "mid_block.attentions.0"}
    for old, new in ends.items():
        if rest.startswith(f"{old}."):
            return f"{side}.{new}{rest.removeprefix(old)}"
    if match := re.fullmatch(r"middle\.([02])\.(.+)", rest):
        return f"{side}.mid_block.resnets.{int(match[1]) // 2}.{_residual(match[2])}"
    if match := re.fullmatch(r"(down|up)samples\.(\d+)\.\1samples\.(\d+)\.(.+)", rest):
        block = f"{side}.{match[1]}_blocks.{match[2]}"
        if match[4].startswith(("residual.", "shortcut.")):
            return f"{block}.resnets.{match[3]}.{_residual(match[4])}"
        return f"{block}.{match[1]}sampler.{match[4]}"
    return name


def _residual(name: str) -> str:
    old = next((old for old in _VAE_RESIDUAL if name.startswith(f"{old}.")), "")
    return _VAE_RESIDUAL.get(old, "") + name.removeprefix(old)


def text_width(weights: Weights) -> int:
    """Width of a text encoder's tokens."""
    names = text_names(weights.shapes)
    return weights.shapes[names["shared.weight"]][1] if "shared.weight" in names else 0


def text_names(names: Any) -> dict[str, str]:
    """transformers' names of a UMT5's tensors -> those in a file."""
    own = [name for name in names if not MARKS.search(name) and name != "encoder.embed_tokens.weight"]
    if "token_embedding.weight" not in own:
        return {name: name for name in own}
    found = {}
    for name in own:
        patterns = (re.sub(f"^{pattern}$", new, name) for pattern, new in _TEXT.items() if re.fullmatch(pattern, name))
        found[next(patterns, name)] = name
    return found


def load_text_encoder(weights: Weights, dtype: torch.dtype | None) -> nn.Module:
    """UMT5, in Wan's names or transformers' (which ComfyUI keeps).

    Raises:
        WeightsError: it is not whole.
    """
    from transformers import UMT5Config, UMT5EncoderModel

    check_numbers(weights)
    names = text_names(weights.shapes)
    shapes = {new: weights.shapes[old] for new, old in names.items()}
    buckets, heads = shapes[_TEXT_BUCKETS]
    config = UMT5Config(
        vocab_size=shapes["shared.weight"][0],
        d_model=shapes["shared.weight"][1],
        d_kv=shapes["encoder.block.0.layer.0.SelfAttention.q.weight"][0] // heads,
        d_ff=shapes["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"][0],
        num_layers=1 + max(int(name.split(".")[2]) for name in shapes if name.startswith("encoder.block.")),
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu",
    )
    return _fill_transformers(UMT5EncoderModel, config, weights, names, dtype)


def spiece_model(weights: Weights) -> bytes | None:
    """The SentencePiece model that ComfyUI keeps beside a text encoder, if it is there."""
    if "spiece_model" not in weights.shapes:
        return None
    return weights.tensors()["spiece_model"].numpy().tobytes()


def load_image_encoder(weights: Weights, dtype: torch.dtype | None) -> nn.Module:
    """CLIP's vision model, in transformers' names (which ComfyUI keeps).

    Raises:
        WeightsError: it is not whole.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModel

    check_numbers(weights)
    ignored = ("visual_projection.weight", "vision_model.embeddings.position_ids")
    own = [name for name in weights.shapes if not MARKS.search(name) and name not in ignored]
    names = {name.removeprefix("vision_model."): name for name in own}  # transformers' prefix before its version 5
    shapes = {new: weights.shapes[old] for new, old in names.items()}
    width, _, patch, _ = shapes["embeddings.patch_embedding.weight"]
    places = shapes["embeddings.position_embedding.weight"][0]
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=shapes["encoder.layers.0.mlp.fc1.weight"][0],
        num_hidden_layers=1 + max(int(n.split(".")[2]) for n in shapes if n.startswith("encoder.layers.")),
        num_attention_heads=max(width // _IMAGE_HEAD, 1),
        image_size=math.isqrt(places - 1) * patch,
        patch_size=patch,
        hidden_act="gelu",
    )
    return _fill_transformers(CLIPVisionModel, config, weights, names, dtype)


def _empty(cls: Any, config: Mapping[str, Any]) -> Any:
    from accelerate import init_empty_weights

    with init_empty_weights():
        return cls.from_config(dict(config))


def _fill(cls: Any, config: Mapping[str, Any], weights: Weights, names: Mapping[str, str], dtype: Any) -> Any:
    model = _empty(cls, config)
    _check_names(weights, names, model)
    kept = set(kept_in_float32(cls))
    state = plain_tensors(weights, names, lambda name: torch.float32 if kept & set(name.split(".")) else dtype)
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


def _fill_transformers(cls: Any, config: Any, weights: Weights, names: Mapping[str, str], dtype: Any) -> Any:
    from accelerate import init_empty_weights

    with init_empty_weights():
        empty = cls(config)
    tied = {"encoder.embed_tokens.weight"}  # the same tensor as shared.weight
    _check_names(weights, names, empty, tied)
    kept = set(kept_in_float32(cls)) if dtype == torch.float16 else set()  # as transformers itself does
    state = plain_tensors(weights, names, lambda name: torch.float32 if kept & set(name.split(".")) else dtype)
    stored = next(value.dtype for name, value in state.items() if value.is_floating_point())
    return cls.from_pretrained(None, config=config, state_dict=state, dtype=dtype or stored).eval()


def _check_names(weights: Weights, names: Mapping[str, str], model: nn.Module, tied: set[str] = frozenset()) -> None:
    """See that a file has every tensor of a network, of its shape, and no other."""
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items() if name not in tied}
    if missing := sorted(wanted.keys() - names.keys()):
        raise WeightsError(
            f"{weights.path}: is only a part of {weights.what}: {len(missing)} of {len(wanted)} tensors lack, such as "
            f"{missing[0]}; fetch it again, or give the folder with all of its parts"
        )
    if unknown := sorted(names.keys() - wanted.keys()):
        raise WeightsError(
            f"{weights.path}: is {weights.what} with {len(unknown)} tensors that are not known here, such as "
            f"{names[unknown[0]]}; a model with such parts would not run as it was made"
        )
    for name, shape in wanted.items():
        if weights.shapes[names[name]] != shape:
            raise WeightsError(f"{weights.path}: {names[name]} is {weights.shapes[names[name]]}, not {shape}")
