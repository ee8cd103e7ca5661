"""A fresh environment: a virtual environment with this checkout's wheel in it, and nothing else of the checkout.

It sees the libraries of the Python that runs this, so nothing is downloaded, but not that Python's emogen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = {"emogen": "emogen", "pipelines": "emogen/pipelines", "eval": "emogen/eval"}
"""Folders of the checkout that are packages, and where they stand when installed."""
_HOOKS = "import sys, setuptools.build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"
_NOISE = shutil.ignore_patterns("__pycache__", "*.egg-info")


class NoPip(RuntimeError):
    """This Python has no pip to install with."""


def run(*command: str | Path, cwd: Path, timeout: float = 600) -> str:
    """What a command prints.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"TQDM_DISABLE": "1"}
    made = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)
    if made.returncode:
        raise RuntimeError(f"{command[0]}: exit status {made.returncode}\n{made.stdout[-2000:]}{made.stderr[-4000:]}")
    return made.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """The source distribution, and the wheel made of it, by the build backend that `pyproject.toml` names."""
    source = folder / "source"
    for name in (*ROOMS, "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=_NOISE)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, source)
    run(sys.executable, "-c", _HOOKS, "sdist", str(folder), cwd=source)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    run(sys.executable, "-c", _HOOKS, "wheel", str(folder), cwd=unpacked)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def install(wheel: Path, folder: Path) -> Path:
    """Make `folder/venv` with the wheel in it; returns its folder of programs.

    Raises:
        NoPip: this Python has no pip.
    """
    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # Lines of a .pth are put on the path without reading the .pth files there: an editable emogen stays unknown.
    shared = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "libraries.pth").write_text("\n".join(shared) + "\n")
    python = programs / "python"
    if subprocess.run([python, "-m", "pip", "--version"], cwd=folder, capture_output=True, timeout=120).returncode:
        raise NoPip(f"{sys.executable} has no pip")
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--ignore-installed"]
    run(python, "-m", "pip", "install", *options, str(wheel), cwd=folder)
    return programs
