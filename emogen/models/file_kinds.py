"""What a file of weights is, told from the names and shapes in its header: before anything is loaded, and in words.

for part in networks_in("wan2.1_t2v_1.3B_fp8_scaled.safetensors"):
    print(part.kind, part.what)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emogen.models.config import CONFIG_NAME

if TYPE_CHECKING:
    import torch

TRANSFORMER, VAE, TEXT_ENCODER, IMAGE_ENCODER = "transformer", "vae", "text encoder", "image encoder"
_SECTIONS = (  # prefixes under which one file holds several networks, or one of them
    "model.diffusion_model.", "diffusion_model.", "first_stage_model.", "vae.", "text_encoders.umt5xxl.transformer.",
    "text_encoders.umt5xxl.",
)  # fmt: skip
_LORA = re.compile(r"(^|[._])(lora|lokr|hada|oft)_|\.diff(_b|_m)?$|\.dora_scale$")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")
_PICKLES = (".pth", ".pt", ".ckpt", ".bin", ".pkl")
_OTHER_WAN = "a Wan transformer of another kind"
_GIVE_WAN = "give a Wan2.1 or Wan2.2 text-to-video or image-to-video transformer"
_FOR_MODEL = f"it is no Wan model: {_GIVE_WAN}"


@dataclass(frozen=True)
class _Kind:
    """A kind of weights: a name in it that no other kind has."""

    needle: str
    kind: str
    what: str
    instead: str = ""


_KINDS = (  # the first whose needle is there; what has parts of another comes before it
    _Kind("encoder.null", "adapter", "an emotion adapter", "give its folder with --adapter"),
    _Kind("vace_blocks.0.after_proj.weight", "other", f"{_OTHER_WAN}: VACE", _GIVE_WAN),
    _Kind("vace_blocks.0.proj_out.weight", "other", f"{_OTHER_WAN}: VACE", _GIVE_WAN),
    _Kind("control_adapter.conv.weight", "other", f"{_OTHER_WAN}: Fun camera control", _GIVE_WAN),
    _Kind("ref_conv.weight", "other", f"{_OTHER_WAN}: Fun control", _GIVE_WAN),
    _Kind("casual_audio_encoder.encoder.final_linear.weight", "other", f"{_OTHER_WAN}: S2V (speech)", _GIVE_WAN),
    _Kind("audio_proj.audio_proj_glob_1.layer.bias", "other", f"{_OTHER_WAN}: HuMo (speech)", _GIVE_WAN),
    _Kind("audio_proj.proj1.weight", "other", f"{_OTHER_WAN}: MultiTalk (speech)", _GIVE_WAN),
    _Kind("face_adapter.fuser_blocks.0.k_norm.weight", "other", f"{_OTHER_WAN}: Animate", _GIVE_WAN),
    _Kind("motion_encoder.motion_synthesis_weight", "other", f"{_OTHER_WAN}: Animate", _GIVE_WAN),
    _Kind("head.modulation", TRANSFORMER, "a Wan transformer"),
    _Kind("condition_embedder.time_proj.weight", TRANSFORMER, "a Wan transformer in diffusers' names"),
    _Kind("decoder.middle.0.residual.0.gamma", VAE, "Wan's autoencoder (VAE)", "give it with --vae"),
    _Kind("decoder.mid_block.resnets.0.norm1.gamma", VAE, "Wan's autoencoder (VAE)", "give it with --vae"),
    _Kind("decoder.mid_block.resnets.0.norm1.weight", "other", "the autoencoder (VAE) of another model", "give Wan's"),
    _Kind("decoder.mid.block_1.norm1.weight", "other", "the autoencoder (VAE) of another model", "give Wan's"),
    _Kind("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight", TEXT_ENCODER,
          "Wan's text encoder (UMT5)", "give it with --text_encoder"),
    _Kind("blocks.0.attn.q.weight", TEXT_ENCODER, "Wan's text encoder (UMT5)", "give it with --text_encoder"),
    _Kind("encoder.block.0.layer.0.SelfAttention.q.weight", "other", "a T5 text encoder of another model",
          "Wan takes UMT5-XXL: give umt5_xxl_fp16.safetensors or its fp8 form with --text_encoder"),
    _Kind("enc.blk.0.attn_q.weight", "other", "a text encoder as GGUF", "give its .safetensors with --text_encoder"),
    _Kind("vision_model.embeddings.class_embedding", IMAGE_ENCODER, "the image encoder (CLIP vision)",
          "give it with --image_encoder"),
    _Kind("embeddings.class_embedding", IMAGE_ENCODER, "the image encoder (CLIP vision)",
          "give it with --image_encoder"),
    _Kind("visual.transformer.0.attn.to_qkv.weight", "other", "the image encoder (CLIP vision) in open_clip's names",
          "give clip_vision_h.safetensors with --image_encoder"),
    _Kind("text_model.embeddings.token_embedding.weight", "other", "a CLIP text encoder", "Wan takes UMT5-XXL"),
    _Kind("conditioner.embedders.1.model.ln_final.weight", "other", "a Stable Diffusion XL checkpoint", _FOR_MODEL),
    _Kind("label_emb.0.0.weight", "other", "the network of Stable Diffusion XL", _FOR_MODEL),
    _Kind("input_blocks.0.0.weight", "other", "a Stable Diffusion checkpoint", _FOR_MODEL),
    _Kind("down_blocks.0.resnets.0.norm1.weight", "other", "the network of Stable Diffusion", _FOR_MODEL),
    _Kind("joint_blocks.0.context_block.attn.qkv.weight", "other", "Stable Diffusion 3", _FOR_MODEL),
    _Kind("txt_in.individual_token_refiner.blocks.0.norm1.weight", "other", "HunyuanVideo", _FOR_MODEL),
    _Kind("double_blocks.0.img_attn.norm.key_norm.scale", "other", "Flux", _FOR_MODEL),
    _Kind("patchify_proj.weight", "other", "LTX-Video", _FOR_MODEL),
    _Kind("transformer_blocks.0.attn.add_q_proj.weight", "other", "an image model such as Qwen-Image", _FOR_MODEL),
)  # fmt: skip
_LORA_KIND = _Kind("", "lora", "a LoRA", "give it with --lora beside the --model that it was trained on")
_UNKNOWN = _Kind("", "other", "no model that is known here", _GIVE_WAN)
WANTED = {TRANSFORMER: "a Wan transformer", VAE: "Wan's autoencoder", TEXT_ENCODER: "Wan's text encoder (UMT5)",
          IMAGE_ENCODER: "the CLIP vision model of Wan2.1's image-to-video models"}  # fmt: skip


class WeightsError(ValueError):
    """A file that is not what it is given for; the message says what it is, and what to give."""


@dataclass(frozen=True)
class Weights:
    """A network in a file, or in the shards of one, by its header.

    Args:
        paths: the file, or its shards in order.
        prefix: before each name in the file.
        shapes: name without the prefix -> shape.
        dtypes: name -> how it is stored, as the file says: "F16", "F8_E4M3", "Q4_K" ...
        kind: "transformer", "vae", "text encoder", "image encoder", "lora", "adapter", or "other".
        what: the same in words, for a message.
        instead: what to do with it instead of giving it for something else.
    """

    paths: tuple[Path, ...]
    prefix: str
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    kind: str
    what: str
    instead: str

    @property
    def path(self) -> Path:
        """The file, or its first shard."""
        return self.paths[0]

    @property
    def is_gguf(self) -> bool:
        return self.path.suffix == ".gguf"

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors, as stored, on the CPU; those of a safetensors file are read when they are used."""
        if self.is_gguf:
            from diffusers.models.model_loading_utils import load_gguf_checkpoint

            found = load_gguf_checkpoint(str(self.path))
            return {name.removeprefix(self.prefix): value for name, value in found.items()}
        from safetensors import safe_open

        tensors = {}
        for path in self.paths:
            with safe_open(path, "pt") as opened:
                for key in opened.keys():  # noqa: SIM118, it is no mapping
                    if key.startswith(self.prefix) and (name := key[len(self.prefix) :]) in self.shapes:
                        tensors[name] = opened.get_tensor(key)
        return tensors


