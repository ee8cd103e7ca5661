"""LoRA files of Wan models for diffusers, ComfyUI and DiffSynth-Studio.

A LoRA adds (alpha / rank) B A to a layer's weight. The programs differ in the layers' names and in where alpha is:

diffusers   transformer.blocks.0.attn1.to_q.lora_A.weight; alpha stands in peft's configuration in the file's header,
            and without that diffusers takes alpha for the rank.
comfyui     diffusion_model.blocks.0.self_attn.q.lora_A.weight (the names of Wan's own code), and a number `.alpha`
            beside each pair. diffusers loads this form too, but knows `.alpha` only inside the blocks, so elsewhere
            the scale alpha / rank is multiplied into lora_B and there is no `.alpha`.
diffsynth   ComfyUI's names without `.alpha`, which DiffSynth ignored before 2.0.5: the scale is multiplied into every
            lora_B. DiffSynth (since 1.1.3), ComfyUI and diffusers load this form. DiffSynth's own files lack the
            `diffusion_model.`; they are read here but not written, since diffusers loads nothing from them, silently.

Names of kohya's programs, of raw peft and mixtures are read too. Files of step-distilled models also hold what no LoRA
is: numbers that are added to norms, biases, modulation and the patch embedding (`.diff`, `.diff_b`, `.diff_m`). They
are read as `deltas`; only ComfyUI's form has a place for them. LoKr and LoHa become LoRA (see `lora_products`).

A DoRA has a place in diffusers' form only. ComfyUI's `dora_scale` divides by the norm of the base's weight W where
DoRA (https://arxiv.org/abs/2402.09353, equation 5) divides by that of W + (alpha / rank) B A
(https://github.com/Comfy-Org/ComfyUI/pull/15458); DiffSynth has nothing of the kind.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from emogen.files import atomic
from emogen.models.config import CONFIG_NAME
from emogen.models.lora_names import LoraFormatError, is_linear, parameter, parse_key, wan_name
from emogen.models.lora_peft import PEFT_KEY, by_name, peft_config
from emogen.models.lora_products import ProductError, is_product, product_of
from emogen.models.weights import LORA_NAME, LORA_NAMES, not_finite

FORMATS = ("diffusers", "comfyui", "diffsynth")
_STALE = re.compile(r"sshs_.*hash|modelspec\.hash_.*|baked_scale")  # header entries that held for the file read only


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
        deltas: diffusers' name of a parameter -> what is added to it, of its shape. None is all zeros.
    """

    weights: dict[str, torch.Tensor]
    alphas: dict[str, float]
    metadata: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    deltas: dict[str, torch.Tensor] = field(default_factory=dict)

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
    config = peft_config(metadata.pop(PEFT_KEY, None), file)
    weights, alphas, deltas = {}, {}, {}
    for layer, slots in layers.items():
        if is_product(slots):
            slots = _as_lora(layer, slots, file)
        if not is_linear(layer) or (slots.keys() & {"diff", "diff_b"} and "lora_A.weight" not in slots):
            deltas |= _deltas(layer, slots, file)
            continue
        if "diff" in slots:
            raise LoraFormatError(f"{file}: {layer} has both a LoRA and a `.diff`, of which programs apply another one")
        rank = _checked_rank(layer, slots, config, file)
        alphas[layer] = alpha = _alpha(layer, rank, slots.pop("alpha", None), config, file)
        if "diff_b" in slots:
            slots["lora_B.bias"] = scaled(slots.pop("diff_b"), rank / alpha)
        weights |= {f"transformer.{layer}.{slot}": value for slot, value in slots.items() if _says(slot, value)}
    if not weights and not deltas:
        raise LoraFormatError(f"{file}: is empty: it changes nothing")
    if "base_model" not in metadata and (base := _base_model(file, config)):
        metadata["base_model"] = base
    return LoraFile(weights, alphas, metadata, None if stored else config, deltas)


