"""Files that are whole or not there, folders that one process writes at a time, and fingerprints of what files hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LOCK_NAME = ".emogen.lock"
_STALE = 600.0  # seconds after which the lock of a process on another host, which cannot be asked, counts as left over
_CHUNK = 1 << 20
_READ_WHOLE = 64 << 20


# `atomic`'s names, and those of versions before it
_TEMPORARY = re.compile(r"\.[0-9a-f]{12}\.\d+(\.\w+)?|\.checkpoint-\d+\.\d+|\.pytorch_lora_weights\.\d+\.safetensors")


class FolderInUse(RuntimeError):
    """Another process writes into the folder; the message names the process and its host."""


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending, to write a file or a folder at.

    When the block ends, the file is flushed to the disk and takes its name in one step, in place of what had it. When
    the block raises, nothing is left and what was there stays. The folder of `path` is made if it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for every write: threads of one process may write the same file.
    temporary = path.with_name(f".{secrets.token_hex(6)}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        _open_to_all(temporary)
        _flush(temporary)
        if path.is_dir() and not path.is_symlink() and temporary.is_dir():
            _swap_folders(temporary, path)
        else:
            os.replace(temporary, path)
        _flush_names(path.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | Path) -> list[str]:
    """Remove what `atomic` had begun beside its files in a folder when its process died. Call it as `only_writer`.

    Returns:
        The names of what was removed.
    """
    removed = []
    for path in Path(folder).iterdir() if Path(folder).is_dir() else ():
        if _TEMPORARY.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            removed.append(path.name)
    return removed


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a whole file in one step (see `atomic`)."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write a whole file in UTF-8, in one step (see `atomic`). Line ends are written as they are."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: str | Path, content: Any, indent: int | None = 2) -> None:
    """Write JSON in one step (see `atomic`).

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    write_text(path, json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def fingerprint_bytes(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def fingerprint_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fingerprint_sample(path: str | Path) -> str:
    """SHA-256 of a large file's size and of 16 evenly spaced MiB of it, the first and last included; up to 64 MiB, of
    its size and all bytes. It separates any two checkpoints or videos met in practice, a thousand times as fast."""
    size = os.stat(path).st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        if size <= _READ_WHOLE:
            digest.update(file.read())
        else:
            for part in range(16):
                file.seek((size - _CHUNK) * part // 15)
                digest.update(file.read(_CHUNK))
    return digest.hexdigest()


def fingerprint_folder(
    folder: str | Path, pattern: str = "*", of_file: Callable[[Path], str] = fingerprint_file
) -> str:
    """SHA-256 over the names and bytes of a folder's files, hidden ones left out. The folder's own place and the files'
    times do not count.

    Args:
        of_file: how a file's bytes are taken; `fingerprint_sample` for folders of gigabytes.
    """
    folder = Path(folder)
    paths = sorted(
        path
        for path in folder.rglob(pattern)
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    lines = [f"{path.relative_to(folder).as_posix()} {of_file(path)}" for path in paths]
    return fingerprint_bytes("\n".join(lines).encode())


def fingerprint_value(value: Any) -> str:
    """SHA-256 of a JSON value; the order of keys does not count."""
    return fingerprint_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())


@contextlib.contextmanager
def only_writer(folder: str | Path) -> Iterator[None]:
    """While the block runs, this process alone writes into the folder, which is made if it is missing.

    The lock of a process that is dead is taken over.

    Raises:
        FolderInUse: another process holds the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK_NAME
    mine = {"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())}
    while True:
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            other = _holder(lock)
            if other is not None:
                raise FolderInUse(
                    f"{folder}: process {other['pid']} on {other['host']} is writing here; wait for it, or choose "
                    f"another output folder (if it is gone, remove {lock})"
                ) from None
            lock.unlink(missing_ok=True)
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(mine, file)
        break
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _holder(lock: Path) -> dict[str, Any] | None:
    """The living process that holds a lock, or None."""
    try:
        age = time.time() - lock.stat().st_mtime
        other = json.loads(lock.read_text(encoding="utf-8"))
        other["pid"], other["host"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return {"pid": "?", "host": "?"} if age < 5 else None  # being written just now, or torn
    if other["host"] != socket.gethostname():
        return other if age < _STALE else None
    return other if _started(other["pid"]) not in (None, "") and _same_start(other) else None


def _same_start(other: dict[str, Any]) -> bool:
    """Whether the process of that number is still the one that took the lock, not a later one."""
    return other.get("started") in (None, "", _started(other["pid"]))


def _started(pid: int) -> str | None:
    """When a process of this machine began, as text; None if there is none."""
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except (psutil.Error, ValueError, TypeError):
        return None


def _open_to_all(path: Path) -> None:
    """Give a file, or the files of a folder, the permissions that the user's umask leaves: some libraries write files
    that only their owner can read."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        with contextlib.suppress(OSError):  # some file systems have none
            file.chmod(0o666 & ~_umask())


def _umask() -> int:
    with contextlib.suppress(OSError, StopIteration):  # read without setting it, which would touch other threads
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    umask = os.umask(0o022)
    os.umask(umask)
    return umask


def _flush(path: Path) -> None:
    """Bring a file, or the files of a folder, to the disk: a rename must not outlive its contents in a power cut."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        with open(file, "rb") as handle, contextlib.suppress(OSError):
            os.fsync(handle.fileno())


def _flush_names(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap_folders(new: Path, old: Path) -> None:
    """A folder cannot be replaced in one step: the old one steps aside first."""
    aside = old.with_name(f".{secrets.token_hex(6)}.{os.getpid()}.old")
    os.replace(old, aside)
    os.replace(new, old)
    shutil.rmtree(aside, ignore_errors=True)