def networks_in(*paths: str | Path) -> list[Weights]:
    """The networks that a file holds: one, or those of a checkpoint of ComfyUI's that holds all of a model's.

    Args:
        paths: a .safetensors or .gguf file, or the shards of one network.

    Raises:
        WeightsError: it is no such file.
        FileNotFoundError: there is none.
    """
    files = tuple(Path(path) for path in paths)
    header: dict[str, tuple[tuple[int, ...], str]] = {}
    for file in files:
        header |= _gguf_header(file) if file.suffix == ".gguf" else _header(file)
    sections: dict[str, dict[str, tuple[tuple[int, ...], str]]] = {}
    for key, about in header.items():
        prefix = next((prefix for prefix in _SECTIONS if key.startswith(prefix)), "")
        sections.setdefault(prefix, {})[key[len(prefix) :]] = about
    found = []
    for prefix, names in sections.items():
        kind = _kind_of(names)
        shapes, dtypes = ({name: about[index] for name, about in names.items()} for index in (0, 1))
        found.append(Weights(files, prefix, shapes, dtypes, kind.kind, kind.what, kind.instead))
    if len(found) > 1:  # what lies beside the networks: a checkpoint's marks, or "scaled_fp8"
        found = [part for part in found if part.kind != "other"] or found
    return found


