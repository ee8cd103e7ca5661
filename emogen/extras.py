"""How to install an optional part of emogen, said in one place.

The name `emogen` on the package registry belongs to somebody else, so no message may tell people to install that.
This distribution is called `emogen-video`. It is not published yet, so an extra is installed from the checkout. On the
day it is published, `how_to_install` changes and every message with it.
"""

from __future__ import annotations

DISTRIBUTION = "emogen-video"
"""The name in `pyproject.toml`; the package is imported as `emogen`."""

EXTRAS = (
    "test",
    "docs",
    "xformers",
    "deepspeed",
    "track",
    "plot",
    "data",
    "parquet",
    "recipe",
    "eval",
    "lpips",
    "studio",
    "ray",
    "suggest",
    "sound",
    "umap",
    "analysis",
)
"""The extras that `pyproject.toml` declares."""


def how_to_install(*extras: str) -> str:
    """The command, to be run in emogen's checkout, that adds extras: `pip install -e ".[studio]"`.

    Raises:
        ValueError: there is no such extra.
    """
    for extra in extras:
        if extra not in EXTRAS:
            raise ValueError(f"there is no extra {extra!r}; there are {', '.join(EXTRAS)}")
    return f'pip install -e ".[{",".join(extras)}]"' if extras else "pip install -e ."
