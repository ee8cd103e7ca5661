"""What an emotion adapter is made of, and which transformer it fits."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from emogen.emotion import MIKELS, Taxonomy

FORMAT_VERSION = 1
CONFIG_NAME = "config.json"
EXPERTS = ("transformer", "transformer_2")


class AdapterMismatchError(ValueError):
    """An adapter folder is not one, or was made for another transformer."""


@dataclass(frozen=True)
class EmotionAdapterConfig:
    """Sizes of an adapter. The fields that default to None are read off the transformer when it is attached.

    Args:
        num_tokens: emotion tokens for one moment.
        rank: width of the emotion cross-attention in every block; a multiple of `head_dim`.
        head_dim: width of one of its heads.
        hidden_dim: width of the encoder's network for valence and arousal.
        fourier_bands: octaves at which valence and arousal are read, from half a period over [-1, 1].
        text_length: text tokens before the emotion tokens. Wan's image-to-video models fix it at 512.
        text_dim: width of the text encoder's output, and of the emotion tokens.
        inner_dim: width of the transformer.
        num_layers: cross-attentions that the adapter serves (blocks and VACE blocks).
        base_model: for which model it was trained; informative.
        expert: "transformer" (high noise) or "transformer_2" (low noise): the one of Wan2.2's two transformers that it
            was trained for; None: all that the model has. The other one is left as it is.
        taxonomy: what the rows of the encoder's table of emotions stand for, in their order.
    """

    num_tokens: int = 4
    rank: int = 256
    head_dim: int = 64
    hidden_dim: int = 256
    fourier_bands: int = 4
    text_length: int = 512
    text_dim: int | None = None
    inner_dim: int | None = None
    num_layers: int | None = None
    base_model: str | None = None
    expert: str | None = None
    taxonomy: Taxonomy = MIKELS

    def __post_init__(self) -> None:
        for name in ("num_tokens", "rank", "head_dim", "hidden_dim", "fourier_bands", "text_length"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"EmotionAdapterConfig.{name} must be a whole number of at least 1, not {value!r}")
        for name in ("text_dim", "inner_dim", "num_layers"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"EmotionAdapterConfig.{name} must be a whole number of at least 1, not {value!r}")
        if self.expert not in (None, *EXPERTS):
            raise ValueError(f"EmotionAdapterConfig.expert must be {' or '.join(EXPERTS)}, not {self.expert!r}")
        if self.rank % self.head_dim:
            raise ValueError(
                f"EmotionAdapterConfig.rank ({self.rank}) must be a multiple of head_dim ({self.head_dim})"
            )

    def for_transformer(self, transformer: nn.Module) -> EmotionAdapterConfig:
        """The config with the transformer's sizes filled in.

        Raises:
            AdapterMismatchError: a size is set already, and is another one.
        """
        return self.for_sizes(transformer_sizes(transformer))

    def for_sizes(self, sizes: Mapping[str, int]) -> EmotionAdapterConfig:
        """The config with a transformer's `inner_dim`, `num_layers` and `text_dim` filled in; errors as of
        `for_transformer`."""
        for name, value in sizes.items():
            own = getattr(self, name)
            if own is not None and own != value:
                raise AdapterMismatchError(
                    f"the emotion adapter was made for a transformer of {self.describe_base()}, but this one "
                    f"has {name} {value} where the adapter needs {own}; load the base model the adapter was "
                    "trained on" + (f" ({self.base_model})" if self.base_model else "")
                )
        return dataclasses.replace(self, **sizes)

    def describe_base(self) -> str:
        return f"inner_dim {self.inner_dim}, num_layers {self.num_layers}, text_dim {self.text_dim}"

    def to_dict(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.expert is None:  # an earlier emogen does not know the key
            del values["expert"]
        head = {"_class_name": "EmotionAdapter", "format_version": FORMAT_VERSION}
        return head | values | {"taxonomy": self.taxonomy.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "config") -> EmotionAdapterConfig:
        """The inverse of `to_dict`; `source` names the file in errors.

        Raises:
            AdapterMismatchError: not an adapter's config, one that a newer emogen wrote, a value of the wrong type, or
                an adapter of another taxonomy. A config without a taxonomy is of Mikels' eight.
        """
        if not isinstance(values, Mapping):
            raise AdapterMismatchError(f"{source}: holds a {type(values).__name__} where an object belongs")
        if values.get("_class_name") != "EmotionAdapter":
            raise AdapterMismatchError(
                f"{source}: _class_name is {values.get('_class_name')!r}, so this is not an emotion adapter's folder"
            )
        version = values.get("format_version")
        if version != FORMAT_VERSION:
            raise AdapterMismatchError(
                f"{source}: format_version is {version!r}, and this emogen reads {FORMAT_VERSION}; upgrade emogen"
            )
        fields = {field.name for field in dataclasses.fields(cls)}
        given = {key: value for key, value in values.items() if key not in ("_class_name", "format_version")}
        unknown = sorted(given.keys() - fields)
        if unknown:
            raise AdapterMismatchError(f"{source}: unknown key {unknown[0]!r}")
        try:
            given["taxonomy"] = Taxonomy.from_dict(given["taxonomy"]) if "taxonomy" in given else MIKELS
            config = cls(**given)
        except ValueError as error:
            raise AdapterMismatchError(f"{source}: {error}") from error
        if config.taxonomy == MIKELS and config.taxonomy.places != MIKELS.places:
            raise AdapterMismatchError(
                f"{source}: the adapter's emotions stand at {_placed(config.taxonomy)} on the plane, and here at "
                f"{_placed(MIKELS)}; use an adapter trained with these"
            )
        if config.taxonomy != MIKELS:
            raise AdapterMismatchError(
                f"{source}: the adapter's emotions are {', '.join(config.taxonomy)} ({config.taxonomy.name}), and here "
                f"they are {', '.join(MIKELS)} ({MIKELS.name}), in this order; use an adapter of these"
            )
        return config

    @classmethod
    def from_folder(cls, folder: str | Path) -> EmotionAdapterConfig:
        """Read `config.json` of an adapter folder.

        Raises:
            AdapterMismatchError: the file is missing, not JSON, or not an adapter's.
        """
        path = Path(folder) / CONFIG_NAME
        if not path.is_file():
            raise AdapterMismatchError(
                f"{folder}: no {CONFIG_NAME}, so this is not an emotion adapter's folder (a LoRA alone is "
                "loaded with load_lora_weights)"
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise AdapterMismatchError(f"{path}: not JSON (line {error.lineno}: {error.msg})") from error
        except (ValueError, RecursionError) as error:  # no UTF-8, numbers of thousands of digits, thousands of brackets
            raise AdapterMismatchError(f"{path}: cannot be read as JSON ({error})") from error
        return cls.from_dict(values, str(path))


def cross_attentions(transformer: nn.Module) -> dict[str, nn.Module]:
    """Name -> cross-attention to the text, of every block (`blocks.0.attn2`, `vace_blocks.0.attn2`, ...)."""
    return {
        name: module
        for name, module in transformer.named_modules()
        if name.split(".")[-1] == "attn2" and hasattr(module, "set_processor")
    }


def transformer_sizes(transformer: nn.Module) -> dict[str, int]:
    """`inner_dim`, `num_layers` and `text_dim` of a Wan transformer.

    Raises:
        TypeError: not a Wan transformer.
    """
    attentions = cross_attentions(transformer)
    text_dim = getattr(getattr(transformer, "config", None), "text_dim", None)
    if not attentions or text_dim is None:
        raise TypeError(f"an emotion adapter fits Wan transformers, not {type(transformer).__name__}")
    first = next(iter(attentions.values()))
    return {"inner_dim": first.inner_dim, "num_layers": len(attentions), "text_dim": text_dim}


def _placed(taxonomy: Taxonomy) -> str:
    return ", ".join(f"{name} ({valence:g}, {arousal:g})" for name, (valence, arousal) in taxonomy.places.items())
