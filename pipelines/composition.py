"""The emotion's LoRA together with others: identity, style, few-step distillation.

What people type is read without loading model code, so that a command's `--help` is quick; the rest imports it.
"""

from __future__ import annotations

import argparse
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emogen.finite import float_text

if TYPE_CHECKING:
    from torch import nn

    from emogen.models.lora import LoraFile


class LoraError(ValueError):
    """A LoRA that cannot be loaded, or a weight that is none; the message names the file and the way out."""


@dataclass(frozen=True)
class LoraSpec:
    """One LoRA to load.

    Args:
        source: a file, a folder with `pytorch_lora_weights.safetensors`, a hub id, or "id/file.safetensors" on the hub.
        weight: its strength; 1 as trained.
    """

    source: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> LoraSpec:
        """Read "FILE_OR_ID" or "FILE_OR_ID:WEIGHT".

        Raises:
            LoraError: no source, or a weight that is no finite number.
        """
        source, colon, weight = text.rpartition(":")
        # "C:\\x.safetensors": what comes after the colon is then a path.
        if not colon or "/" in weight or "\\" in weight or weight.endswith(".safetensors"):
            source, weight = text, "1"
        try:
            value = float(weight)
        except ValueError:
            value = math.nan
        if not source.strip() or not math.isfinite(value):
            raise LoraError(f"--lora {text!r}: give FILE_OR_ID or FILE_OR_ID:WEIGHT, such as style.safetensors:0.8")
        return cls(source.strip(), value)


