"""Adapter folders: `config.json` and `emotion_adapter.safetensors`, and beside them, if there is a LoRA,
`pytorch_lora_weights.safetensors` (and `pytorch_lora_weights_2.safetensors`, of a model's second transformer)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from emogen.files import atomic, write_json
from emogen.models.adapter import EmotionAdapter, attach_emotion_adapter, get_emotion_adapter
from emogen.models.config import CONFIG_NAME, AdapterMismatchError, EmotionAdapterConfig, cross_attentions
from emogen.models.weights import WEIGHTS_NAME, check_state, expected_shapes, read_weights


def save_emotion_adapter(
    folder: str | Path,
    adapter: EmotionAdapter | nn.Module,
    *,
    dtype: torch.dtype | None = None,
    state: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write an adapter's config and weights; other files of the folder are left alone.

    Args:
        folder: made if it does not exist. Each file appears whole or not at all.
        adapter: the adapter, or a transformer that carries it.
        dtype: of the saved weights; by default as they are.
        state: weights to write instead of the adapter's own, by the same names (an average, or gathered shards).

    Raises:
        ValueError: the transformer carries no adapter, or the adapter is not attached.
    """
    if isinstance(adapter, nn.Module):
        transformer, adapter = adapter, get_emotion_adapter(adapter)
        if adapter is None:
            raise ValueError(f"this {type(transformer).__name__} carries no emotion adapter")
    if not adapter.transformers:
        raise ValueError("the emotion adapter is not attached, so its processors' weights are gone")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = state or adapter.state_dict()
    if (expert := adapter.config.expert) is not None:  # what the other transformer carries adds nothing
        state = {name: value for name, value in state.items() if name.startswith(("encoder.", f"{expert}."))}
    state = {name: value.to("cpu", dtype).contiguous() for name, value in state.items()}
    with atomic(folder / WEIGHTS_NAME) as temporary:
        save_file(state, temporary, metadata={"format": "pt"})
    write_json(folder / CONFIG_NAME, adapter.config.to_dict())


def read_emotion_adapter(
    folder: str | Path, transformers: Mapping[str, nn.Module]
) -> tuple[EmotionAdapterConfig, dict[str, torch.Tensor]]:
    """Config and weights of a local folder, checked to fit transformers that need not be free of an adapter.

    Args:
        transformers: by name, "transformer" and perhaps "transformer_2".

    Raises:
        AdapterMismatchError: the folder holds no adapter, or one for another model.
    """
    config = EmotionAdapterConfig.from_folder(folder)
    for transformer in transformers.values():
        config = config.for_transformer(transformer)
    if config.expert is not None:
        if len(transformers) == 1:
            raise AdapterMismatchError(
                f"{folder}: the adapter was trained for {config.expert} of a model of two transformers (Wan2.2), and "
                "this model has one"
            )
        transformers = {config.expert: transformers[config.expert]}
    _, state = read_weights(folder)
    layers = {name: cross_attentions(transformer) for name, transformer in transformers.items()}
    check_state(state, expected_shapes(config, layers), str(Path(folder) / WEIGHTS_NAME))
    return config, state


def load_emotion_adapter(
    folder: str | Path,
    transformer: nn.Module,
    transformer_2: nn.Module | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> EmotionAdapter:
    """Attach the adapter of a local folder.

    Args:
        folder: as `save_emotion_adapter` wrote it.
        transformer: the base model's.
        transformer_2: Wan2.2's second. An adapter that was trained for one of the two leaves the other as it is.
        dtype: of the weights; by default the transformer's.

    Raises:
        AdapterMismatchError: the folder holds no adapter, or one for another model; nothing is attached.
        RuntimeError: the transformer carries an adapter already.
    """
    transformers = {"transformer": transformer}
    if transformer_2 is not None:
        transformers["transformer_2"] = transformer_2
    config, state = read_emotion_adapter(folder, transformers)
    if dtype is None:
        dtype = transformer.dtype if transformer.dtype.itemsize > 1 else torch.bfloat16
    adapter = attach_emotion_adapter(transformer, config, transformer_2=transformer_2, dtype=dtype)
    untrained = adapter.state_dict() if config.expert is not None else {}
    adapter.load_state_dict(untrained | state, str(folder))
    return adapter
