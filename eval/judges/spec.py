"""What a judge's specification may say, checked without loading anything."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMON = ("kind", "name", "temperature", "card", "licence")
KINDS: dict[str, tuple[str, ...]] = {
    "embedded": (),
    "embedded_blends": (),
    "classifier": ("folder",),
    "probe": ("folder", "encoder"),
    "clip": ("model", "frames"),
    "vlm": ("model", "frames", "question", "scoring", "batch_size", "dtype", "trust_remote_code"),
    "ensemble": ("members", "weights", "mean"),
}
"""Kind -> the keys it takes besides `COMMON`."""
NEEDED = {"classifier": "folder", "probe": "folder", "clip": "model", "vlm": "model", "ensemble": "members"}


class JudgeError(ValueError):
    """A judge's specification, folder, data or card is wrong; the message names which and the way out."""


def check_spec(spec: str | Mapping[str, Any], where: str = "judge") -> None:
    """Check the form of a specification: the kind, its keys and their types. Weights are not looked for.

    Args:
        spec: "embedded", "embedded_blends", a folder, or a mapping with `kind`.
        where: what messages begin with.

    Raises:
        JudgeError: naming the key and the nearest known one.
    """
    if isinstance(spec, str):
        if not spec.strip():
            raise JudgeError(f"{where}: is empty; say embedded, a judge's folder, or {{kind: ...}}")
        return
    if not isinstance(spec, Mapping):
        raise JudgeError(f"{where}: must be embedded, a judge's folder or a mapping with kind, not {spec!r}")
    kind = spec.get("kind")
    if kind is None:
        raise JudgeError(f"{where}: kind is missing; it is one of {', '.join(KINDS)}")
    if kind not in KINDS:
        raise JudgeError(f"{where}: unknown kind {kind!r}{nearest(kind, tuple(KINDS))}")
    for key in spec:
        if key not in (*COMMON, *KINDS[kind]):
            raise JudgeError(f"{where}: unknown key {key!r} for kind {kind}{nearest(key, (*COMMON, *KINDS[kind]))}")
    needed = NEEDED.get(kind)
    if needed is not None and not spec.get(needed):
        raise JudgeError(f"{where}: kind {kind} needs {needed}")
    for key in ("frames", "batch_size"):
        value = spec.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise JudgeError(f"{where}: {key} must be a whole number from 1, not {value!r}")
    value = spec.get("temperature", 1)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise JudgeError(f"{where}: temperature must be a positive number, not {value!r}")
    if kind == "ensemble":
        _check_members(spec, where)


def _check_members(spec: Mapping[str, Any], where: str) -> None:
    members = spec["members"]
    if not isinstance(members, (list, tuple)) or len(members) < 2:
        raise JudgeError(f"{where}: members must be a list of two judges or more, not {members!r}")
    for place, member in enumerate(members):
        check_spec(member, f"{where}: members[{place}]")
    names = [judge_name(member) for member in members]
    if len(set(names)) < len(names):
        raise JudgeError(f"{where}: two members have one name ({', '.join(names)}); give each a name of its own")


def nearest(word: Any, known: tuple[str, ...]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them."""
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def judge_name(spec: str | Mapping[str, Any]) -> str:
    """What a judge is called in results: its `name`, or the text, or the kind and what it is made of."""
    if isinstance(spec, str):
        return spec
    if spec.get("name"):
        return str(spec["name"])
    kind = str(spec.get("kind"))
    made_of = spec.get(NEEDED.get(kind, ""))
    if kind == "ensemble":
        return "ensemble of " + ", ".join(judge_name(member) for member in made_of)
    return f"{kind} {Path(str(made_of)).name}" if made_of else kind
