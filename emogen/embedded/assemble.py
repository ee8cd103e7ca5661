"""A model folder from parts that several embedded models share, made once in the user's cache.

The image-to-video model has the text-to-video model's autoencoder, text encoder, tokenizer and scheduler. In the
package they lie once; diffusers wants them in one folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_CACHE_VARIABLE = "EMOGEN_CACHE"


def cache_home() -> Path:
    """`$EMOGEN_CACHE`, or `emogen` beside what Hugging Face's libraries cache."""
    given = os.environ.get(_CACHE_VARIABLE)
    if given:
        return Path(given)
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "emogen"


@dataclass(frozen=True)
class Made:
    """A file that is made from others.

    Attributes:
        sources: the others. write: called with them and the path to write to.
    """

    sources: tuple[Path, ...]
    write: Callable[..., None]


def assemble(name: str, parts: Mapping[str, Path], made: Mapping[str, Made] | None = None) -> Path:
    """The folder in which every part stands under its name; files are linked, or copied where links cannot be.

    Args:
        name: what the folder is called, beside a fingerprint of its contents: another version gets another folder.
        parts: path within the folder -> file or folder.
        made: path within the folder -> a file that is made.

    Raises:
        OSError: neither the cache nor a temporary folder can be written to.
    """
    files = dict(sorted(_files(parts)))
    digest = hashlib.sha256()
    for inside, source in files.items():
        digest.update(inside.encode() + source.read_bytes())
    made = made or {}
    for inside, recipe in sorted(made.items()):
        digest.update(inside.encode() + b"".join(source.read_bytes() for source in recipe.sources))
    folder = f"{name}-{digest.hexdigest()[:16]}"
    for home in (cache_home(), Path(tempfile.gettempdir()) / f"emogen-{os.getuid() if hasattr(os, 'getuid') else 0}"):
        target = home / folder
        if target.is_dir():
            return target
        try:
            home.mkdir(parents=True, exist_ok=True)
            _build(target, files, made)
            return target
        except PermissionError:
            continue
    raise OSError(f"{cache_home()} cannot be written to; set {_CACHE_VARIABLE} to a folder that can")


def _files(parts: Mapping[str, Path]):
    for inside, source in parts.items():
        if source.is_file():
            yield inside, source
        for path in source.rglob("*") if source.is_dir() else ():
            if path.is_file():
                yield f"{inside}/{path.relative_to(source).as_posix()}", path


def _build(target: Path, files: Mapping[str, Path], made: Mapping[str, Made]) -> None:
    """Make the folder under another name first, so that it is whole wherever it is seen."""
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}"))
    try:
        for inside, source in files.items():
            path = temporary / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, path)
            except OSError:
                shutil.copyfile(source, path)
        for inside, recipe in made.items():
            (temporary / inside).parent.mkdir(parents=True, exist_ok=True)
            recipe.write(*recipe.sources, temporary / inside)
        temporary.chmod(0o755)
        os.replace(temporary, target)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not target.is_dir():  # else another process was faster
            raise
