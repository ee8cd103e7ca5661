"""What an emotion pipeline adds to a stock Wan pipeline beside its call: one adapter to load, save and scale."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from emogen.files import atomic
from emogen.finite import finite
from emogen.models import (
    EmotionAdapter,
    EmotionAdapterConfig,
    EmotionEncoder,
    attach_emotion_adapter,
    load_emotion_adapter,
    save_emotion_adapter,
)
from emogen.models.config import CONFIG_NAME
from emogen.models.lora import read_lora
from emogen.models.storage import read_emotion_adapter
from emogen.models.weights import LORA_NAMES, WEIGHTS_NAME
from emogen.pipelines.composition import ActiveLoras, check_fits
from emogen.pipelines.defaults import GenerationDefaults
from emogen.pipelines.emotion_call import EmotionCallMixin
from emogen.pipelines.loading import HUB_ARGUMENTS, ModelKindMixin
from emogen.pipelines.weight_deltas import WeightDeltasMixin


class EmotionAdapterMixin(ModelKindMixin, EmotionCallMixin, WeightDeltasMixin):
    """For a subclass of a Wan pipeline, before it in the bases.

    The subclass sets `_stock_class_name` and overrides `__call__` to go through `_call_with_emotion`.
    """

    _stock_class_name: str
    _emotion_lora: str | None = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any):
        """As the stock pipeline's, also from a folder or hub id of the stock pipeline, and reads the model's
        `generation_config.json` if it has one."""
        pipe = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        hub = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
        pipe.generation_defaults = GenerationDefaults.from_pretrained(pretrained_model_name_or_path, **hub)
        return pipe

    def save_config(self, save_directory: str | Path, push_to_hub: bool = False, **kwargs: Any) -> None:
        """As the stock pipeline's, and writes `generation_config.json` if anything in it is set."""
        if self.generation_defaults != GenerationDefaults():
            self.generation_defaults.save(save_directory)
        super().save_config(save_directory, push_to_hub=push_to_hub, **kwargs)

    def to_json_string(self) -> str:
        # The folder is a stock pipeline's (the adapter has its own), so that stock diffusers can open it.
        values = json.loads(super().to_json_string())
        values["_class_name"] = self._stock_class_name
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Save the base model, without the emotion adapter (`save_emotion_adapter` saves that).

        Raises:
            ValueError: a LoRA is loaded, which would be written under names that nothing reads.
        """
        for name, transformer in self._wan_transformers().items():
            if getattr(transformer, "peft_config", None):
                raise ValueError(
                    f"{name} carries the LoRA {', '.join(transformer.peft_config)}: save_pretrained would "
                    "write weights that cannot be loaded. Call unload_emotion_adapter() or "
                    "unload_lora_weights() first (after fuse_lora(), to keep the LoRA in the weights)"
                )
        super().save_pretrained(save_directory, **kwargs)

    @property
    def fps(self) -> float:
        """Frames per second of the model's videos."""
        return self.generation_defaults.fps

    @property
    def emotion_encoder(self) -> EmotionEncoder | None:
        adapter = self.emotion_adapter
        return adapter.encoder if adapter is not None else None

    def add_emotion_adapter(
        self, config: EmotionAdapterConfig | None = None, *, dtype: torch.dtype = torch.float32
    ) -> EmotionAdapter:
        """Attach a new, untrained adapter to this pipeline's transformers (see `attach_emotion_adapter`)."""
        first, *rest = self._wan_transformers().values()
        config = config or EmotionAdapterConfig()
        return attach_emotion_adapter(first, config, transformer_2=rest[0] if rest else None, dtype=dtype)

    def set_emotion_scale(self, scale: float) -> None:
        """A factor on every later call's `emotion_scale`.

        Raises:
            RuntimeError: no adapter is loaded.
            ValueError: no finite number.
        """
        if self.emotion_adapter is None:
            raise RuntimeError("no emotion adapter is loaded; call load_emotion_adapter first")
        self._emotion_scale = finite(scale, "scale")

    def load_emotion_adapter(
        self,
        pretrained: str | Path,
        *,
        load_lora: bool = True,
        adapter_name: str = "emotion",
        dtype: torch.dtype | None = None,
        **hub: object,
    ) -> None:
        """Load an adapter, in place of one that is loaded. Load it before offloading or compiling.

        LoRAs that were loaded otherwise stay as they are.

        Args:
            pretrained: a folder or a hub id with `config.json` and `emotion_adapter.safetensors`.
            load_lora: load `pytorch_lora_weights.safetensors` of the folder too, if it is there (and
                `pytorch_lora_weights_2.safetensors` into `transformer_2`).
            adapter_name: the LoRA's name, for `set_adapters`.
            dtype: of the adapter's weights; by default the transformer's.
            hub: `cache_dir`, `token`, `revision`, `local_files_only`, `force_download` of huggingface_hub.

        Raises:
            FileNotFoundError: neither a folder nor a model on the hub.
            AdapterMismatchError: the folder is no adapter's, or the adapter was made for another model.
            LoraFormatError, LoraError: its LoRA cannot be read, or was made for another model.
            ValueError: another LoRA has the name. After any error the pipeline is as it was.
        """
        folder = resolve_folder(pretrained, **hub)
        transformers = list(self._wan_transformers().values())
        names = ("transformer", "transformer_2")
        read_emotion_adapter(folder, dict(zip(names, transformers, strict=False)))  # all errors, before any change
        files = self._lora_files(folder) if load_lora else {}
        loras = ActiveLoras(*transformers)
        before = self._take_off()
        try:
            # before the adapter, because peft freezes all it finds in the model
            self._load_lora_files(files, adapter_name)
            load_emotion_adapter(folder, *transformers, dtype=dtype)
        except BaseException:
            self._take_off()
            self._put_back(before)
            loras.restore()
            raise
        loras.restore([adapter_name] if files else [])

    def load_emotion_lora(self, pretrained: str | Path, *, adapter_name: str = "emotion", **hub: object) -> None:
        """Load the LoRAs of an adapter's folder alone, into the transformers that they are for.

        Raises:
            FileNotFoundError: neither a folder nor a model on the hub, or no LoRA in it.
            LoraFormatError, LoraError: a LoRA cannot be read, or was made for another model; nothing is loaded.
        """
        folder = resolve_folder(pretrained, **hub)
        files = self._lora_files(folder)
        if not files:
            raise FileNotFoundError(f"{folder}: holds no {' or '.join(LORA_NAMES.values())}")
        self._load_lora_files(files, adapter_name)

    def _lora_files(self, folder: Path) -> dict[str, Path]:
        """Transformer -> the file of its LoRA, for those that have one there; checked to fit."""
        here = self._wan_transformers()
        files = {name: folder / file for name, file in LORA_NAMES.items() if name in here and (folder / file).is_file()}
        for name, file in files.items():
            check_fits(read_lora(file), here[name], str(file))
        return files

    def _load_lora_files(self, files: Mapping[str, Path], adapter_name: str) -> None:
        for name, file in files.items():
            second = {"load_into_transformer_2": True} if name == "transformer_2" else {}
            self.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=adapter_name, **second)
            self._emotion_lora = adapter_name

    def unload_emotion_adapter(self) -> None:
        """Take the adapter off, and the LoRA that came with it. Without an adapter, nothing happens."""
        loras = ActiveLoras(*self._wan_transformers().values())
        self._take_off()
        loras.restore()

    def save_emotion_adapter(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write a folder that `load_emotion_adapter` reads, with the LoRAs that came with the adapter; without one, a
        LoRA that lies in the folder is removed, because it would be loaded with this adapter.

        Raises:
            RuntimeError: no adapter is loaded.
        """
        adapter = self.emotion_adapter
        if adapter is None:
            raise RuntimeError("no emotion adapter is loaded; there is nothing to save")
        save_emotion_adapter(folder, adapter, dtype=dtype)
        loras = self._loras_of_the_emotion()
        for name, file in LORA_NAMES.items():
            if name not in loras:
                (Path(folder) / file).unlink(missing_ok=True)
                continue
            with atomic(Path(folder) / file) as temporary:
                self.save_lora_weights(
                    temporary.parent,
                    weight_name=temporary.name,
                    transformer_lora_layers={k: v.to("cpu", dtype).contiguous() for k, v in loras[name].layers.items()},
                    transformer_lora_adapter_metadata=loras[name].config,
                )

    def _loras_of_the_emotion(self) -> dict[str, _Lora]:
        """Those of the transformers that have one."""
        name, found = self._emotion_lora, {}
        for place, transformer in self._wan_transformers().items():
            if name is None or name not in getattr(transformer, "peft_config", {}):
                continue
            from peft import get_peft_model_state_dict

            layers = get_peft_model_state_dict(transformer, adapter_name=name)
            found[place] = _Lora(name, dict(layers), transformer.peft_config[name].to_dict())
        return found

    def _take_off(self) -> _Dressed:
        """Take off the adapter and its LoRA; what is returned puts them back."""
        adapter, loras, name = self.emotion_adapter, self._loras_of_the_emotion(), self._emotion_lora
        taken = _Dressed(adapter, self._emotion_scale, loras)
        if adapter is not None:
            taken.parts = adapter.detach()
        self._emotion_scale, self._emotion_lora = 1.0, None
        loaded = {name for names in self.get_list_adapters().values() for name in names}
        if loras and loaded == {name}:
            self.unload_lora_weights()
        elif loras:
            self.delete_adapters(name)
        return taken

    def _put_back(self, taken: _Dressed) -> None:
        for place, lora in taken.loras.items():
            getattr(self, place).load_lora_adapter(
                lora.layers, prefix=None, adapter_name=lora.name, metadata=lora.config
            )
            self._emotion_lora = lora.name
        if taken.adapter is not None:
            taken.adapter.reattach(taken.parts)
        self._emotion_scale = taken.scale


@dataclass
class _Lora:
    """The emotion's LoRA in a transformer: its name, its tensors and peft's configuration."""

    name: str
    layers: dict[str, torch.Tensor]
    config: dict[str, Any]


@dataclass
class _Dressed:
    """What a pipeline wore before it was taken off."""

    adapter: EmotionAdapter | None
    scale: float
    loras: dict[str, _Lora]
    parts: Any = None


def resolve_folder(pretrained: str | Path, **hub: object) -> Path:
    """The local folder of an adapter: as given, or downloaded from the hub.

    Raises:
        FileNotFoundError: neither.
    """
    if os.path.isdir(pretrained):
        return Path(pretrained)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        files = [CONFIG_NAME, WEIGHTS_NAME, *LORA_NAMES.values()]
        return Path(snapshot_download(str(pretrained), allow_patterns=files, **hub))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise FileNotFoundError(
            f"{pretrained}: neither a folder nor an adapter on the hub that can be reached ({error})"
        ) from error
