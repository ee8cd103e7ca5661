"""`emogen convert`: a LoRA for diffusers, ComfyUI or DiffSynth-Studio."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from emogen.failure import fail

EXAMPLES = """formats:
  diffusers   pytorch_lora_weights.safetensors, for load_lora_weights; alpha in the header
  comfyui     diffusion_model.* keys with .alpha, for ComfyUI's LoRA loader (diffusers loads it too)
  diffsynth   diffusion_model.* keys, alpha multiplied into the weights, for DiffSynth-Studio 1.1.3 or later
              (ComfyUI and diffusers load it too)

The form of IN is recognised: one of these, DiffSynth's own, or musubi-tuner's. A DoRA goes into diffusers' form only.
The emotion adapter is no part of a LoRA and stays with diffusers.

examples:
  emogen convert outputs/my_run outputs/my_run --to comfyui
  emogen convert outputs/my_run ComfyUI/models/loras/my_lora.safetensors --to comfyui --title "my LoRA"
  emogen convert found.safetensors lora/pytorch_lora_weights.safetensors --to diffusers
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of `emogen convert`."""
    parser = argparse.ArgumentParser(
        prog="emogen convert",
        description="Write a LoRA of a Wan model in another program's form.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "input", metavar="IN", type=Path, help="a .safetensors file, or a folder with pytorch_lora_weights.safetensors"
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        type=Path,
        help="a .safetensors file, or a folder that exists, which gets "
        "pytorch_lora_weights_FORMAT.safetensors (diffusers: without _FORMAT)",
    )
    parser.add_argument("--to", required=True, choices=["diffusers", "comfyui", "diffsynth"], help="the form of OUT")
    parser.add_argument("--title", help="title in OUT's header (default: the one in IN's, or the name of OUT)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (2 for bad input)."""
    parser = build_parser()
    args = parser.parse_args(argv)
    from emogen.models.lora import default_name, read_lora, write_lora

    output = args.output / default_name(args.to) if args.output.is_dir() else args.output
    if output.suffix != ".safetensors":
        parser.error(f"OUT: {output} is neither a folder that exists nor the name of a .safetensors file")
    if output.exists() and not args.overwrite:
        parser.error(f"OUT: {output} exists; --overwrite replaces it")
    try:
        lora = read_lora(args.input)
        write_lora(lora, output, args.to, title=args.title)
    except (OSError, ValueError) as error:
        return fail(error, 2)
    ranks, scales = (sorted(set(values.values())) for values in (lora.ranks, lora.scales))
    layers = f"{len(lora.ranks)} layer{'s' * (len(lora.ranks) > 1)}"
    listed = [", ".join(f"{value:g}" for value in values) for values in (ranks, scales)]
    print(f"{output}  ({args.to}; {layers}, rank {listed[0]}, scale {listed[1]})")
    return 0
