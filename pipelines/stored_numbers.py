"""The numbers of a file as they were meant: 8 bits beside a scale, as ComfyUI keeps them, multiplied out.

diffusers and transformers put such weights in without their scales, and say nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

import torch

from emogen.models.file_kinds import Weights, WeightsError

_NUMBERS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")  # of safetensors; GGUF has its own
_SCALES = (".scale_weight", ".weight_scale")  # beside an 8-bit weight: ComfyUI's older and newer names
MARKS = re.compile(r"(^|\.)(scaled_fp8|scale_weight|weight_scale|scale_input|input_scale|comfy_quant|spiece_model)$")
"""Names of what is beside a network's own tensors."""
_ALIGNED = 64  # bytes


def check_numbers(weights: Weights) -> None:
    """Refuse numbers that are no plain floating point ones, and cannot be made such by a scale."""
    if weights.is_gguf:
        return
    for name, number in weights.dtypes.items():
        if number not in _NUMBERS and not MARKS.search(name) and not name.endswith("position_ids"):
            raise WeightsError(
                f"{weights.path}: {name} is stored as {number}, a quantisation that is not read here; give the file in "
                "fp16, bf16, fp8 (scaled or not) or GGUF"
            )


def plain_tensors(
    weights: Weights, names: Mapping[str, str], dtype_of: Callable[[str], torch.dtype | None]
) -> dict[str, torch.Tensor]:
    """A network's tensors by other names, 8-bit ones multiplied with their scales.

    The product is made in float32 and rounded once.

    Args:
        names: new name -> name in the file.
        dtype_of: of a new name: to which dtype; None leaves it, and makes 8-bit numbers bfloat16.

    Raises:
        WeightsError: a scale that has no place, or a format of ComfyUI's that is not read here.
    """
    tensors = weights.tensors()
    plain = {}
    for new, old in names.items():
        value, stem = tensors.pop(old), old.rpartition(".")[0]
        dtype = dtype_of(new)
        if value.dtype.itemsize == 1 and value.is_floating_point():
            _check_format(weights, tensors.get(f"{stem}.comfy_quant"), old)
            scale = next((tensors[stem + end] for end in _SCALES if stem + end in tensors), None)
            if scale is not None:
                value = value.float() * _spread(scale.float(), value, f"{weights.path}: {old}")
            dtype = dtype or torch.bfloat16
        value = value if dtype is None else value.to(dtype)
        # a tensor in a mapped file may begin anywhere, and from there kernels take other ways, with other last bits
        plain[new] = value.clone() if value.data_ptr() % _ALIGNED else value
    return plain


def _check_format(weights: Weights, mark: torch.Tensor | None, name: str) -> None:
    if mark is None:
        return
    try:
        written = json.loads(bytes(mark.tolist()).decode("utf-8"))["format"]
    except (ValueError, KeyError, TypeError):
        written = "nothing that can be read"
    if not str(written).startswith("float8_"):
        raise WeightsError(
            f"{weights.path}: {name} is in ComfyUI's format {str(written)[:40]}, which is not read here; give fp16"
        )


def _spread(scale: torch.Tensor, value: torch.Tensor, where: str) -> torch.Tensor:
    """One scale for a tensor, or one for each of its rows, to be multiplied with it."""
    if scale.numel() == 1:
        return scale.reshape(())
    if scale.numel() == value.shape[0]:
        return scale.reshape(-1, *[1] * (value.ndim - 1))
    raise WeightsError(f"{where} is {tuple(value.shape)} and its scale {tuple(scale.shape)}: neither one nor one a row")
