"""One rule for "already made": a thing is used again only if the recipe that made it is equal.

A recipe is a JSON value with all that decides what comes out: every option with its value (defaults included), prompt,
emotion, seed, the versions that matter, and the fingerprints of the weights used (`emogen.files`). Where the product is
one file, its recipe lies beside it in `.recipes/NAME.json`, with the product's own fingerprint, so that a file that was
cut or replaced afterwards counts as not made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emogen.files import fingerprint_file, write_json

FOLDER = ".recipes"

Recipe = Mapping[str, Any]


def note_made(product: str | Path, recipe: Recipe) -> None:
    """Write down by which recipe a file was made. Call it when the file is complete."""
    product = Path(product)
    write_json(_note(product), {"recipe": plain(recipe), "sha256": fingerprint_file(product)})


def why_not_made(product: str | Path, recipe: Recipe) -> str | None:
    """None if the file is there, whole, and made by an equal recipe; else the reason, to be said to the user."""
    product = Path(product)
    if not product.is_file():
        return "it is missing"
    try:
        note = json.loads(_note(product).read_text(encoding="utf-8"))
        before, digest = note["recipe"], note["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return "nothing says how it was made"
    differing = differences(before, recipe)
    if differing:
        return f"it was made with another {', '.join(differing[:3])}"
    if fingerprint_file(product) != digest:
        return "its contents have changed since it was made"
    return None


def differences(before: Recipe, now: Recipe, prefix: str = "") -> list[str]:
    """The dotted names of what differs between two recipes."""
    before, now = plain(before), plain(now)
    found: list[str] = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new or (name in before) != (name in now):
            found.append(f"{prefix}{name}")
    return found


def plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON gives it back (tuples become lists), so that one just made equals one read from a file."""
    return json.loads(json.dumps(recipe, sort_keys=True))


def _note(product: Path) -> Path:
    return product.parent / FOLDER / f"{product.name}.json"
