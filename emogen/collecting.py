"""Python's search for garbage, held back where there is none."""

from __future__ import annotations

import atexit
import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def not_collecting() -> Iterator[None]:
    """While torch, diffusers, transformers and a model are loaded.

    They make more than a million objects that nearly all stay until the end. Looking for garbage among them, again and
    again while they are loaded and once more at the exit, takes a fifth of a short command's time. So it is held back
    within the block and at the exit, when memory goes back anyway; in between a model that is let go of is found.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
            atexit.unregister(gc.freeze)
            atexit.register(gc.freeze)
