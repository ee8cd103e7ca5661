"""Which files a model is made of, as people name them; read without loading model code, so that `--help` is quick."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any

FLAGS = ("model_2", "vae", "text_encoder", "image_encoder", "base")


@dataclass(frozen=True)
class ModelFiles:
    """A model that lies in files of its own, as ComfyUI and Wan's own code keep it.

    What is not named is looked for beside the model, in the sections of a file that holds everything, and in `base`.

    Args:
        model: the transformer: a .safetensors or .gguf file, or a folder in the layout of Wan's own repositories.
        model_2: the transformer of the low noise levels (Wan2.2 A14B), if `model` is that of the high ones.
        vae, text_encoder, image_encoder: .safetensors files of the others.
        base: a model in diffusers' format, folder or hub id, of which come the parts that are not in files.
    """

    model: str
    model_2: str | None = None
    vae: str | None = None
    text_encoder: str | None = None
    image_encoder: str | None = None
    base: str | None = None

    def __str__(self) -> str:
        return self.model


def add_model_arguments(group: Any) -> None:
    """Add the flags of a model in files, beside `--model`."""
    group.add_argument("--model_2", metavar="FILE", help="Wan2.2 A14B: the low noise transformer, --model the high one")
    group.add_argument("--vae", metavar="FILE", help="with a --model in files: its autoencoder (default: found beside)")
    group.add_argument("--text_encoder", metavar="FILE", help="the same: UMT5-XXL (default: found beside)")
    group.add_argument(
        "--image_encoder", metavar="FILE", help="the same: CLIP vision of Wan2.1's image-to-video models"
    )
    group.add_argument(
        "--base", metavar="FOLDER", help="the same: a model in diffusers' format to take the other parts from"
    )


def model_from_args(args: argparse.Namespace) -> str | ModelFiles | None:
    """`--model` as `open_pipeline` takes it: a name, or files.

    Raises:
        ValueError: flags for files beside a `--model` that is none.
    """
    given = {name: getattr(args, name, None) for name in FLAGS}
    if args.model is not None and is_in_files(args.model):
        return ModelFiles(args.model, **given)
    if named := [name for name, value in given.items() if value is not None]:
        raise ValueError(
            f"--{named[0]} goes with a --model that is a file, or a folder of Wan's own files; "
            + (f"{args.model} is a model in diffusers' format or a name" if args.model else "give --model")
        )
    return args.model


def is_in_files(model: str) -> bool:
    """Whether a model is a file (or is named as one), or a folder that is not in diffusers' format."""
    if os.path.isdir(model):
        return not os.path.isfile(os.path.join(model, "model_index.json"))
    named = model.lower().endswith((".safetensors", ".gguf", ".pth", ".pt", ".ckpt", ".bin", ".sft"))
    return named or os.path.isfile(model)
