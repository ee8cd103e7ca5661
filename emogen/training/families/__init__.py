"""Model families: one file each, and `family_of`, which finds the one of a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emogen.pipelines.model_files import is_in_files
from emogen.training.families.base import EmotionModel, Expert, Family, ModelFolderError
from emogen.training.families.wan import WanFamily
from emogen.training.families.wan22 import Wan22Family

__all__ = [
    "FAMILIES", "EmotionModel", "Expert", "Family", "ModelFolderError", "family_class", "family_of", "resolve_model",
]  # fmt: skip

FAMILIES: list[type[Family]] = [Wan22Family, WanFamily]


def family_of(folder: Path) -> Family:
    """Read a checkpoint in diffusers' format by the file of its family.

    Raises:
        ModelFolderError: it is none, or of a family or kind that is not trained here.
    """
    path = folder / "transformer" / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ModelFolderError(f"{path}: cannot be read: {error}; expected a model in diffusers' format") from error
    return family_class(config, folder).from_folder(folder)


def family_class(config: Mapping[str, Any], folder: Path | None = None) -> type[Family]:
    """The family of a transformer's configuration (its `config.json`) and of the checkpoint's folder.

    Raises:
        ModelFolderError: none knows it.
    """
    for family in FAMILIES:
        if family.takes(config, folder):
            return family
    known = ", ".join(dict.fromkeys(family.transformer_class for family in FAMILIES))
    what = "the transformer's configuration" if folder is None else f"{folder}/transformer"
    raise ModelFolderError(f"{what} is a {config.get('_class_name')}; a {known} is needed")


def resolve_model(path: str, revision: str | None = None) -> Path:
    """The local folder of a model: a folder, "embedded", "embedded_i2v", or a hub id (downloaded on first use).

    Raises:
        FileNotFoundError: it is none of these.
        ModelFolderError: it is a model in files; says how to convert it.
    """
    if path in ("embedded", "embedded_i2v"):
        from emogen.embedded import embedded_i2v_model, embedded_model

        return Path(embedded_model() if path == "embedded" else embedded_i2v_model())
    if not Path(path).is_dir() and is_in_files(
        path
    ):  # none is downloaded, and what the hub would say of a file helps nobody
        where = f"model.pretrained_model_name_or_path: {path!r}"
        if Path(path).exists():
            raise ModelFolderError(
                f"{where} is in files; training takes diffusers' format: write it with `emogen convert {path} FOLDER "
                "--to diffusers`"
            )
        raise FileNotFoundError(f"{where}: no such file")
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        unused = ["*.bin", "*.pth", "*.msgpack"]
        return Path(snapshot_download(path, revision=revision, ignore_patterns=unused))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise FileNotFoundError(
            f'model.pretrained_model_name_or_path: {path!r} is neither a folder, nor "embedded", nor a model on the '
            f"hub: {error}"
        ) from error
