"""Encoded clips and captions on disk, one safetensors file each, named by everything that shaped them.

A clip's name is a hash of its bytes, of the encoders that read it and of the size and rate it is brought to; a text's
of the caption, the text encoder, the tokenizer and the length. Change any of these and the old files are simply not
found, so a cache is never stale and may be shared between runs. Files are written under a temporary name and
renamed, so an interrupted encoding leaves nothing half-written and continues where it stopped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from emogen.media.limits import DEFAULT_LIMITS, Limits
from emogen.training.data.clips import PlannedClip
from emogen.training.families.wan import WanSpecification

_FORMAT = "3"  # raise it when the meaning of the stored tensors changes
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
        specification: the model, whose autoencoder and text encoder the files depend on.
        fps: frames a second that clips are brought to.
        short_clips: how too short clips are lengthened (see `load_clip`).
        text_length: text tokens after padding.
        limits: what a clip's file may hold.
    """

    def __init__(
        self,
        folder: str | Path,
        specification: WanSpecification,
        fps: float,
        short_clips: str,
        text_length: int,
        limits: Limits = DEFAULT_LIMITS,
    ):
        self.folder = Path(folder)
        self.specification = specification
        self.fps, self.short_clips, self.text_length, self.limits = fps, short_clips, text_length, limits
        model = specification.folder
        self._text = fingerprint_folder(model / "text_encoder") + fingerprint_folder(model / "tokenizer")
        self._encoders = fingerprint_folder(model / "vae") + specification.kind
        if specification.image_branch:
            self._encoders += fingerprint_folder(model / "image_encoder")
            self._encoders += fingerprint_folder(model / "image_processor")
        self._keys: dict[Path, str] = {}

    def clip_path(self, clip: PlannedClip) -> Path:
        """Raises OSError when the clip cannot be read."""
        path = clip.record.path
        if path not in self._keys:
            self._keys[path] = fingerprint_file(path)
        size = (clip.bucket.height, clip.bucket.width, clip.bucket.num_frames)
        return self._path("latents", self._keys[path], self._encoders, *size, self.fps, self.short_clips)

    def text_path(self, caption: str) -> Path:
        return self._path("text", caption, self._text, self.text_length)

    def has_clip(self, clip: PlannedClip) -> bool:
        try:
            return self.clip_path(clip).is_file()
        except OSError:
            return False

    def has_text(self, caption: str) -> bool:
        return self.text_path(caption).is_file()

    def read_clip(self, clip: PlannedClip) -> dict[str, torch.Tensor]:
        """`latents` [C, F, h, w], normalised, float16; for image-to-video also `condition` [temporal + C, F, h, w]
        and, with an image branch, `image` [tokens, dim]."""
        return load_file(self.clip_path(clip))

    def read_text(self, caption: str) -> torch.Tensor:
        """[tokens, text_dim]: the real tokens only; pad with zeros to `text_length`."""
        return load_file(self.text_path(caption))["embeds"]

    def write_clip(self, clip: PlannedClip, tensors: Mapping[str, torch.Tensor]) -> None:
        self._write(self.clip_path(clip), {name: value.to(torch.float16) for name, value in tensors.items()})

    def write_text(self, caption: str, embeds: torch.Tensor) -> None:
        self._write(self.text_path(caption), {"embeds": embeds})

    def _path(self, kind: str, *parts: object) -> Path:
        key = hashlib.sha256("\0".join((_FORMAT, kind, *map(str, parts))).encode()).hexdigest()
        return self.folder / kind / key[:2] / f"{key[2:40]}.safetensors"

    @staticmethod
    def _write(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
