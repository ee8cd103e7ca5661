"""Clips or latents in numbered files, so that making them can be stopped at any moment and shared by processes.

A store is a folder of `00000.safetensors`, `00001.safetensors`, ... with a fixed number of items a file: arrays whose
first axis is the item, and the items' records as JSON in the file's metadata. A file is whole or not there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from emogen.files import atomic, write_json
from recipe.progress import clock

Make = Callable[[range], tuple[dict[str, np.ndarray], list[dict]]]
"""The arrays and records of a range of items."""


class Store:
    """A whole store, for reading; arrays are read from the disk as they are asked for.

    Raises:
        FileNotFoundError: it was not made, or not to the end.
    """

    def __init__(self, folder: Path):
        about = folder / "store.json"
        if not about.is_file():
            raise FileNotFoundError(f"{folder} is no whole store; run the stage that makes it")
        self._shard = json.loads(about.read_text(encoding="utf-8"))["shard"]
        self._files = [safe_open(path, "np") for path in sorted(folder.glob("*.safetensors"))]
        self.records: list[dict] = [r for file in self._files for r in json.loads(file.metadata()["records"])]

    def __len__(self) -> int:
        return len(self.records)

    def read(self, name: str, index: int) -> np.ndarray:
        """One item of an array."""
        file, inner = divmod(int(index), self._shard)
        return self._files[file].get_slice(name)[inner]

    def read_all(self, name: str, indices: list[int] | range | None = None) -> np.ndarray:
        """Several items, or all, in memory."""
        if indices is None:
            return np.concatenate([file.get_tensor(name) for file in self._files])
        return np.stack([self.read(name, index) for index in indices])


def write(folder: Path, count: int, shard: int, make: Make) -> None:
    """Make a store's missing files; with several processes (`RANK`, `WORLD_SIZE`) each makes its part.

    Args:
        make: must give the same for the same range, whichever ranges came before.
    """
    if (folder / "store.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    parts = list(_ranges(count, shard))
    missing = [(n, part) for n, part in parts if not _file(folder, n).is_file() and n % world == rank]
    start = time.monotonic()
    for done, (number, part) in enumerate(missing, 1):
        arrays, records = make(part)
        with atomic(_file(folder, number)) as temporary:
            contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
            save_file(contiguous, temporary, {"records": json.dumps(records)})
        left = (time.monotonic() - start) / done * (len(missing) - done)
        print(f"{folder.name} {part.stop}/{count} left {clock(left)}", flush=True)
    while not all(_file(folder, number).is_file() for number, _ in parts):  # another process is still at it
        time.sleep(0.5)
    if rank == 0:
        write_json(folder / "store.json", {"count": count, "shard": shard})


def progress(folder: Path) -> int:
    """How many files of a store are there."""
    return len(list(folder.glob("*.safetensors")))


def _ranges(count: int, shard: int) -> Iterator[tuple[int, range]]:
    for number, start in enumerate(range(0, count, shard)):
        yield number, range(start, min(start + shard, count))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.safetensors"
