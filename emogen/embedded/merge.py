"""Image to video's transformer, from the text-to-video one and the little that it has of its own."""

from __future__ import annotations

from pathlib import Path


def merge(shared: Path, own: Path, out: Path) -> None:
    """Write the whole transformer's weights.

    Args:
        shared: the text-to-video transformer's weights.
        own: those that stand beside or in place of them, and low-rank changes `MODULE.lora_A.*` and `MODULE.lora_B.*`,
            whose product is added to the module's weight.
        out: a safetensors file.

    Raises:
        KeyError: a change is of a module that `shared` does not have.
    """
    from safetensors.torch import load_file, save_file

    values, changes = load_file(shared), load_file(own)
    down = {name.partition(".lora_A.")[0]: value for name, value in changes.items() if ".lora_A." in name}
    up = {name.partition(".lora_B.")[0]: value for name, value in changes.items() if ".lora_B." in name}
    values |= {name: value for name, value in changes.items() if ".lora_" not in name}
    for module, first in down.items():
        weight = values[f"{module}.weight"]
        values[f"{module}.weight"] = (weight.float() + up[module].float() @ first.float()).to(weight.dtype)
    save_file(values, out, {"format": "pt"})
