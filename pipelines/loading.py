"""Opening an emotion pipeline the way a command does: the right class, the best device there is, and quietly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def best_device() -> str:
    """ "cuda", "mps" or "cpu"."""
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def open_pipeline(
    model: str | Path,
    adapter: str | Path | None = None,
    *,
    image: bool = False,
    device: str | None = None,
    dtype: str | None = None,
    load_lora: bool = True,
) -> Any:
    """A pipeline on the CPU with its adapter; diffusers and transformers are told to be quiet.

    Args:
        model, adapter: folders or hub ids.
        image: of an image-to-video model.
        device: on which it is to compute, for the default `dtype` alone: float32 on "cpu", else bfloat16.
        load_lora: load the adapter's LoRA too.

    Raises:
        OSError, ValueError, RuntimeError: with what cannot be loaded, and why.
    """
    from diffusers.utils import logging
    from transformers.utils import logging as transformers_logging

    from emogen.pipelines import EmotionWanImageToVideoPipeline, EmotionWanPipeline

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    kind = EmotionWanImageToVideoPipeline if image else EmotionWanPipeline
    default = "float32" if (device or best_device()) == "cpu" else "bfloat16"
    pipe = kind.from_pretrained(model, dtype=getattr(torch, dtype or default))
    if adapter is not None:
        pipe.load_emotion_adapter(adapter, load_lora=load_lora)
    return pipe
