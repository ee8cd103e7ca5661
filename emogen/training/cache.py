"""Encoded clips and captions on disk, one safetensors file each, named by everything that shaped them.

A latent's name is a hash of the clip's bytes, the autoencoder and the clip geometry; a text's of the caption,
the text encoder, the tokenizer and the length. Change any of these and the old files are simply not found,
so a cache is never stale and may be shared between runs. Files are written under a temporary name and
renamed, so an interrupted encoding leaves nothing half-written and continues where it stopped.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from emogen.data.records import ClipRecord
from emogen.training.clips import ClipGeometry

_FORMAT = "1"  # raise it when the meaning of the stored tensors changes
_WHOLE = 64 * 1024 * 1024  # files up to this size are hashed whole
_SAMPLE = 1024 * 1024


def fingerprint_file(path: Path) -> str:
    """SHA-256 of a file: of all bytes up to 64 MiB, beyond that of its size and 16 evenly spaced MiB (the
    first and last included), which separates any two checkpoints or videos met in practice at a
    thousandth of the reading."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _WHOLE:
            digest.update(file.read())
        else:
            for part in range(16):
                file.seek((size - _SAMPLE) * part // 15)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def fingerprint_folder(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's files."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: the model has no such folder; expected a diffusers Wan model")
    names = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{path.relative_to(folder)} {fingerprint_file(path)}" for path in names]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class LatentCache:
    """Where a run's latents and text embeddings lie.

    Args:
        folder: the cache folder, made if needed.
        model: the model's folder, with `vae`, `text_encoder` and `tokenizer` inside.
        geometry: size, frames, rate and text length that clips are encoded at.
    """

    def __init__(self, folder: str | Path, model: Path, geometry: ClipGeometry):
        self.folder = Path(folder)
        self.geometry = geometry
        self.text_length = geometry.max_sequence_length
        self._vae = fingerprint_folder(model / "vae")
        self._text = fingerprint_folder(model / "text_encoder") + fingerprint_folder(model / "tokenizer")
        self._keys: dict[Path, str] = {}

    def latents_path(self, record: ClipRecord) -> Path:
        """Raises OSError when the clip cannot be read."""
        if record.path not in self._keys:
            self._keys[record.path] = fingerprint_file(record.path)
        shape = self.geometry
        parts = (shape.height, shape.width, shape.num_frames, shape.fps, shape.short_clips)
        return self._path("latents", self._keys[record.path], self._vae, *parts)

    def text_path(self, caption: str) -> Path:
        return self._path("text", caption, self._text, self.text_length)

    def has_latents(self, record: ClipRecord) -> bool:
        try:
            return self.latents_path(record).is_file()
        except OSError:
            return False

    def has_text(self, caption: str) -> bool:
        return self.text_path(caption).is_file()

    def read_latents(self, record: ClipRecord) -> torch.Tensor:
        """[C, F, h, w], normalised, float16."""
        return load_file(self.latents_path(record))["latents"]

    def read_text(self, caption: str) -> torch.Tensor:
        """[tokens, text_dim]: the real tokens only; pad with zeros to `text_length`."""
        return load_file(self.text_path(caption))["embeds"]

    def write_latents(self, record: ClipRecord, latents: torch.Tensor) -> None:
        self._write(self.latents_path(record), "latents", latents.to(torch.float16))

    def write_text(self, caption: str, embeds: torch.Tensor) -> None:
        self._write(self.text_path(caption), "embeds", embeds)

    def _path(self, kind: str, *parts: object) -> Path:
        key = hashlib.sha256("\0".join((_FORMAT, kind, *map(str, parts))).encode()).hexdigest()
        return self.folder / kind / key[:2] / f"{key[2:40]}.safetensors"

    @staticmethod
    def _write(path: Path, name: str, tensor: torch.Tensor) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        save_file({name: tensor.detach().cpu().contiguous()}, temporary)
        os.replace(temporary, path)
