"""Packages of the npm registry: pinned by version and SHA-512, had with `npm pack`, which runs no scripts of theirs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from emogen.curation.stage import StageError
from emogen.files import atomic

_LONGEST = 1800.0  # seconds; the largest package has 250 MB


@dataclass(frozen=True)
class Package:
    """A pinned package.

    Args:
        name, version: as the registry has them.
        sha512: of the tarball, base64, as the registry's own `dist.integrity` says it.
    """

    name: str
    version: str
    sha512: str

    @property
    def folder(self) -> str:
        """Its name without the scope."""
        return self.name.rpartition("/")[2]


@contextlib.contextmanager
def tarball(package: Package, folder: str | Path) -> Iterator[Path]:
    """The package's tarball, checked, in a temporary folder below `folder`, which is made if it is missing.

    Raises:
        StageError: npm is missing or fails (its own words are given), or the tarball is not the one that is pinned.
    """
    if shutil.which("npm") is None:
        raise StageError("the pictures come from the npm registry, and npm is not installed; install Node.js")
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
        archive = _packed(package, Path(temporary))
        _check(package, archive)
        yield archive


def unpack(archive: Path, target: Path, wanted: Callable[[str], str | None]) -> int:
    """Take files out of a tarball; returns how many.

    Args:
        wanted: a name in the tarball -> what the file is called below `target`, or None to leave it. So no name in the
            tarball leads out of the folder.

    Raises:
        StageError: the tarball is damaged.
    """
    count = 0
    try:
        with atomic(target) as temporary, tarfile.open(archive) as tar:
            temporary.mkdir()
            for member in tar:
                name = wanted(member.name)
                if name and member.isfile():
                    (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                    (temporary / name).write_bytes(tar.extractfile(member).read())
                    count += 1
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise StageError(f"{archive.name} cannot be unpacked: {error}; fetch again") from error
    return count


def _packed(package: Package, folder: Path) -> Path:
    command = ["npm", "pack", "--ignore-scripts", "--silent", f"{package.name}@{package.version}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        raise StageError(f"{' '.join(command)} took longer than {_LONGEST:g} s; try again") from None
    found = list(folder.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        said = (done.stderr or done.stdout).strip()[-500:] or f"exit status {done.returncode}"
        raise StageError(f"{' '.join(command)} failed: {said}")
    return found[0]


def _check(package: Package, archive: Path) -> None:
    with open(archive, "rb") as file:
        digest = hashlib.sha512()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    found = base64.b64encode(digest.digest()).decode()
    if found != package.sha512:
        raise StageError(
            f"{package.name} {package.version}: the registry gave another tarball than the pinned one (sha512 "
            f"{found[:16]}..., not {package.sha512[:16]}...); nothing of it was unpacked. Check the registry npm uses"
        )
