"""Modules of one's own, named in a configuration: a metric or a kind of judge in a file outside of the package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def import_own(module: str) -> None:
    """Import a module by its name; it is also looked for in the working folder.

    Raises:
        ValueError: it cannot be imported; says why.
    """
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        importlib.import_module(module)
    except Exception as error:  # a module of one's own may fail in any way
        raise ValueError(f"{module}: cannot be imported ({type(error).__name__}: {error})") from error
    finally:
        sys.path.remove(here)
