"""What a run leaves behind: a folder that the pipelines load.

config.json, emotion_adapter.safetensors   the emotion adapter (`EmotionWanPipeline.load_emotion_adapter`)
pytorch_lora_weights.safetensors           the LoRA, with its metadata (also stock `load_lora_weights`)
training_config.yaml, README.md            how it was made
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import WanPipeline
from diffusers.training_utils import _collate_lora_metadata
from peft import get_peft_model_state_dict

from emogen.models import save_emotion_adapter
from emogen.training.config import TrainingConfig
from emogen.training.model import WanEmotionModel, base_name

_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def export_adapter(
    folder: Path,
    model: WanEmotionModel,
    config: TrainingConfig,
    step: int,
    counts: Mapping[str, int],
) -> None:
    """Write the folder anew, under a temporary name first, so that it is never half old and half new.

    Args:
        step: optimizer steps done.
        counts: training clips per emotion, for the card.
    """
    dtype = _DTYPES[config.checkpoint.export_dtype]
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    if model.adapter is not None:
        save_emotion_adapter(temporary, model.adapter, dtype=dtype)
    if config.lora.rank:
        layers = get_peft_model_state_dict(model.transformer)
        WanPipeline.save_lora_weights(
            temporary,
            transformer_lora_layers={name: value.to(dtype).contiguous() for name, value in layers.items()},
            **_collate_lora_metadata({"transformer": model.transformer}),
        )
    (temporary / "training_config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    (temporary / "README.md").write_text(model_card(model, config, step, counts), encoding="utf-8")
    if folder.exists():
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
        os.replace(temporary, folder)
        shutil.rmtree(old)
    else:
        os.replace(temporary, folder)


def model_card(model: WanEmotionModel, config: TrainingConfig, step: int, counts: Mapping[str, int]) -> str:
    """The folder's README.md."""
    base = base_name(config.model.path)
    sizes = {name: sum(value.numel() for value in values) for name, values in model.parameter_groups().items()}
    rows = "\n".join(f"| {label} | {count} |" for label, count in counts.items())
    parts = []
    if config.lora.rank:
        parts.append(f"a rank-{config.lora.rank} LoRA ({sizes['lora']:,} parameters)")
    if model.adapter is not None:
        parts.append(f"an emotion adapter ({sizes['adapter']:,} parameters)")
    average = f", moving average {config.run.ema_decay:g}" if config.run.ema_decay else ""
    captions = "emotion words removed" if config.data.scrub_captions else "as written"
    embedded = config.model.path == "embedded"
    load = "embedded_model()" if embedded else f'"{base}"'
    if model.adapter is not None:
        usage = f"from emogen import EmotionWanPipeline{', embedded_model' * embedded}\n\n"
        usage += f"pipe = EmotionWanPipeline.from_pretrained({load})\n"
        usage += 'pipe.load_emotion_adapter("this/folder")'
    else:
        usage = f"from diffusers import WanPipeline\n{'from emogen import embedded_model' * embedded}\n"
        usage += f"pipe = WanPipeline.from_pretrained({load})\n"
        usage += 'pipe.load_lora_weights("this/folder")'
    base_line = f"base_model: {base}\n" if "/" in base else ""
    return f"""---
library_name: diffusers
pipeline_tag: text-to-video
{base_line}tags: [emogen, wan, lora, emotion]
---
# Emotion conditioning for {"the embedded model of emogen" if embedded else base}

Holds {" and ".join(parts)}, trained for {step:,} steps with emogen.

```python
{usage}
```

## Training data

{sum(counts.values()):,} clips, captions with {captions}.

| emotion | clips |
|---|---:|
{rows}

## Training

Flow matching, {config.objective.timesteps} noise levels with shift {config.objective.shift:g}, seed \
{config.run.seed}{average}. Emotion dropout {config.objective.emotion_dropout:g}, text and emotion together \
{config.objective.joint_dropout:g}. Every setting is in `training_config.yaml`.
"""
