"""Which versions of libraries made a file."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import emogen


def versions(*packages: str) -> dict[str, str]:
    """The versions here, under the packages' names and in their order; what is not installed is left out.

    They are read from the packages' metadata: nothing is imported for it.

    Args:
        packages: names of distributions; "python" is the interpreter, and "emogen" is known without being installed.
    """
    here = {"python": platform.python_version(), "emogen": emogen.__version__}
    found = {}
    for package in packages:
        try:
            found[package] = here.get(package) or version(package)
        except PackageNotFoundError:
            continue
    return found


def versions_in_clip() -> dict[str, str]:
    """What every clip's metadata says of the libraries that made it."""
    return versions("emogen", "diffusers", "torch")
