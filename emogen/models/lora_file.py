"""A LoRA read from a file, whatever program wrote it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from emogen.models.config import CONFIG_NAME
from emogen.models.lora_names import parse_key
from emogen.models.storage import LORA_NAME

PEFT_KEY = "lora_adapter_metadata"  # peft's configuration in the header of diffusers' files


class LoraFormatError(ValueError):
    """A file that is no LoRA of a Wan model, or a LoRA that a format cannot hold."""


@dataclass(frozen=True)
class LoraFile:
    """A LoRA as diffusers names it.

    Args:
        weights: by diffusers' keys, `transformer.<layer>.` and `lora_A.weight` [rank, in], `lora_B.weight`
            [out, rank], perhaps `lora_B.bias` [out] and, of a DoRA, `lora_magnitude_vector` [out].
        alphas: of every layer, the alpha with which it acts at strength alpha / rank. With rsLoRA, whose strength is
            lora_alpha / sqrt(rank), that is lora_alpha * sqrt(rank).
        metadata: the file's header, without peft's configuration; `base_model`, if it is known.
        config: peft's configuration, if the file had one.
    """

    weights: dict[str, torch.Tensor]
    alphas: dict[str, float]
    metadata: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] | None = None

    @property
    def ranks(self) -> dict[str, int]:
        """The rank of every layer."""
        return {layer: len(self.weights[f"transformer.{layer}.lora_A.weight"]) for layer in self.alphas}

    @property
    def scales(self) -> dict[str, float]:
        """alpha / rank of every layer."""
        return {layer: self.alphas[layer] / rank for layer, rank in self.ranks.items()}

    @property
    def is_dora(self) -> bool:
        """Whether there are magnitudes."""
        return any(key.endswith(".lora_magnitude_vector") for key in self.weights)


def read_lora(path: str | Path) -> LoraFile:
    """Read a LoRA of a Wan model as diffusers, ComfyUI, DiffSynth-Studio or musubi-tuner write it.

    Args:
        path: a .safetensors file, or a folder with `pytorch_lora_weights.safetensors`. Tensors come on the CPU, as
            stored.

    Raises:
        FileNotFoundError: there is no such file.
        LoraFormatError: it is no LoRA of a Wan model, or not a whole one; the message names the first wrong key.
    """
    path = Path(path)
    file = path / LORA_NAME if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file")
    try:
        with safe_open(file, "pt") as opened:
            metadata = dict(opened.metadata() or {})
            tensors = {key: opened.get_tensor(key) for key in sorted(opened.keys())}
    except SafetensorError as error:
        raise LoraFormatError(f"{file}: not a whole safetensors file ({error})") from error
    layers = _by_layer(tensors, file)
    stored = any("alpha" in slots for slots in layers.values())
    config = _peft_config(metadata.pop(PEFT_KEY, None), file)
    weights, alphas = {}, {}
    for layer, slots in layers.items():
        rank = _checked_rank(layer, slots, config, file)
        alphas[layer] = alpha = _alpha(layer, rank, slots.pop("alpha", None), config, file)
        if "diff_b" in slots:
            slots["lora_B.bias"] = scaled(slots.pop("diff_b"), rank / alpha)
        weights |= {f"transformer.{layer}.{slot}": value for slot, value in slots.items()}
    if "base_model" not in metadata and (base := _base_model(file, config)):
        metadata["base_model"] = base
    return LoraFile(weights, alphas, metadata, None if stored else config)


def scaled(value: torch.Tensor, factor: float) -> torch.Tensor:
    """The product, rounded once to the tensor's dtype; the tensor itself for a factor of 1."""
    return value if factor == 1 else (value.double() * factor).to(value.dtype)


def _by_layer(tensors: Mapping[str, torch.Tensor], file: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors by layer and by what they hold."""
    layers: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        parsed = parse_key(key)
        if parsed is None:
            raise LoraFormatError(
                f"{file}: unknown key {key}; a LoRA of a Wan model has keys such as "
                "transformer.blocks.0.attn1.to_q.lora_A.weight or diffusion_model.blocks.0.self_attn.q.lora_A.weight"
            )
        layer, slot = parsed
        if slot == "dora_scale":
            raise LoraFormatError(
                f"{file}: {key}: a DoRA of ComfyUI's kind, which divides by another norm than peft's, so that it "
                "cannot be converted"
            )
        if slot in layers.setdefault(layer, {}):
            raise LoraFormatError(f"{file}: {key} is a second {slot} of {layer}")
        if not value.is_floating_point() and slot != "alpha":
            raise LoraFormatError(f"{file}: {key} holds {value.dtype}, not floating point numbers")
        layers[layer][slot] = value
    if not layers:
        raise LoraFormatError(f"{file}: holds no tensors")
    return layers


def _checked_rank(layer: str, slots: Mapping[str, torch.Tensor], config: Mapping[str, Any] | None, file: Path) -> int:
    required = ["lora_A.weight", "lora_B.weight"]
    if config and config.get("use_dora"):
        required.append("lora_magnitude_vector")
    for slot in required:
        if slot not in slots:
            raise LoraFormatError(f"{file}: {layer} has {', '.join(slots)} but no {slot}")
    a, b = slots["lora_A.weight"], slots["lora_B.weight"]
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
        raise LoraFormatError(
            f"{file}: {layer}: lora_A is {tuple(a.shape)} and lora_B {tuple(b.shape)}; they must be [rank, in] and "
            "[out, rank]"
        )
    return a.shape[0]


def _alpha(layer: str, rank: int, stored: torch.Tensor | None, config: Mapping[str, Any] | None, file: Path) -> float:
    """The alpha stored beside a layer, or that of peft's configuration, or else the rank, as every program takes it."""
    if stored is not None:
        alpha = stored.item() if stored.numel() == 1 else math.nan
        if not math.isfinite(alpha) or alpha == 0:
            raise LoraFormatError(f"{file}: alpha of {layer} is {stored.tolist()}; it must be one number other than 0")
        return float(alpha)
    if config is None:
        return float(rank)
    from peft.utils.other import get_pattern_key

    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    expected = ranks.get(get_pattern_key(ranks, layer), config.get("r", rank))
    if expected != rank:
        raise LoraFormatError(f"{file}: its header says rank {expected} for {layer}, its tensors have rank {rank}")
    alpha = alphas.get(get_pattern_key(alphas, layer), config.get("lora_alpha", rank))
    return float(alpha) * (math.sqrt(rank) if config.get("use_rslora") else 1.0)


def _peft_config(text: str | None, file: Path) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        stored = {key.removeprefix("transformer."): value for key, value in json.loads(text).items()}
    except (json.JSONDecodeError, AttributeError) as error:
        raise LoraFormatError(f"{file}: {PEFT_KEY} of its header is not a JSON object ({error})") from error
    return {key: value for key, value in stored.items() if "." not in key} or None  # dots: another component's


def _base_model(file: Path, config: Mapping[str, Any] | None) -> str | None:
    """The base's name in peft's configuration, or in that of the emotion adapter beside the file."""
    if config and config.get("base_model_name_or_path"):
        return str(config["base_model_name_or_path"])
    try:
        beside = json.loads((file.parent / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    ours = isinstance(beside, dict) and beside.get("_class_name") == "EmotionAdapter"
    return str(beside["base_model"]) if ours and beside.get("base_model") else None
