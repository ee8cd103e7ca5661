"""`emogen convert`: a LoRA for diffusers, ComfyUI or DiffSynth-Studio, or a model in files for diffusers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from emogen.failure import fail
from emogen.pipelines.model_files import FLAGS, ModelFiles, add_model_arguments, is_in_files

EXAMPLES = """formats:
  diffusers   pytorch_lora_weights.safetensors, for load_lora_weights; alpha in the header
  comfyui     diffusion_model.* keys with .alpha, for ComfyUI's LoRA loader (diffusers loads it too)
  diffsynth   diffusion_model.* keys, alpha multiplied into the weights, for DiffSynth-Studio 1.1.3 or later
              (ComfyUI and diffusers load it too)

The form of IN is recognised: one of these, and those of docs/compatibility.md. A DoRA goes into diffusers' form only,
what a file adds to norms and biases into ComfyUI's only. The emotion adapter is no part of a LoRA
and stays with diffusers.

A model in files (Wan's own, ComfyUI's, fp8) becomes a folder of diffusers', as training takes it: --to diffusers.

examples:
  emogen convert outputs/my_run outputs/my_run --to comfyui
  emogen convert outputs/my_run ComfyUI/models/loras/my_lora.safetensors --to comfyui --title "my LoRA"
  emogen convert found.safetensors lora/pytorch_lora_weights.safetensors --to diffusers
  emogen convert ComfyUI/models/diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors models/wan_1.3b --to diffusers
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of `emogen convert`."""
    parser = argparse.ArgumentParser(
        prog="emogen convert",
        description="Write a LoRA of a Wan model, or the model, in another program's form.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "input",
        metavar="IN",
        type=Path,
        help="a .safetensors file, or a folder with pytorch_lora_weights.safetensors or a model",
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        type=Path,
        help="a .safetensors file, or a folder that exists, which gets "
        "pytorch_lora_weights_FORMAT.safetensors (diffusers: without _FORMAT; of Wan2.2's two transformers "
        "pytorch_lora_weights_high_noise_FORMAT.safetensors and ..._low_noise_...)",
    )
    parser.add_argument("--to", required=True, choices=["diffusers", "comfyui", "diffsynth"], help="the form of OUT")
    parser.add_argument("--title", help="title in OUT's header (default: the one in IN's, or the name of OUT)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    add_model_arguments(parser.add_argument_group("a model's other parts"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (2 for bad input)."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if _is_model(args.input):
        return _convert_model(parser, args)
    from emogen.models.lora import default_name, labels_of

    labels = labels_of(args.input) if args.input.is_dir() else {}
    if any(labels.values()) and args.output.suffix == ".safetensors":
        parser.error(
            f"IN: {args.input} holds LoRAs of a model's two transformers ({', '.join(labels)}): give a folder as "
            "OUT, or one of the files as IN"
        )
    outputs = {args.input / name: name if args.to == "diffusers" else default_name(args.to, label)
               for name, label in labels.items()}  # fmt: skip
    outputs = outputs if any(labels.values()) else {args.input: default_name(args.to)}
    outputs = {given: args.output / name if args.output.is_dir() else args.output for given, name in outputs.items()}
    for output in outputs.values():
        if output.suffix != ".safetensors":
            parser.error(f"OUT: {output} is neither a folder that exists nor the name of a .safetensors file")
        if output.exists() and not args.overwrite:
            parser.error(f"OUT: {output} exists; --overwrite replaces it")
    try:
        for given, output in outputs.items():
            print(_convert_lora(given, output, args))
    except (OSError, ValueError) as error:
        return fail(error, 2)
    return 0


def _convert_lora(given: Path, output: Path, args: argparse.Namespace) -> str:
    """Returns what was written, in words."""
    from emogen.models.lora import read_lora, write_lora

    lora = read_lora(given)
    write_lora(lora, output, args.to, title=args.title)
    ranks, scales = (sorted(set(values.values())) for values in (lora.ranks, lora.scales))
    layers = f"{len(lora.ranks)} layer{'s' * (len(lora.ranks) > 1)}"
    listed = [", ".join(f"{value:g}" for value in values) for values in (ranks, scales)]
    return f"{output}  ({args.to}; {layers}, rank {listed[0]}, scale {listed[1]})"


def _is_model(path: Path) -> bool:
    """Whether IN holds a transformer rather than a LoRA; what can be neither is left to the LoRA's reader."""
    from emogen.models.file_kinds import TRANSFORMER, WeightsError, networks_in
    from emogen.models.weights import LORA_NAMES

    if path.is_dir():
        return is_in_files(str(path)) and not any((path / name).is_file() for name in LORA_NAMES.values())
    try:
        return any(part.kind == TRANSFORMER for part in networks_in(path))
    except (OSError, WeightsError):
        return False


def _convert_model(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    from emogen.files import atomic
    from emogen.pipelines.loading import open_pipeline, plan_in_files

    if args.to != "diffusers":
        parser.error(f"IN: {args.input} is a model; it goes --to diffusers ({args.to} is for LoRAs)")
    if args.output.suffix == ".safetensors" or args.output.is_file():
        parser.error(f"OUT: {args.output} must be a folder for a model")
    if args.output.exists() and not args.overwrite:
        parser.error(f"OUT: {args.output} exists; --overwrite replaces it")
    files = ModelFiles(str(args.input), **{name: getattr(args, name) for name in FLAGS})
    try:
        plan = plan_in_files(files)
        if any(part.is_gguf for part in plan.transformers):
            parser.error(
                f"IN: {args.input} is quantised (GGUF), which has no form in diffusers' folders; give fp16 or fp8"
            )
        pipe = open_pipeline(files, device="cpu", dtype="stored")
        with atomic(args.output) as temporary:
            pipe.save_pretrained(temporary)
    except (OSError, ValueError) as error:
        return fail(error, 2)
    print(f"{args.output}  (diffusers; {plan.taken.removeprefix('model: ')})")
    return 0