def scaled(value: torch.Tensor, factor: float) -> torch.Tensor:
    """The product, rounded once to the tensor's dtype; the tensor itself for a factor of 1."""
    return value if factor == 1 else (value.double() * factor).to(value.dtype)


def _says(slot: str, value: torch.Tensor) -> bool:
    """Whether a tensor has a say: biases of nothing but zeros are in many files."""
    return not slot.endswith("bias") or bool(value.any())


def _as_lora(layer: str, slots: dict[str, torch.Tensor], file: Path) -> dict[str, torch.Tensor]:
    """A LoKr or LoHa by a LoRA's slots, or as a difference of the weight."""
    try:
        product = product_of({slot: value for slot, value in slots.items() if slot != "diff_b"})
    except ProductError as error:
        raise LoraFormatError(f"{file}: {layer}: {error}") from error
    rest = {slot: slots[slot] for slot in ("diff_b",) if slot in slots}
    if product.whole is not None:
        return rest | {"diff": product.whole * product.scale}
    alpha = torch.tensor(product.scale * len(product.down), dtype=torch.float64)
    return rest | {"lora_A.weight": product.down, "lora_B.weight": product.up, "alpha": alpha}


def _deltas(layer: str, slots: dict[str, torch.Tensor], file: Path) -> dict[str, torch.Tensor]:
    """What is added to a layer's own parameters. A LoRA of a convolution is multiplied out."""
    if "lora_A.weight" in slots or "lora_B.weight" in slots:
        if is_linear(layer) or not {"lora_A.weight", "lora_B.weight"} <= slots.keys():
            raise LoraFormatError(f"{file}: {layer} has {', '.join(slots)}: half of a LoRA")
        down, up = slots.pop("lora_A.weight").float(), slots.pop("lora_B.weight").float()
        alpha = slots.pop("alpha").item() if "alpha" in slots else len(down)
        if down.ndim < 2 or up.flatten(1).shape[1] != len(down):
            raise LoraFormatError(f"{file}: {layer}: {tuple(down.shape)} and {tuple(up.shape)} make no difference")
        whole = alpha / len(down) * (up.flatten(1) @ down.flatten(1))
        slots["diff"] = whole.reshape(len(up), *down.shape[1:])
    slots.pop("alpha", None)
    if odd := [slot for slot in slots if slot not in ("diff", "diff_b")]:
        raise LoraFormatError(f"{file}: {layer} has {', '.join(slots)}, and {odd[0]} alone changes nothing")
    return {parameter(layer, slot): value for slot, value in slots.items() if value.any()}


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
        raise LoraFormatError(f"{file}: is empty: it holds no layer of a LoRA")
    if (bad := not_finite(tensors)) is not None:
        raise LoraFormatError(
            f"{file}: {bad} holds values that are not finite (nan or infinity); train or fetch it again"
        )
    return layers


def _checked_rank(layer: str, slots: Mapping[str, torch.Tensor], config: Mapping[str, Any] | None, file: Path) -> int:
    required = ["lora_A.weight", "lora_B.weight"]
    if config and config.get("use_dora"):
        required.append("lora_magnitude_vector")
    for slot in required:
        if slot not in slots:
            raise LoraFormatError(f"{file}: {layer} has {', '.join(slots)} but no {slot}")
    a, b = slots["lora_A.weight"], slots["lora_B.weight"]
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1] or a.shape[0] == 0:
        raise LoraFormatError(
            f"{file}: {layer}: lora_A is {tuple(a.shape)} and lora_B {tuple(b.shape)}; they must be [rank, in] and "
            "[out, rank], of rank 1 or more"
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
    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    expected = by_name(ranks, layer, config.get("r", rank))
    if expected != rank:
        raise LoraFormatError(f"{file}: its header says rank {expected!r} for {layer}, its tensors have rank {rank}")
    alpha = by_name(alphas, layer, config.get("lora_alpha", rank))
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool) or not math.isfinite(alpha) or alpha == 0:
        raise LoraFormatError(f"{file}: lora_alpha of its header is {alpha!r}; it must be a finite number other than 0")
    return float(alpha) * (math.sqrt(rank) if config.get("use_rslora") else 1.0)


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


