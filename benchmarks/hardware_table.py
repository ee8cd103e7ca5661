"""What a training step of the published models would take of a GPU's memory: the table of docs/hardware.md.

    python benchmarks/hardware_table.py

Every figure is the forecast that `--dry_run` prints (`emogen/training/memory/forecast.py`), of one clip a step, a bf16
base, LoRA of rank 32, the emotion adapter of rank 256, AdamW, one process. Nothing is run and no weight is loaded.
`benchmarks/forecast_error.py` measures how far such forecasts are from real steps.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

from arms import wan_config

from emogen.training.config import LoraSettings
from emogen.training.memory.footprint import Setup
from emogen.training.memory.forecast import forecast

_WAN21 = {"17x240x416": (5, 30, 52), "33x480x832": (9, 60, 104), "81x480x832": (21, 60, 104)}
CLIPS = {
    "Wan2.1-T2V-1.3B": _WAN21,
    "Wan2.1-T2V-14B": _WAN21,
    "Wan2.1-I2V-14B-480P": _WAN21,
    "Wan2.2-TI2V-5B": {"49x480x832": (13, 30, 52), "121x704x1280": (31, 44, 80)},
}
"""Model -> clip -> (frames, height, width) of its latents."""
WAYS = {
    "as it is": {},
    "`gradient_checkpointing`": {"gradient_checkpointing": 1},
    "and `base_storage: fp8`": {"gradient_checkpointing": 1, "base_storage": "fp8"},
    "and `base_storage: nf4`": {"gradient_checkpointing": 1, "base_storage": "nf4"},
    "and `offload: group`": {"gradient_checkpointing": 1, "streamed": True},
}
CARDS = (8, 12, 16, 24, 32, 40, 48, 80, 141)
_USABLE = 0.97
"""Of the gigabytes in a card's name, what a program gets in gibibytes."""
GIB = 2**30


def cell(setup: Setup) -> str:
    """Gibibytes with what is to be left free, and the smallest usual card that has them."""
    found = forecast(setup)
    needed = (found.total + found.allowance) / GIB
    card = next((size for size in CARDS if _USABLE * size >= needed), None)
    return f"{needed:.1f} ({card} GB)" if card else f"{needed:.1f} (none)"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(argv)
    print("| model | clip | " + " | ".join(WAYS) + " |")
    print("|---|---|" + "---|" * len(WAYS))
    for model, clips in CLIPS.items():
        for clip, latents in clips.items():
            transformer = {"_class_name": "WanTransformer3DModel", **wan_config(model)}
            base = Setup(transformer=transformer, latents=latents, lora=LoraSettings(rank=32))
            cells = [cell(dataclasses.replace(base, **change)) for change in WAYS.values()]
            print(f"| {model} | {clip} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
