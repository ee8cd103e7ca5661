"""What a run leaves in its output folder for the pipelines, for stock diffusers and for other programs.

config.json, emotion_adapter.safetensors     the emotion adapter (`load_emotion_adapter` of a pipeline)
pytorch_lora_weights.safetensors             the LoRA, with its metadata (also stock `load_lora_weights`)
pytorch_lora_weights_comfyui.safetensors ... the LoRA for other programs, if asked for
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
from emogen.training.config import TrainingConfig
from emogen.training.families import EmotionModel
from emogen.training.model import DTYPES

LORA_NAME = "pytorch_lora_weights.safetensors"


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
        own = {n.removeprefix("transformer."): w for n, w in weights.items() if n.startswith("transformer.")}
        layers = get_peft_model_state_dict(model.transformer, state_dict=own)
        with atomic(folder / LORA_NAME) as temporary:
            model.family.stock_pipeline_class.save_lora_weights(
                folder,
                transformer_lora_layers={name: value.to(dtype).contiguous() for name, value in layers.items()},
                weight_name=temporary.name,
                **lora_metadata(model.transformer),
            )
        if config.checkpoint.export_formats:
            export_lora(folder, config.checkpoint.export_formats)
    write_text(folder / "training_config.yaml", config.to_yaml())