def write_lora(lora: LoraFile, path: str | Path, format: str, *, title: str | None = None) -> None:
    """Write a LoRA for a program; the file appears whole or not at all.

    Tensors stay as they are but where the scale is multiplied into lora_B, which is rounded once to its dtype; a scale
    of 1 changes nothing. Every header holds `lora_format`, `lora_rank`, `lora_alpha`, `base_model` if it is known,
    `modelspec.title` and `modelspec.architecture`, and whatever the header of the file that was read held.

    Args:
        path: the file; its folder is made if it does not exist.
        format: "diffusers", "comfyui" or "diffsynth".
        title: by default the one that the LoRA has, or else the file's name.

    Raises:
        LoraFormatError: the format cannot hold a DoRA or a bias that the LoRA has. Nothing is written.
        ValueError: there is no such format.
        OSError: the file cannot be written.
    """
    check_lora(lora, format)
    path = Path(path)
    tensors = lora.weights if format == "diffusers" else by_wan_names(lora, keep_alpha=format == "comfyui")
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    try:
        with atomic(path) as temporary:
            save_file(tensors, temporary, metadata=_header(lora, format, title, path))
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error})") from error


def check_lora(lora: LoraFile, format: str) -> None:
    """See that a format can hold a LoRA.

    Raises:
        LoraFormatError: it cannot.
        ValueError: there is no such format.
    """
    if format not in FORMATS:
        raise ValueError(f"no LoRA format {format!r}; there are {', '.join(FORMATS)}")
    if format != "comfyui" and lora.deltas:
        raise LoraFormatError(
            f"{next(iter(lora.deltas))} is changed directly, which is no LoRA: {format} leaves such changes out; use "
            "ComfyUI's file"
        )
    if format != "diffusers" and lora.is_dora:
        raise LoraFormatError(
            f"this is a DoRA, which {format} cannot apply as it was trained; use diffusers' file, or train with "
            "use_dora: false"
        )
    biases = [key for key in lora.weights if key.endswith(".lora_B.bias")]
    if format == "diffsynth" and biases:
        raise LoraFormatError(f"{biases[0]}: DiffSynth applies no bias of a LoRA; use diffusers' or ComfyUI's file")


def export_lora(folder: str | Path, formats: Sequence[str], labels: Mapping[str, str] | None = None) -> list[Path]:
    """Write a folder's LoRA for other programs beside it, as `pytorch_lora_weights_<format>.safetensors`; those of
    Wan2.2's two transformers as `pytorch_lora_weights_high_noise_<format>.safetensors` and `..._low_noise_...`, which
    is how users of these programs tell them apart.

    Args:
        folder: holds `pytorch_lora_weights.safetensors`; its name is the title, unless the file has one.
        formats: "comfyui", "diffsynth".
        labels: the files to read, each with what its transformer is called; None: those that are there.

    Returns:
        The files written, in the order of `formats`.

    Raises:
        FileNotFoundError, LoraFormatError: as of `read_lora` and `check_lora`. Nothing is written then.
        ValueError: a format that is none, or "diffusers", the one that the folder has.
    """
    folder = Path(folder)
    if "diffusers" in formats:
        raise ValueError(f"{folder} holds diffusers' form already; the others are {', '.join(FORMATS[1:])}")
    found = {label: read_lora(folder / name) for name, label in (labels or labels_of(folder)).items()}
    for format, lora in itertools.product(formats, found.values()):
        check_lora(lora, format)
    files = []
    for format, (label, lora) in itertools.product(formats, found.items()):
        if label:
            lora.metadata.setdefault("modelspec.architecture", "wan2.2/lora")
        title = (
            lora.metadata.get("modelspec.title") or " ".join([folder.resolve().name, label.replace("_", " ")]).strip()
        )
        files.append(folder / default_name(format, label))
        write_lora(lora, files[-1], format, title=title)
    return files


