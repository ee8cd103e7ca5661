"""How to install an optional part of emogen, said in one place.

The name `emogen` on the package registry belongs to somebody else, so no message may tell people to install that.
Until this distribution has a name of its own, an extra is installed from the checkout.
"""

from __future__ import annotations

EXTRAS = (
    "test",
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
