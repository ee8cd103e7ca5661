"""What a model generates when a call does not say: `generation_config.json` beside `model_index.json`."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from emogen.files import write_json

FILE_NAME = "generation_config.json"


@dataclass(frozen=True)
class GenerationDefaults:
    """Arguments of a call that the model's folder sets; None leaves the stock pipeline's own default.

    Args:
        height, width: of the video, in pixels.
        num_frames: video frames, 4k + 1 for Wan.
        num_inference_steps, guidance_scale, max_sequence_length, negative_prompt: as in the pipeline's call.
        fps: frames per second of the model's videos.
    """

    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    max_sequence_length: int | None = None
    negative_prompt: str | None = None
    fps: float = 16

    @cached_property
    def call_arguments(self) -> dict[str, Any]:
        """The arguments for a call that are set."""
        values = dataclasses.asdict(self)
        del values["fps"]
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_file(cls, path: str | Path) -> GenerationDefaults:
        """Read a `generation_config.json`; keys that begin with an underscore are remarks.

        Raises:
            ValueError: not JSON, an unknown key, or a value of another type; names file and key.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: not JSON (line {error.lineno}: {error.msg})") from error
        if not isinstance(values, dict):
            raise ValueError(f"{path}: holds a {type(values).__name__} where an object belongs")
        values = {name: value for name, value in values.items() if not name.startswith("_") and value is not None}
        known = {field.name: field.type for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"{path}: unknown key {name!r}; known are {', '.join(known)}")
            _check(path, name, value, known[name])
        return cls(**values)

    @classmethod
    def from_pretrained(cls, source: str | Path, **hub: Any) -> GenerationDefaults:
        """Of a model's folder or hub id; without the file, stock defaults.

        Args:
            hub: `cache_dir`, `token`, `revision`, `local_files_only`, `force_download` of huggingface_hub.

        Raises:
            ValueError: the file is wrong.
        """
        if os.path.isdir(source):
            path = Path(source) / FILE_NAME
            return cls.from_file(path) if path.is_file() else cls()
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

        try:
            return cls.from_file(hf_hub_download(str(source), FILE_NAME, **hub))
        except (EntryNotFoundError, HfHubHTTPError, OSError):
            return cls()

    def save(self, folder: str | Path) -> None:
        """Write `generation_config.json` into a folder."""
        values = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        write_json(Path(folder) / FILE_NAME, values)


def _check(path: str | Path, name: str, value: Any, annotation: str) -> None:
    if "str" in annotation:
        good = isinstance(value, str)
    else:
        kinds = (int, float) if "float" in annotation else (int,)
        good = isinstance(value, kinds) and not isinstance(value, bool) and value >= (0 if "float" in annotation else 1)
    if not good:
        raise ValueError(f"{path}: {name} is {value!r}; it must be {annotation.removesuffix(' | None')} and positive")
