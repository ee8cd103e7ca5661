"""The weights of a diffusers Wan transformer under the names of Wan's own code, which are ComfyUI's."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from emogen.models.lora_names import wan_name


def comfyui_weights(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A transformer's state by ComfyUI's names.

    Raises:
        KeyError: a key that no Wan transformer has.
    """
    return {_renamed(key): value for key, value in state.items()}


def _renamed(key: str) -> str:
    layer, _, slot = key.rpartition(".")
    return f"{wan_name(layer)}.{slot}" if slot in ("weight", "bias") else wan_name(key)
