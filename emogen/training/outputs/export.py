"""What a run leaves in its output folder for the pipelines, for stock diffusers and for other programs.

config.json, emotion_adapter.safetensors     the emotion adapter (`load_emotion_adapter` of a pipeline)
pytorch_lora_weights.safetensors             the LoRA, with its metadata (also stock `load_lora_weights`)
pytorch_lora_weights_2.safetensors           the LoRA of Wan2.2's second transformer, for low noise
pytorch_lora_weights_comfyui.safetensors ... the LoRA for other programs, if asked for (with two transformers
                                             pytorch_lora_weights_high_noise_comfyui.safetensors and ..._low_noise_...)
training_config.yaml                         how it was made
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from peft import get_peft_model_state_dict

from emogen.files import atomic, write_text
from emogen.models import save_emotion_adapter
from emogen.models.compat import lora_metadata
from emogen.models.lora import export_lora
from emogen.models.weights import LORA_NAMES
from emogen.training.config import TrainingConfig
from emogen.training.families import EmotionModel, Family
from emogen.training.model import DTYPES


def export_weights(
    folder: Path, model: EmotionModel, weights: Mapping[str, torch.Tensor], config: TrainingConfig
) -> None:
    """Write adapter and LoRA; each file appears whole or not at all.

    Args:
        weights: what was trained, by the names of `EmotionModel.trainable`, on the CPU.
    """
    dtype = DTYPES[config.checkpoint.export_dtype]
    folder.mkdir(parents=True, exist_ok=True)
    named = {id(parameter): weights[name] for name, parameter in model.trainable().items()}
    if model.adapter is not None:
        state = {name: named[id(parameter)] for name, parameter in model.adapter.named_parameters()}
        save_emotion_adapter(folder, model.adapter, dtype=dtype, state=state)
    if config.lora.rank:
        for name in model.transformers:
            _export_lora(folder / LORA_NAMES[name], model, name, weights, dtype)
        if config.checkpoint.export_formats:
            export_lora(folder, config.checkpoint.export_formats, lora_labels(model.family))
    write_text(folder / "training_config.yaml", config.to_yaml())


def lora_labels(family: Family) -> dict[str, str]:
    """The file of every LoRA -> what users of other programs call its transformer ("high_noise"; empty for the only
    one)."""
    return {LORA_NAMES[expert.name]: expert.label for expert in family.experts}


def _export_lora(
    file: Path, model: EmotionModel, name: str, weights: Mapping[str, torch.Tensor], dtype: torch.dtype
) -> None:
    """Write the LoRA of one transformer, as stock `load_lora_weights` reads it."""
    transformer, prefix = model.transformers[name], model.parameter_prefix(name)
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    layers = get_peft_model_state_dict(transformer, state_dict=own)
    with atomic(file) as temporary:
        model.family.stock_pipeline_class.save_lora_weights(
            file.parent,
            transformer_lora_layers={key: value.to(dtype).contiguous() for key, value in layers.items()},
            weight_name=temporary.name,
            **lora_metadata(transformer),
        )
