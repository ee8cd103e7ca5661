"""Loading and saving an emotion adapter's folder, its LoRA included, through a pipeline."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch

from emogen.models import (
    AdapterMismatchError,
    EmotionAdapter,
    EmotionAdapterConfig,
    attach_emotion_adapter,
    load_emotion_adapter,
    save_emotion_adapter,
)
from emogen.models.config import CONFIG_NAME
from emogen.models.storage import LORA_NAME, WEIGHTS_NAME, read_emotion_adapter


class AdapterFolderMixin:
    """`load_emotion_adapter`, `unload_emotion_adapter` and `save_emotion_adapter` of an emotion pipeline."""

    _emotion_lora: str | None = None

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

        Args:
            pretrained: a folder or a hub id with `config.json` and `emotion_adapter.safetensors`.
            load_lora: load `pytorch_lora_weights.safetensors` of the folder too, if it is there.
            adapter_name: the LoRA's name, for `set_adapters`.
            dtype: of the adapter's weights; by default the transformer's.
            hub: `cache_dir`, `token`, `revision`, `local_files_only`, `force_download` of huggingface_hub.

        Raises:
            FileNotFoundError: neither a folder nor a model on the hub.
            AdapterMismatchError: the folder is no adapter's, or the adapter was made for another model. The
                pipeline is then as it was.
        """
        folder = resolve_folder(pretrained, **hub)
        transformers = list(self._wan_transformers().values())
        names = ("transformer", "transformer_2")
        read_emotion_adapter(folder, dict(zip(names, transformers, strict=False)))  # all errors, before any change
        self.unload_emotion_adapter()
        if load_lora and (folder / LORA_NAME).is_file():
            # before the adapter, because peft freezes all it finds in the model
            self.load_lora_weights(str(folder), weight_name=LORA_NAME, adapter_name=adapter_name)
            self._emotion_lora = adapter_name
        try:
            load_emotion_adapter(folder, *transformers, dtype=dtype)
        except (AdapterMismatchError, RuntimeError):
            self._unload_emotion_lora()
            raise

    def unload_emotion_adapter(self) -> None:
        """Take the adapter off, and the LoRA that came with it. Without an adapter, nothing happens."""
        adapter = self.emotion_adapter
        if adapter is not None:
            adapter.detach()
        self._emotion_scale = 1.0
        self._unload_emotion_lora()

    def save_emotion_adapter(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write a folder that `load_emotion_adapter` reads, with the LoRA that came with the adapter.

        Raises:
            RuntimeError: no adapter is loaded.
        """
        adapter = self.emotion_adapter
        if adapter is None:
            raise RuntimeError("no emotion adapter is loaded; there is nothing to save")
        save_emotion_adapter(folder, adapter, dtype=dtype)
        name = self._emotion_lora
        if name is not None and name in getattr(self.transformer, "peft_config", {}):
            from peft import get_peft_model_state_dict

            layers = get_peft_model_state_dict(self.transformer, adapter_name=name)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".lora") as temporary:
                self.save_lora_weights(
                    temporary,
                    transformer_lora_layers={k: v.to("cpu", dtype).contiguous() for k, v in layers.items()},
                    transformer_lora_adapter_metadata=self.transformer.peft_config[name].to_dict(),
                )
                os.replace(Path(temporary) / LORA_NAME, Path(folder) / LORA_NAME)

    def _attach(self, config: EmotionAdapterConfig, dtype: torch.dtype) -> EmotionAdapter:
        first, *rest = self._wan_transformers().values()
        return attach_emotion_adapter(first, config, transformer_2=rest[0] if rest else None, dtype=dtype)

    def _unload_emotion_lora(self) -> None:
        name, self._emotion_lora = self._emotion_lora, None
        loaded = {adapter for names in self.get_list_adapters().values() for adapter in names}
        if name not in loaded:
            return
        if loaded == {name}:
            self.unload_lora_weights()
        else:
            self.delete_adapters(name)


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
        files = [CONFIG_NAME, WEIGHTS_NAME, LORA_NAME]
        return Path(snapshot_download(str(pretrained), allow_patterns=files, **hub))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise FileNotFoundError(
            f"{pretrained}: neither a folder nor an adapter on the hub that can be reached ({error})"
        ) from error