def labels_of(folder: Path) -> dict[str, str]:
    """The LoRAs' files of a folder, each with what its transformer is called, which is nothing for the only one."""
    first, second = LORA_NAMES.values()
    if not (folder / second).is_file():
        return {first: ""}
    return {**({first: "high_noise"} if (folder / first).is_file() else {}), second: "low_noise"}


def default_name(format: str, label: str = "") -> str:
    """The name of a format's file in a folder."""
    ends = "".join(f"_{word}" for word in (label, "" if format == "diffusers" else format) if word)
    return LORA_NAME.replace(".", f"{ends}.")


def by_wan_names(lora: LoraFile, keep_alpha: bool) -> dict[str, torch.Tensor]:
    """The tensors of ComfyUI's form, or of DiffSynth's without `keep_alpha`."""
    tensors = {}
    for layer, scale in lora.scales.items():
        ours, theirs = f"transformer.{layer}", f"diffusion_model.{wan_name(layer)}"
        if keep_alpha and layer.startswith("blocks."):
            tensors[f"{theirs}.alpha"] = torch.tensor(lora.alphas[layer], dtype=torch.float32)
            factor = 1.0
        else:
            factor = scale
        tensors[f"{theirs}.lora_A.weight"] = lora.weights[f"{ours}.lora_A.weight"]
        tensors[f"{theirs}.lora_B.weight"] = scaled(lora.weights[f"{ours}.lora_B.weight"], factor)
        if (bias := lora.weights.get(f"{ours}.lora_B.bias")) is not None:
            tensors[f"{theirs}.diff_b"] = scaled(bias, scale)  # added to the layer's bias, whatever alpha is
    for name, value in lora.deltas.items():
        layer, _, end = name.rpartition(".")
        key = f"{wan_name(layer)}.{'diff_b' if end == 'bias' else 'diff'}" if end in ("weight", "bias") else (
            f"{wan_name(name)}.diff")  # fmt: skip
        tensors[f"diffusion_model.{key}"] = value
    return tensors


def _header(lora: LoraFile, format: str, title: str | None, path: Path) -> dict[str, str]:
    baked = format == "diffsynth"
    header = {key: text for key, text in lora.metadata.items() if not _STALE.fullmatch(key)}
    header |= {
        "format": "pt",  # by which safetensors' readers know the tensors' framework
        "lora_format": format,
        "lora_rank": _distinct(lora.ranks),
        "lora_alpha": _distinct(lora.ranks if baked else lora.alphas),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": lora.metadata.get("modelspec.architecture", "wan2.1/lora"),
        "modelspec.title": title or lora.metadata.get("modelspec.title") or path.stem,
    }
    if baked:
        header["baked_scale"] = _distinct(lora.scales)
    if format == "diffusers":
        config = {f"transformer.{key}": value for key, value in (lora.config or _peft_settings(lora)).items()}
        header[PEFT_KEY] = json.dumps(config, indent=2, sort_keys=True)
    return header


def _distinct(values: Mapping[str, float]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(set(values.values())))


def _peft_settings(lora: LoraFile) -> dict[str, Any]:
    """The settings of peft's LoraConfig that give every layer its rank and alpha, and no more, so that any version of
    peft takes them. `^` keeps a pattern from matching the end of a longer name."""
    ranks, alphas = lora.ranks, lora.alphas
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {f"^{layer}": value for layer, value in ranks.items() if value != rank},
        "alpha_pattern": {f"^{layer}": value for layer, value in alphas.items() if value != alpha},
        "target_modules": sorted(ranks),
        "use_dora": lora.is_dora,
        "lora_bias": any(key.endswith(".lora_B.bias") for key in lora.weights),
    }
