"""The emotion's LoRA together with others: identity, style, few-step distillation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from emogen.models.lora_file import scaled
from emogen.models.lora_formats import LoraFile, LoraFormatError, read_lora
from emogen.models.storage import LORA_NAME
from emogen.pipelines.lora_options import LoraError, LoraSpec, add_lora_arguments, loras_from_args, on_hub

__all__ = ["LoraError", "LoraSpec", "add_lora_arguments", "add_loras", "check_fits", "loras_from_args", "plain_weights"]


def add_loras(pipe: Any, specs: Sequence[LoraSpec | str], emotion_weight: float | None = None) -> dict[str, float]:
    """Load LoRAs beside the emotion's, and set all strengths, by diffusers' `load_lora_weights` and `set_adapters`.

    Call it after `load_emotion_adapter` and before `apply_speed`. Files of other programs are converted in memory: an
    alpha is multiplied into the weights. LoRAs add up linearly; only a DoRA, which also divides, does not.

    Args:
        pipe: an emotion pipeline of one transformer.
        specs: LoRAs, or texts for `LoraSpec.parse`.
        emotion_weight: strength of the emotion's LoRA; None leaves 1.

    Returns:
        Name -> weight of every LoRA that is now active; the emotion's keeps the name it was loaded by ("emotion"), the
        others are named after their files.

    Raises:
        LoraError: a file is not there, is no LoRA of a Wan model or one for a model of another size; or there is an
            `emotion_weight` and no LoRA of the emotion. The pipeline is then as it was.
    """
    specs = [LoraSpec.parse(spec) if isinstance(spec, str) else spec for spec in specs]
    if getattr(pipe, "transformer_2", None) is not None and specs:
        raise LoraError(
            "--lora: this model has two transformers, each with LoRAs of its own; call load_lora_weights for one and "
            "load_lora_weights(..., load_into_transformer_2=True) for the other"
        )
    emotion = pipe._emotion_lora
    if emotion_weight is not None and emotion is None:
        raise LoraError("--emotion_lora_weight: no LoRA of the emotion is loaded")
    loras = [_read(spec.source) for spec in specs]
    for spec, (_, lora) in zip(specs, loras, strict=True):
        check_fits(lora, pipe.transformer, spec.source)
    present = list(getattr(pipe.transformer, "peft_config", {}))
    weights = {name: 1.0 for name in present}
    if emotion_weight is not None:
        weights[emotion] = float(emotion_weight)
    added: list[str] = []
    try:
        for spec, (file, lora) in zip(specs, loras, strict=True):
            name = _name(file, {*present, *added, "emotion"})
            if lora.is_dora:  # its configuration has to come along
                pipe.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=name)
            else:
                pipe.load_lora_weights(plain_weights(lora), adapter_name=name)
            added.append(name)
            weights[name] = spec.weight
        if weights:
            pipe.set_adapters(list(weights), list(weights.values()))
    except BaseException:
        for name in added:
            pipe.delete_adapters(name)
        raise
    return weights


def plain_weights(lora: LoraFile) -> dict[str, Any]:
    """A LoRA's tensors with alpha multiplied in, so that they act at full strength without any configuration."""
    scales = {f"transformer.{layer}": scale for layer, scale in lora.scales.items()}
    return {
        key: scaled(value, scales[key.partition(".lora_")[0]]) if ".lora_B." in key else value
        for key, value in lora.weights.items()
    }


def check_fits(lora: LoraFile, transformer: nn.Module, name: str) -> None:
    """See that a transformer has every layer of a LoRA, of its size.

    Raises:
        LoraError: it has not.
    """
    for layer in lora.alphas:
        try:
            module = transformer.get_submodule(layer)
        except AttributeError:
            raise LoraError(
                f"--lora {name}: it changes {layer}, which this model has not ({len(transformer.blocks)} blocks): "
                "it was trained on another model"
            ) from None
        given = (
            lora.weights[f"transformer.{layer}.lora_A.weight"].shape[1],
            lora.weights[f"transformer.{layer}.lora_B.weight"].shape[0],
        )
        if given != (module.in_features, module.out_features):
            raise LoraError(
                f"--lora {name}: {layer} is {given[0]} -> {given[1]} there and {module.in_features} -> "
                f"{module.out_features} in this model: it was trained on a model of another size"
            )


def _read(source: str) -> tuple[Path, LoraFile]:
    path = Path(source)
    if not path.exists():
        if not on_hub(source):
            raise LoraError(f"--lora {source}: no such file or folder")
        path = _download(source)
    try:
        return (path / LORA_NAME if path.is_dir() else path), read_lora(path)
    except (FileNotFoundError, LoraFormatError) as error:
        raise LoraError(f"--lora {error}") from error


def _download(source: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    owner, name, *rest = source.split("/")
    file = "/".join(rest) or LORA_NAME
    try:
        return Path(hf_hub_download(f"{owner}/{name}", file))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise LoraError(
            f"--lora {source}: neither a file here nor {file} of {owner}/{name} on the hub in reach; another "
            f"file of it is {owner}/{name}/FILE.safetensors ({error})"
        ) from error


def _name(file: Path, taken: set[str]) -> str:
    stem = file.parent.name if file.name == LORA_NAME else file.stem
    base = name = re.sub(r"[^\w-]+", "_", stem).strip("_") or "lora"  # peft's names hold no dots
    number = 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name
