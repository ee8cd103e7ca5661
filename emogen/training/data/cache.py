"""Encoded clips and captions on disk, one safetensors file each, named by everything that shaped them.

A clip's name is a hash of its bytes, of the encoders that read it and of the size and rate it is brought to; a text's
of the caption, the text encoder, the tokenizer and the length. Change any of these and the old files are simply not
found, so a cache is never stale and may be shared between runs. Files are written under a temporary name and
renamed, so an interrupted encoding leaves nothing half-written and continues where it stopped. A file that is damaged
afterwards is made again: each carries a checksum of its contents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from emogen.files import atomic, fingerprint_bytes, fingerprint_folder, fingerprint_sample
from emogen.media.limits import DEFAULT_LIMITS, Limits
from emogen.training.data.clips import PlannedClip

_FORMATS = {"latents": "3", "text": "2"}  # raise one when the meaning of the stored tensors changes
_CHECKSUM = "sha256"


def encoder_fingerprint(folders: list[Path]) -> str:
    """Of the encoders in these folders, by their contents.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: the model has no such folder")
    return "".join(fingerprint_folder(folder, of_file=fingerprint_sample) for folder in folders)


class LatentCache:
    """Where a run's latents and text embeddings lie.

    Args:
        folder: the cache folder, made if needed.
        text_key, clip_key: what the files depend on beside caption and clip: the encoders' fingerprints.
        fps: frames a second that clips are brought to.
        short_clips: how too short clips are lengthened (see `load_clip`).
        text_length: text tokens after padding.
        limits: what a clip's file may hold.
    """

    def __init__(
        self, folder: str | Path, text_key: str, clip_key: str, fps: float, short_clips: str, text_length: int,
        limits: Limits = DEFAULT_LIMITS,
    ):  # fmt: skip
        self.folder = Path(folder)
        self.fps, self.short_clips, self.text_length, self.limits = fps, short_clips, text_length, limits
        self._text, self._encoders = text_key, clip_key
        self._keys: dict[Path, str] = {}

    def clip_path(self, clip: PlannedClip) -> Path:
        """Raises OSError when the clip cannot be read."""
        path = clip.record.path
        if path not in self._keys:
            self._keys[path] = fingerprint_sample(path)
        size = (clip.bucket.height, clip.bucket.width, clip.bucket.num_frames)
        return self._path("latents", self._keys[path], self._encoders, *size, self.fps, self.short_clips)

    def text_path(self, caption: str) -> Path:
        return self._path("text", caption, self._text, self.text_length)

    def clip_state(self, clip: PlannedClip, thorough: bool = True) -> str:
        """ "whole", "missing" (also where the clip itself cannot be read), or why its file is damaged.

        Args:
            thorough: compare the contents with their checksum; otherwise look at the file's size and header.
        """
        try:
            return _state(self.clip_path(clip), thorough)
        except OSError:
            return "missing"

    def text_state(self, caption: str, thorough: bool = True) -> str:
        """As `clip_state`."""
        return _state(self.text_path(caption), thorough)

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
        key = fingerprint_bytes("\0".join((_FORMATS[kind], kind, *map(str, parts))).encode())
        return self.folder / kind / key[:2] / f"{key[2:40]}.safetensors"

    @staticmethod
    def _write(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        with atomic(path) as temporary:
            save_file(plain, temporary, metadata={_CHECKSUM: _checksum(plain)})


def _state(path: Path, thorough: bool) -> str:
    if not path.is_file():
        return "missing"
    try:
        with safe_open(path, "pt") as file:  # the header says how long the file must be
            expected = (file.metadata() or {}).get(_CHECKSUM)
        if thorough and expected is not None and _checksum(load_file(path)) != expected:
            return f"{path}: its contents have changed since it was written"
    except (SafetensorError, OSError, ValueError) as error:
        return f"{path}: {error}"
    return "whole"


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
