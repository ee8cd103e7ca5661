"""Which LoRAs are to stand beside the emotion's, as people type it; nothing here loads model code."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path


class LoraError(ValueError):
    """A LoRA that cannot be loaded, or a weight that is none; the message names the file and the way out."""


@dataclass(frozen=True)
class LoraSpec:
    """One LoRA to load.

    Args:
        source: a file, a folder with `pytorch_lora_weights.safetensors`, a hub id, or "id/file.safetensors" on the hub.
        weight: its strength; 1 as trained.
    """

    source: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> LoraSpec:
        """Read "FILE_OR_ID" or "FILE_OR_ID:WEIGHT".

        Raises:
            LoraError: no source, or a weight that is no finite number.
        """
        source, colon, weight = text.rpartition(":")
        # "C:\\x.safetensors": what comes after the colon is then a path.
        if not colon or "/" in weight or "\\" in weight or weight.endswith(".safetensors"):
            source, weight = text, "1"
        try:
            value = float(weight)
        except ValueError:
            value = math.nan
        if not source.strip() or not math.isfinite(value):
            raise LoraError(f"--lora {text!r}: give FILE_OR_ID or FILE_OR_ID:WEIGHT, such as style.safetensors:0.8")
        return cls(source.strip(), value)


def add_lora_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--lora`, which may be repeated, and `--emotion_lora_weight`."""
    group = parser.add_argument_group("LoRAs beside the emotion's (docs/sampling.md)")
    group.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="FILE[:WEIGHT]",
        help="another LoRA: a file of diffusers, ComfyUI, DiffSynth or musubi, a folder, or a hub id; may be repeated",
    )
    group.add_argument("--emotion_lora_weight", type=float, help="strength of the emotion's LoRA (default: 1)")


def loras_from_args(args: argparse.Namespace) -> list[LoraSpec]:
    """The `--lora`s of parsed flags. Files that look local are looked up now, before a model is loaded.

    Raises:
        LoraError: a spec that is none, or a file that is not there.
    """
    specs = [LoraSpec.parse(text) for text in args.lora]
    for spec in specs:
        if not Path(spec.source).exists() and not on_hub(spec.source):
            raise LoraError(f"--lora {spec.source}: no such file or folder")
    weight = args.emotion_lora_weight
    if weight is not None and not math.isfinite(weight):
        raise LoraError(f"--emotion_lora_weight is {weight}; it has to be a finite number")
    return specs


def on_hub(source: str) -> bool:
    """Whether the text has the form of a hub id, or of a file of one."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(/[\w./-]+\.safetensors)?", source) is not None and not (
        source.count("/") == 1 and source.endswith(".safetensors")
    )
