"""Prints, as JSON, how far ComfyUI's own LoRA loader and ours are apart on a transformer's weights, for each layout.

python tests/comfyui/loras_in_comfyui.py CHECKOUT FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

CHECKOUT, FOLDER = sys.argv[1], Path(sys.argv[2])
TESTS = Path(__file__).parents[1]
sys.path[:0] = [CHECKOUT, str(TESTS), str(TESTS / "pipelines")]
sys.argv = sys.argv[:1]
import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True
import comfy.lora  # noqa: E402
import layout_parts as parts  # noqa: E402
import test_published_loras as published  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from emogen.models.lora import read_lora, write_lora  # noqa: E402
from emogen.pipelines import EmotionWanPipeline  # noqa: E402
from emogen.pipelines.composition import add_loras  # noqa: E402

BASE = {f"diffusion_model.{name}": value for name, value in parts.wan_names(parts.transformer()).items()}


def by_comfyui(file: Path) -> dict[str, torch.Tensor]:
    """The weights that ComfyUI's loader makes of the base's."""
    model = SimpleNamespace(state_dict=lambda: BASE, model_config=SimpleNamespace(unet_config={}))
    patches = comfy.lora.load_lora(load_file(file), comfy.lora.model_lora_keys_unet(model, {}), log_missing=False)
    made = {name: value.clone() for name, value in BASE.items()}
    for name, patch in patches.items():
        made[name] = comfy.lora.calculate_weight([(1.0, patch, 1.0, None, lambda value: value)], made[name], name)
    return made


def by_us(file: Path) -> dict[str, torch.Tensor]:
    """The weights that a pipeline has with the file, its LoRA multiplied out."""
    pipe = EmotionWanPipeline(None, None, parts.vae(), None, transformer=parts.transformer())
    add_loras(pipe, [str(file)])
    if getattr(pipe.transformer, "peft_config", None):
        pipe.fuse_lora()
    state = parts.renamed(published.plain_state(pipe.transformer), parts.TO_WAN)
    return {f"diffusion_model.{name}": value for name, value in state.items()}


def compared(file: Path) -> dict:
    theirs, ours = by_comfyui(file), by_us(file)
    apart = {name: float((theirs[name] - ours[name]).abs().max()) for name in BASE}
    left = [name for name in BASE if torch.equal(theirs[name], BASE[name]) and apart[name] > 1e-6]
    return {
        "difference": max(value for name, value in apart.items() if name not in left),
        "moved": max(float((ours[name] - BASE[name]).abs().max()) for name in BASE),
        "passed_over": sorted({name.rpartition(".")[2] for name in left}),
    }


def main() -> None:
    rows = {}
    for name in published.LAYOUTS:
        file = parts.save(published.distilled(name)[0], FOLDER / "x.safetensors")
        rows[name] = compared(file)
        write_lora(read_lora(file), FOLDER / "y.safetensors", "comfyui")
        rows[f"{name}, as emogen convert writes it"] = compared(FOLDER / "y.safetensors")
    for rank in (2, 12):
        for name, (factors, _) in published.products(rank, torch.Generator().manual_seed(5)).items():
            tensors = {f"lora_unet_blocks_0_self_attn_q.{slot}": value for slot, value in factors.items()}
            rows[f"{name}, rank {rank}"] = compared(parts.save(tensors, FOLDER / "z.safetensors"))
    print(json.dumps(rows))


main()