def add_lora_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--lora`, which may be repeated, and `--emotion_lora_weight`."""
    group = parser.add_argument_group("LoRAs beside the emotion's (docs/sampling.md)")
    group.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="FILE[:WEIGHT]",
        help="another LoRA: a file of diffusers, ComfyUI, DiffSynth or musubi, a folder, or a hub id; may be repeated",
    )
    group.add_argument("--emotion_lora_weight", type=float_text, help="strength of the emotion's LoRA (default: 1)")


@dataclass(frozen=True)
class LoraOptions:
    """Which LoRAs stand beside the emotion's.

    Args:
        specs: those to load.
        emotion_weight: strength of the emotion's LoRA; None leaves it.
    """

    specs: tuple[LoraSpec, ...] = ()
    emotion_weight: float | None = None

    @property
    def any(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.specs) or self.emotion_weight is not None


def loras_from_args(args: argparse.Namespace) -> LoraOptions:
    """The LoRAs of parsed flags. Files that look local are looked up now, before a model is loaded.

    Raises:
        LoraError: a spec that is none, or a file that is not there.
    """
    specs = lora_specs(args.lora)
    weight = args.emotion_lora_weight
    if weight is not None and not math.isfinite(weight):
        raise LoraError(f"--emotion_lora_weight is {weight}; it has to be a finite number")
    return LoraOptions(specs, weight)


def lora_specs(texts: Sequence[str]) -> tuple[LoraSpec, ...]:
    """What `--lora` was given. Raises LoraError: one is no spec, or looks local and is not there."""
    specs = tuple(map(LoraSpec.parse, texts))
    for spec in specs:
        if not Path(spec.source).exists() and not on_hub(spec.source):
            raise LoraError(f"--lora {spec.source}: no such file or folder")
    return specs


def on_hub(source: str) -> bool:
    """Whether the text has the form of a hub id, or of a file of one."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(/[\w./-]+\.safetensors)?", source) is not None and not (
        source.count("/") == 1 and source.endswith(".safetensors")
    )


class ActiveLoras:
    """Which LoRAs act in some transformers, and how strongly, to be kept while others come and go: diffusers makes the
    last one that is loaded the only one."""

    def __init__(self, *transformers: nn.Module):
        self._transformers = transformers
        self._before = {
            id(layer): (list(layer.active_adapters), dict(layer.scaling), layer.disable_adapters)
            for layer in self._layers()
        }

    def weight(self, name: str) -> float:
        """The strength of a LoRA that acts, 1 as trained; 0 of one that is switched off."""
        for layer in self._layers():
            active, scaling, disabled = self._before.get(id(layer), ([], {}, True))
            if name in scaling:
                if disabled or name not in active:
                    return 0.0
                now = layer.scaling[name]
                layer.set_scale(name, 1.0)
                full, layer.scaling[name] = layer.scaling[name], now
                return scaling[name] / full if full else 0.0
        return 0.0

    def restore(self, added: Sequence[str] = (), weights: Mapping[str, float] | None = None) -> None:
        """Let those act that did, as they did, and the `added` ones beside them; `weights` are new strengths."""
        for layer in self._layers():
            active, scaling, disabled = self._before.get(id(layer), ([], {}, False))
            names = [name for name in dict.fromkeys([*active, *added]) if name in layer.scaling]
            layer.set_adapter(names)
            for name, scale in scaling.items():
                if name in layer.scaling:
                    layer.scaling[name] = scale
            for name, weight in (weights or {}).items():
                if name in layer.scaling:
                    layer.set_scale(name, weight)
            if disabled and not added:
                layer.enable_adapters(False)

    def _layers(self) -> Iterator[Any]:
        from peft.tuners.tuners_utils import BaseTunerLayer

        for transformer in self._transformers:
            yield from (module for module in transformer.modules() if isinstance(module, BaseTunerLayer))


def add_loras(pipe: Any, specs: Sequence[LoraSpec | str], emotion_weight: float | None = None) -> dict[str, float]:
    """Load LoRAs beside those that are there, the emotion's among them, by diffusers' `load_lora_weights`.

    Those that are there keep their strengths. Call it after `load_emotion_adapter` and before `apply_speed`. Files of
    other programs are converted in memory: an alpha is multiplied into the weights. What a file adds to norms, biases
    and modulation is added to them (see `WeightDeltas`). LoRAs add up linearly; only a DoRA, which also divides, does
    not. Of Wan2.2's two transformers a file with "high" in its name is for the first, one with "low" for the second,
    any other for both.

    Args:
        pipe: an emotion pipeline.
        specs: LoRAs, or texts for `LoraSpec.parse`.
        emotion_weight: strength of the emotion's LoRA; None leaves what it has.

    Returns:
        Name -> weight of every LoRA that is now active; the emotion's keeps the name it was loaded by ("emotion"), the
        others are named after their files.

    Raises:
        LoraError: a file is not there, is no LoRA of a Wan model or one for a model of another size; or there is an
            `emotion_weight` and no LoRA of the emotion. The pipeline is then as it was.
    """
    specs = [LoraSpec.parse(spec) if isinstance(spec, str) else spec for spec in specs]
    emotion = pipe._emotion_lora
    if emotion_weight is not None and emotion is None:
        raise LoraError("--emotion_lora_weight: no LoRA of the emotion is loaded")
    if emotion_weight is not None and not math.isfinite(emotion_weight):
        raise LoraError(f"--emotion_lora_weight is {emotion_weight}; it has to be a finite number")
    transformers = pipe._wan_transformers()
    present = list(dict.fromkeys(name for one in transformers.values() for name in getattr(one, "peft_config", {})))
    parts = _parts(specs, transformers, {*present, "emotion"})
    before = ActiveLoras(*transformers.values())
    weights = {name: before.weight(name) for name in present}
    changed = {} if emotion_weight is None else {emotion: float(emotion_weight)}
    weights |= changed
    added: list[str] = []
    try:
        for part in parts:
            added.append(part.name)
            part.load(pipe)
            changed[part.name] = part.weight
        before.restore([*added, *(name for name in (emotion,) if emotion_weight is not None)], changed)
    except BaseException:
        _forget(pipe, added)
        before.restore()
        raise
    return {name: weight for name, weight in (weights | changed).items() if weight or name in changed}


@dataclass(frozen=True)
class _Part:
    """A LoRA on its way into a transformer."""

    name: str
    weight: float
    file: Path
    lora: LoraFile
    place: str

    def load(self, pipe: Any) -> None:
        """Put it in, at full strength what is a LoRA, at its own what is added to the weights."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several are what is asked for
            self._load(pipe)

    def _load(self, pipe: Any) -> None:
        second = {"load_into_transformer_2": True} if self.place == "transformer_2" else {}
        if self.lora.is_dora:  # its configuration has to come along
            pipe.load_lora_weights(str(self.file.parent), weight_name=self.file.name, adapter_name=self.name, **second)
        elif self.lora.weights:
            pipe.load_lora_weights(plain_weights(self.lora), adapter_name=self.name, **second)
        if self.lora.deltas:
            from emogen.pipelines.weight_deltas import WeightDeltas

            WeightDeltas.of(getattr(pipe, self.place)).add(self.name, self.lora.deltas, self.weight)


def _parts(specs: Sequence[LoraSpec], transformers: Mapping[str, nn.Module], taken: set[str]) -> list[_Part]:
    """What is loaded where, read and checked before anything is."""
    parts, taken = [], set(taken)
    for transformer in transformers.values():
        taken |= _deltas_of(transformer).weights.keys()
    for spec in specs:
        file, lora = _read(spec.source)
        name = _name(file, taken)
        taken.add(name)
        for place in _places(file, transformers):
            fitted = fitting(lora, transformers[place], f"--lora {spec.source}")
            parts.append(_Part(name, spec.weight, file, fitted, place))
    return parts


def _places(file: Path, transformers: Mapping[str, nn.Module]) -> list[str]:
    names, words = list(transformers), file.name.lower()
    if len(names) > 1 and ("high" in words) != ("low" in words.replace("flow", "")):
        return names[:1] if "high" in words else names[1:]
    return names


def _deltas_of(transformer: nn.Module) -> Any:
    from emogen.pipelines.weight_deltas import WeightDeltas

    return WeightDeltas.of(transformer)


def _forget(pipe: Any, names: Sequence[str]) -> None:
    transformers = pipe._wan_transformers().values()
    for transformer in transformers:
        _deltas_of(transformer).remove(names)
    present = {name for one in transformers for name in getattr(one, "peft_config", {})}
    there = [name for name in dict.fromkeys(names) if name in present]
    if there and set(there) == present:
        pipe.unload_lora_weights()
    elif there:
        pipe.delete_adapters(there)


def plain_weights(lora: LoraFile) -> dict[str, Any]:
    """A LoRA's tensors with alpha multiplied in, so that they act at full strength without any configuration."""
    from emogen.models.lora import scaled

    scales = {f"transformer.{layer}": scale for layer, scale in lora.scales.items()}
    return {
        key: scaled(value, scales[key.partition(".lora_")[0]]) if ".lora_B." in key else value
        for key, value in lora.weights.items()
    }


def check_fits(lora: LoraFile, transformer: nn.Module, name: str) -> None:
    """See that a transformer has every layer of a LoRA, of its size, and that diffusers loads all of it.

    Raises:
        LoraError: it has not, or the file also changes what no LoRA can.
    """
    if lora.deltas:
        raise LoraError(
            f"{name}: it also changes {next(iter(lora.deltas))} and {len(lora.deltas) - 1} more parameters directly: "
            "give it with --lora (add_loras), which applies them"
        )
    _check_layers(lora, transformer, name)


def fitting(lora: LoraFile, transformer: nn.Module, name: str) -> LoraFile:
    """A LoRA as a transformer can take it. One of an image-to-video model of Wan2.1 also changes the branch that reads
    the image; a model without it leaves these layers out, with a warning.

    Raises:
        LoraError: it was made for another model.
    """
    from dataclasses import replace

    from emogen.models.lora_names import of_image_branch

    if transformer.config.image_dim is None and (
        odd := [key for key in (*lora.alphas, *lora.deltas) if of_image_branch(key)]
    ):
        warnings.warn(
            f"{name}: {len(odd)} of its layers are of the image branch of Wan2.1's image-to-video models, which this "
            "model has not; they are left out",
            stacklevel=4,
        )
        lora = replace(
            lora,
            weights={key: value for key, value in lora.weights.items() if not of_image_branch(key)},
            alphas={key: value for key, value in lora.alphas.items() if not of_image_branch(key)},
            deltas={key: value for key, value in lora.deltas.items() if not of_image_branch(key)},
        )
    _check_layers(lora, transformer, name)
    try:
        _deltas_of(transformer).check(lora.deltas, name)
    except ValueError as error:
        raise LoraError(str(error)) from error
    return lora


def _check_layers(lora: LoraFile, transformer: nn.Module, name: str) -> None:
    for layer in lora.alphas:
        try:
            module = transformer.get_submodule(layer)
        except AttributeError:
            raise LoraError(
                f"{name}: it changes {layer}, which this model has not ({len(transformer.blocks)} blocks): "
                "it was trained on another model"
            ) from None
        given = (
            lora.weights[f"transformer.{layer}.lora_A.weight"].shape[1],
            lora.weights[f"transformer.{layer}.lora_B.weight"].shape[0],
        )
        if given != (module.in_features, module.out_features):
            raise LoraError(
                f"{name}: {layer} is {given[0]} -> {given[1]} there and {module.in_features} -> "
                f"{module.out_features} in this model: it was trained on a model of another size"
            )


def _read(source: str) -> tuple[Path, LoraFile]:
    from emogen.models.lora import LoraFormatError, read_lora
    from emogen.models.weights import LORA_NAME

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

    from emogen.models.weights import LORA_NAME

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
    from emogen.models.weights import LORA_NAME

    stem = file.parent.name if file.name == LORA_NAME else file.stem
    base = name = re.sub(r"[^\w-]+", "_", stem).strip("_") or "lora"  # peft's names hold no dots
    number = 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name
