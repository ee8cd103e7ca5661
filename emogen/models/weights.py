"""The weights of an adapter: their names and shapes, and reading them from a folder. No transformer is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from emogen.models.config import AdapterMismatchError, EmotionAdapterConfig
from emogen.models.emotion_attention import EmotionAttention
from emogen.models.encoder import EmotionEncoder

WEIGHTS_NAME = "emotion_adapter.safetensors"
LORA_NAME = "pytorch_lora_weights.safetensors"
LORA_NAMES = {"transformer": LORA_NAME, "transformer_2": "pytorch_lora_weights_2.safetensors"}
"""The file of each transformer's LoRA: a model has one, Wan2.2's A14B a second for low noise."""


def new_encoder(config: EmotionAdapterConfig) -> EmotionEncoder:
    """An untrained encoder of a config whose sizes are all set."""
    return EmotionEncoder(
        num_tokens=config.num_tokens,
        text_dim=config.text_dim,
        hidden_dim=config.hidden_dim,
        fourier_bands=config.fourier_bands,
        num_emotions=len(config.taxonomy),
    )


def expected_shapes(config: EmotionAdapterConfig, layers: Mapping[str, Iterable[str]]) -> dict[str, torch.Size]:
    """Name -> shape of every weight of an adapter; nothing is allocated.

    Args:
        layers: transformer ("transformer", "transformer_2") -> names of its cross-attentions ("blocks.0.attn2").
    """
    with torch.device("meta"):
        encoder = new_encoder(config)
        attention = EmotionAttention(config.inner_dim, config.rank, config.head_dim)
    shapes = {f"encoder.{name}": value.shape for name, value in encoder.named_parameters()}
    for transformer, names in layers.items():
        for layer in names:
            shapes |= {f"{transformer}.{layer}.{key}": value.shape for key, value in attention.named_parameters()}
    return shapes


def check_state(state: Mapping[str, torch.Tensor], shapes: Mapping[str, torch.Size], source: str) -> None:
    """Compare weights with what an adapter needs; `source` names the file in errors.

    Raises:
        AdapterMismatchError: a name or a shape is another one.
    """
    missing, unknown = shapes.keys() - state.keys(), state.keys() - shapes.keys()
    for what, names in (("lacks", missing), ("has an unknown", unknown)):
        if names:
            raise AdapterMismatchError(
                f"{source}: {what} {min(names)} ({len(names)} such), so it is not for this model; an adapter made "
                "for two transformers (Wan2.2) needs both, and one made for one needs one"
            )
    for name, shape in shapes.items():
        if state[name].shape != shape:
            raise AdapterMismatchError(
                f"{source}: {name} is {tuple(state[name].shape)} where the adapter needs {tuple(shape)}"
            )


def not_finite(state: Mapping[str, torch.Tensor]) -> str | None:
    """The name of the first tensor that holds nan or infinity, if there is one."""
    for name in sorted(state):
        value = state[name]
        # float8 has no test of its own
        if value.is_floating_point() and not (value.float() if value.dtype.itemsize == 1 else value).isfinite().all():
            return name
    return None


def read_weights(folder: str | Path) -> tuple[EmotionAdapterConfig, dict[str, torch.Tensor]]:
    """Config and weights of a local folder, which are whole and finite; for which transformer is not looked at.

    Raises:
        AdapterMismatchError: the folder holds no adapter, or a damaged one.
    """
    folder = Path(folder)
    config = EmotionAdapterConfig.from_folder(folder)
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise AdapterMismatchError(f"{path}: missing")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise AdapterMismatchError(f"{path}: not a whole safetensors file ({error}); fetch it again") from error
    for name, value in state.items():
        if not value.is_floating_point():
            raise AdapterMismatchError(
                f"{path}: {name} holds {value.dtype}, not floating point numbers; save the adapter unquantised"
            )
    if (bad := not_finite(state)) is not None:
        raise AdapterMismatchError(
            f"{path}: {bad} holds values that are not finite (nan or infinity); train it again or fetch it again"
        )
    return config, state
