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

A DoRA has a place in diffusers' form only. ComfyUI's `dora_scale` divides by the norm of the base's weight W where
DoRA (https://arxiv.org/abs/2402.09353, equation 5) divides by that of W + (alpha / rank) B A
(https://github.com/Comfy-Org/ComfyUI/pull/15458); DiffSynth has nothing of the kind.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from emogen.models.lora_file import PEFT_KEY, LoraFile, LoraFormatError, read_lora, scaled
from emogen.models.lora_names import wan_name
from emogen.models.storage import LORA_NAME

__all__ = [
    "FORMATS", "LoraFile", "LoraFormatError", "check_lora", "default_name", "export_lora", "read_lora", "write_lora"
]  # fmt: skip

FORMATS = ("diffusers", "comfyui", "diffsynth")
_STALE = re.compile(r"sshs_.*hash|modelspec\.hash_.*|baked_scale")  # header entries that held for the file read only


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
    tensors = lora.weights if format == "diffusers" else _by_wan_names(lora, keep_alpha=format == "comfyui")
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, temporary, metadata=_header(lora, format, title, path))
        os.replace(temporary, path)
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_lora(lora: LoraFile, format: str) -> None:
    """See that a format can hold a LoRA.

    Raises:
        LoraFormatError: it cannot.
        ValueError: there is no such format.
    """
    if format not in FORMATS:
        raise ValueError(f"no LoRA format {format!r}; there are {', '.join(FORMATS)}")
    if format != "diffusers" and lora.is_dora:
        raise LoraFormatError(
            f"this is a DoRA, which {format} cannot apply as it was trained; use diffusers' file, or train with "
            "use_dora: false"
        )
    biases = [key for key in lora.weights if key.endswith(".lora_B.bias")]
    if format == "diffsynth" and biases:
        raise LoraFormatError(f"{biases[0]}: DiffSynth applies no bias of a LoRA; use diffusers' or ComfyUI's file")


def export_lora(folder: str | Path, formats: Sequence[str]) -> list[Path]:
    """Write a folder's LoRA for other programs beside it, as `pytorch_lora_weights_<format>.safetensors`.

    Args:
        folder: holds `pytorch_lora_weights.safetensors`; its name is the title, unless the file has one.
        formats: "comfyui", "diffsynth".

    Returns:
        The files written, in the order of `formats`.

    Raises:
        FileNotFoundError, LoraFormatError: as of `read_lora` and `check_lora`. Nothing is written then.
        ValueError: a format that is none, or "diffusers", the one that the folder has.
    """
    folder = Path(folder)
    if "diffusers" in formats:
        raise ValueError(f"{folder} holds diffusers' form already; the others are {', '.join(FORMATS[1:])}")
    lora = read_lora(folder)
    for format in formats:
        check_lora(lora, format)
    title = lora.metadata.get("modelspec.title") or folder.resolve().name
    files = [folder / default_name(format) for format in formats]
    for file, format in zip(files, formats, strict=True):
        write_lora(lora, file, format, title=title)
    return files


def default_name(format: str) -> str:
    """The name of a format's file in a folder."""
    return LORA_NAME if format == "diffusers" else LORA_NAME.replace(".", f"_{format}.")


def _by_wan_names(lora: LoraFile, keep_alpha: bool) -> dict[str, torch.Tensor]:
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
        config = {f"transformer.{key}": value for key, value in (lora.config or _peft_config(lora)).items()}
        header[PEFT_KEY] = json.dumps(config, indent=2, sort_keys=True)
    return header


def _distinct(values: Mapping[str, float]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(set(values.values())))


def _peft_config(lora: LoraFile) -> dict[str, Any]:
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
