"""Damage done to a tree of settings or results: keys deleted and renamed, values replaced by those of other types."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

ODD = [None, 5, -1, 1.5, "x", "", "\0", [], [5], ["a"], [["a"]], {}, {"a": 1}, {"a": {"b": [None]}}, True, float("nan"),
       float("inf"), 2**70, 10**400, "9" * 400, "../../etc/passwd", "\ud800"]  # fmt: skip
"""Values that hardly any key takes all of."""


def places(tree: Any, key: tuple = ()) -> Iterator[tuple]:
    """Every key and list place of a tree, from the outside in; of lists the first two entries."""
    entries = tree.items() if isinstance(tree, dict) else list(enumerate(tree))[:2] if isinstance(tree, list) else ()
    for name, value in entries:
        yield (*key, name)
        yield from places(value, (*key, name))


def damaged(tree: Any, count: int, seed: int = 0, deep: int = 99) -> Iterator[tuple[str, Any]]:
    """(what was done, a copy with it) `count` times, by a fixed lot; no key deeper than `deep`."""
    lot = random.Random(seed)
    every = [key for key in places(tree) if len(key) <= deep]
    for _ in range(count):
        key = lot.choice(every)
        made = copy.deepcopy(tree)
        inside = made
        for part in key[:-1]:
            inside = inside[part]
        what = lot.choice(("delete", "rename", "replace", "replace", "replace", "replace"))
        if what == "delete":
            del inside[key[-1]]
        elif what == "rename" and isinstance(inside, dict):
            inside[f"{key[-1]}s"] = inside.pop(key[-1])
        else:
            value = lot.choice(ODD)
            what = f"replace by {str(value)[:20]!r}"
            inside[key[-1]] = copy.deepcopy(value)
        yield f"{what}: {'.'.join(map(str, key))}", made
