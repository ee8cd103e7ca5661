"""By which recipe a clip is made: a clip of a used folder is taken again only if its recipe is equal (`emogen.made`).

A recipe names all that decides what comes out: prompt, emotion, seed, every option of the call with its value (defaults
included), versions, and the model's and the adapter's weights by their content, wherever they lie.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from emogen.eval.benchmark.config import SystemConfig
from emogen.files import fingerprint_bytes, fingerprint_file, fingerprint_value
from emogen.made import Recipe
from emogen.pipelines.composition import LoraOptions, lora_specs
from emogen.pipelines.presets import loras_for
from emogen.versions import versions

_SAMPLE, _SAMPLES, _WHOLE = 1 << 18, 64, 1 << 25
_MODEL_FILES = (".safetensors", ".bin", ".json", ".model", ".txt", ".gguf")
_PLAIN = (bool, int, float, str, type(None))


class Recipes:
    """Recipes of the clips of one run; weights are read once a run.

    Args:
        generation: options of every system's call.
    """

    def __init__(self, generation: Mapping[str, Any]):
        self.generation = generation
        self._weights: dict[tuple[str, Callable, bool], Any] = {}
        self._defaults: dict[tuple[str | None, bool], dict[str, Any]] = {}
        self._versions = _versions()

    def sampled(self, system: SystemConfig, ask: Mapping[str, Any]) -> Recipe:
        """Of a clip that a model makes.

        Args:
            ask: what is asked of the system: prompt, emotion, seed and whatever else changes the clip.
        """
        kind = system.pipeline, system.image
        if kind not in self._defaults:
            self._defaults[kind] = default_options(system)
        options = {**self._defaults[kind], **system.options(self.generation)}
        adapter = self._of(system.adapter, _adapter_print, system.image)
        return {
            "ask": dict(ask), "options": {name: _plain(value) for name, value in options.items()},
            "way": {key: getattr(system, key) for key in ("emotion", "load", "image", "pipeline")} | self._more(system),
            "weights": {"model": self._of(system.model, _model_print, system.image), "adapter": adapter},
            "versions": self._versions,
        }  # fmt: skip

    def drawn(self, sticker: Any) -> Recipe:
        """Of a sticker that is drawn."""
        return {"sticker": dataclasses.asdict(sticker), "versions": {"emogen": self._versions["emogen"]}}

    def _more(self, system: SystemConfig) -> dict[str, Any]:
        """The preset, and every LoRA by its content with its weight; nothing where there is none."""
        kind = "image" if system.image else "text"
        loras = loras_for(system.preset, system.model, kind, LoraOptions(lora_specs(system.lora)))
        found = [[self._of(spec.source, _adapter_print, system.image), spec.weight] for spec in loras.specs]
        return {name: value for name, value in (("preset", system.preset), ("lora", found)) if value}

    def _of(self, source: str | None, read: Callable[[Path], str], image: bool) -> Any:
        from emogen.pipelines.loading import find_adapter, find_model

        if source is None or source == "none":
            return None
        key = source, read, image  # "embedded" is another model for pictures
        if key not in self._weights:
            find = find_adapter if read is _adapter_print else find_model
            folder = Path(find(source, "image" if image else "text"))
            found = read(folder) if folder.exists() else _revision(source)
            if found is None:
                return source  # not downloaded yet: known once it is
            self._weights[key] = found
        return self._weights[key]


def picture_print(path: str) -> str:
    """A picture by its content."""
    return fingerprint_file(path)


def default_options(system: SystemConfig) -> dict[str, Any]:
    """The plain defaults of the pipeline's call."""
    import diffusers

    from emogen import pipelines

    if system.pipeline is not None:
        cls = getattr(diffusers, system.pipeline, object)
    else:
        cls = pipelines.EmotionWanImageToVideoPipeline if system.image else pipelines.EmotionWanPipeline
    found: dict[str, Any] = {}
    for one in reversed(cls.__mro__):  # a call of `**kwargs` has the defaults of the class that it extends
        if "__call__" in vars(one) and one is not type:
            for name, parameter in inspect.signature(vars(one)["__call__"]).parameters.items():
                if isinstance(parameter.default, _PLAIN):
                    found[name] = parameter.default
    return found


def fingerprint_large(path: Path) -> str:
    """A file by its size and content; of more than 32 MB, 64 evenly spaced pieces of 256 kB, first and last among
    them."""
    size = path.stat().st_size
    if size <= _WHOLE:
        return fingerprint_file(path)
    parts = [str(size).encode()]
    with path.open("rb") as file:
        for index in range(_SAMPLES):
            file.seek((size - _SAMPLE) * index // (_SAMPLES - 1))
            parts.append(file.read(_SAMPLE))
    return fingerprint_bytes(b"".join(parts))


def _model_print(path: Path) -> str:
    return _files_print(path, path.rglob("*"))


def _adapter_print(path: Path) -> str:
    return _files_print(path, path.glob("*"))  # a run's checkpoints lie below


def _files_print(path: Path, files: Any) -> str:
    if path.is_file():
        return fingerprint_large(path)
    chosen = [file for file in files if file.is_file() and file.suffix in _MODEL_FILES
              and not any(part.startswith(".") for part in file.relative_to(path).parts)]  # fmt: skip
    return fingerprint_value({file.relative_to(path).as_posix(): fingerprint_large(file) for file in sorted(chosen)})


def _revision(source: str) -> str | None:
    """The revision of a hub id that is in the cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for name in ("model_index.json", "config.json", "emotion_adapter.safetensors", "pytorch_lora_weights.safetensors"):
        try:
            found = try_to_load_from_cache(source, name)
        except HFValidationError:
            return None
        if isinstance(found, str):
            return f"{source}@{Path(found).parent.name}"
    return None


def _versions() -> dict[str, str]:
    """Versions that decide what a pipeline makes; of torch without the build, which may differ from machine to machine
    that share a folder."""
    found = versions("emogen", "torch", "diffusers", "transformers")
    return {name: version.partition("+")[0] for name, version in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if isinstance(value, _PLAIN) else repr(value)
