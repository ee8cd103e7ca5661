"""Emotion adapters in ComfyUI: found in models/emogen, read once, and their weights given to ComfyUI to move about."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emogen.embedded import embedded_adapter, embedded_i2v_adapter
from emogen.models.config import AdapterMismatchError
from emogen.models.emotion_attention import EmotionAttention
from emogen.models.encoder import EmotionEncoder
from emogen.models.lora import by_wan_names, check_lora, read_lora
from emogen.models.weights import LORA_NAMES, WEIGHTS_NAME, check_state, expected_shapes, new_encoder, read_weights

ADAPTER = "EMOGEN_ADAPTER"
CATEGORY = "emogen"
FOLDER = "emogen"
"""Of adapters, within ComfyUI's models; also the name under which extra_model_paths.yaml may name others."""
EMBEDDED = {"embedded": embedded_adapter, "embedded, image to video": embedded_i2v_adapter}
LOW_NOISE = ("BOOLEAN", {"default": False, "tooltip": "this is Wan2.2's model for low noise"})


class LoadedAdapter:
    """An adapter's weights, not yet for a model.

    Args:
        folder: with `config.json` and `emotion_adapter.safetensors`.

    Raises:
        AdapterMismatchError: the folder holds no adapter, or a damaged one.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.config, self.state = read_weights(folder)
        self.encoder: EmotionEncoder | None = None
        self._made: dict[tuple[str, torch.dtype], Any] = {}

    def for_model(self, part: str, sizes: dict[str, int], layers: Iterable[str], dtype: torch.dtype) -> Any:
        """A `ModelPatcher` of `EmotionAttention`s, one for each cross-attention; the same one for the same model, so
        that the weights are there once however often a workflow runs.

        Args:
            part: "transformer", or "transformer_2", which is Wan2.2's for low noise.
            sizes: as `transformer_sizes` gives them.
            layers: diffusers' names of the cross-attentions, "blocks.0.attn2".
            dtype: to compute in.

        Raises:
            AdapterMismatchError: the adapter is for another model.
        """
        config = self.config.for_sizes(sizes)
        state = {name: value for name, value in self.state.items() if name.startswith(("encoder.", f"{part}."))}
        if not any(name.startswith(f"{part}.") for name in state):
            other = "off" if part == "transformer_2" else "on"
            raise AdapterMismatchError(f"{self.folder}: it has no weights for {part}; turn low_noise_model {other}")
        check_state(state, expected_shapes(config, {part: layers}), str(self.folder / WEIGHTS_NAME))
        if self.encoder is None:
            # Tokens are made once for an emotion; here, in float32.
            self.encoder = new_encoder(config).requires_grad_(False)
            prefix = "encoder."
            own = {name.removeprefix(prefix): v.float() for name, v in state.items() if name.startswith(prefix)}
            self.encoder.load_state_dict(own)
        if (part, dtype) not in self._made:
            self._made[part, dtype] = self._attentions(config, part, layers, dtype)
        return self._made[part, dtype]

    def _attentions(self, config: Any, part: str, layers: Iterable[str], dtype: torch.dtype) -> Any:
        import comfy.model_management as management
        import comfy.ops
        from comfy.model_patcher import ModelPatcher

        whole = nn.ModuleDict()
        for layer in layers:
            # ComfyUI's own linear layers: where memory is short they fetch their weights when they are called.
            attention = EmotionAttention(
                config.inner_dim, config.rank, config.head_dim, layers=comfy.ops.manual_cast, device="meta"
            )
            own = {name: self.state[f"{part}.{layer}.{name}"].to(dtype) for name in attention.state_dict()}
            attention.load_state_dict(own, assign=True)
            whole[module_name(layer)] = attention
        whole.requires_grad_(False).eval()
        return ModelPatcher(
            whole, load_device=management.get_torch_device(), offload_device=management.unet_offload_device()
        )


def module_name(layer: str) -> str:
    """A layer's name as a key of a `ModuleDict`."""
    return layer.replace(".", "-")


def adapter_folders() -> dict[str, Path]:
    """Name -> folder of every adapter in ComfyUI's folders of models."""
    import folder_paths

    root = str(Path(folder_paths.models_dir) / FOLDER)
    folder_paths.add_model_folder_path(FOLDER, root)
    found = {}
    for base in map(Path, folder_paths.get_folder_paths(FOLDER)):
        for file in sorted(base.rglob(WEIGHTS_NAME)):
            found.setdefault(file.parent.relative_to(base).as_posix(), file.parent)
    return found


class LoadEmotionAdapter:
    """An adapter of models/emogen, or one of those in the package."""

    DESCRIPTION = "Loads an adapter folder (config.json, emotion_adapter.safetensors) from models/emogen."
    RETURN_TYPES = (ADAPTER,)
    RETURN_NAMES = ("adapter",)
    FUNCTION = "load"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"name": ([*adapter_folders(), *EMBEDDED],)}}

    @classmethod
    def IS_CHANGED(cls, name: str) -> str:
        folder = Path(cls.folder_of(name))
        return " ".join(str(file.stat().st_mtime_ns) for file in sorted(folder.iterdir()))

    @staticmethod
    def folder_of(name: str) -> str:
        folders = adapter_folders()
        if name in folders:
            return str(folders[name])
        if name not in EMBEDDED:
            raise ValueError(f"there is no adapter {name!r} in models/{FOLDER}; put its folder there")
        return EMBEDDED[name]()

    def load(self, name: str) -> tuple[LoadedAdapter]:
        return (LoadedAdapter(self.folder_of(name)),)


class ApplyAdapterLora:
    """The LoRA that was trained with an adapter and lies beside it; no file has to be converted for this."""

    DESCRIPTION = "Applies the LoRA in the adapter's folder; an adapter trained with one needs it."
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "apply"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        strength = {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.05}
        return {
            "required": {"model": ("MODEL",), "adapter": (ADAPTER,), "strength": ("FLOAT", strength)},
            "optional": {"low_noise_model": LOW_NOISE},
        }

    def apply(self, model: Any, adapter: LoadedAdapter, strength: float, low_noise_model: bool = False) -> tuple[Any]:
        import comfy.sd

        if strength == 0:
            return (model,)
        file = adapter.folder / LORA_NAMES["transformer_2" if low_noise_model else "transformer"]
        if not file.is_file():
            raise ValueError(f"{file}: there is no such LoRA; this adapter was trained without, so leave this node out")
        lora = read_lora(file)
        check_lora(lora, "comfyui")
        patched, _ = comfy.sd.load_lora_for_models(model, None, by_wan_names(lora, keep_alpha=True), strength, 0)
        missing = len(lora.scales) - (len(patched.patches) - len(model.patches))
        if missing > 0 and not model.patches:
            raise ValueError(
                f"{adapter.folder}: {missing} layers of the LoRA are not in this model; load its base model"
            )
        return (patched,)