def only(parts: list[Weights], kind: str, flag: str) -> Weights:
    """The network of a kind in a file that is given for it.

    Raises:
        WeightsError: the file holds none; names what it holds.
    """
    for part in parts:
        if part.kind == kind:
            return part
    part = parts[0]
    raise WeightsError(f"{flag} {part.path}: is {part.what}, not {WANTED[kind]}; {part.instead}")


def _kind_of(names: Mapping[str, Any]) -> _Kind:
    if any(_LORA.search(name) for name in names):
        return _LORA_KIND
    return next((kind for kind in _KINDS if kind.needle in names), _UNKNOWN)


def _header(file: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    from safetensors import SafetensorError, safe_open

    _check_file(file)
    try:
        with safe_open(file, "pt") as opened:
            slices = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118
            found = {key: (tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
    except SafetensorError as error:
        raise WeightsError(f"{file}: not a whole safetensors file ({error}); fetch it again") from error
    if not found:
        raise WeightsError(f"{file}: holds no tensors")
    return found


def _check_file(file: Path) -> None:
    """Say what a file is that cannot be one of safetensors."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file")
    if file.suffix in _PICKLES:
        raise WeightsError(
            f"{file}: is a pickle, which can run code when it is opened, and is not read here; give the "
            ".safetensors of it, such as ComfyUI's wan_2.1_vae.safetensors and umt5_xxl_fp16.safetensors, or with "
            "--base a model in diffusers' format"
        )
    with file.open("rb") as opened:
        begin = opened.read(64)
    if begin.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{file}: is a pointer of Git LFS, not the weights; run `git lfs pull` in its folder")
    if begin.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise WeightsError(f"{file}: is a web page, not weights; download the file itself")
    if begin.startswith(b"GGUF"):
        raise WeightsError(f"{file}: is a GGUF file; name it .gguf")


def _gguf_header(file: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file")
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise WeightsError(
            f'{file}: is a GGUF file, which the package gguf reads; run pip install "gguf>=0.10", or give .safetensors'
        ) from error
    try:
        tensors = GGUFReader(str(file)).tensors
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise WeightsError(f"{file}: not a whole GGUF file ({error}); fetch it again") from error
    return {one.name: (tuple(int(size) for size in reversed(one.shape)), one.tensor_type.name) for one in tensors}


def shards_of(file: str | Path) -> list[Path]:
    """A file, or, of a shard by its name, all of them.

    Raises:
        WeightsError: some are missing.
    """
    file = Path(file)
    if not (shard := _SHARD.search(file.name)):
        return [file]
    stem, count = file.name[: shard.start()], int(shard[2])
    parts = [file.parent / f"{stem}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
    if missing := [part.name for part in parts if not part.is_file()]:
        raise WeightsError(f"{file}: is one of {count} parts; {', '.join(missing)} is not beside it: fetch it")
    return parts


def is_adapter_folder(folder: str | Path) -> bool:
    """Whether a folder holds an emotion adapter."""
    try:
        config = json.loads((Path(folder) / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("_class_name") == "EmotionAdapter"
