"""What a judge's specification may say, checked without loading anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from emogen.settings import ConfigError, Document, build, nearest, read_yaml_text
from emogen.settings.types import Count, Flag, Name, Number, Several, Text, shown

__all__ = ["JudgeError", "check_spec", "judge_name", "nearest", "read_spec", "refuse_remote_code"]

REMOTE = "trust_remote_code"


class JudgeError(ConfigError):
    """A judge's specification, folder, data or card is wrong; the message names which and the way out."""


@dataclass(kw_only=True, config={"extra": "forbid"})
class _Spec:
    """Attributes: temperature: what `emogen judge check` found. card: the file that it wrote."""

    kind: Name
    name: Name | None = None
    temperature: Number | None = Field(None, gt=0)
    card: Name | None = None
    licence: Text | None = None


@dataclass(kw_only=True, config={"extra": "forbid"})
class _Classifier(_Spec):
    folder: Name


@dataclass(kw_only=True, config={"extra": "forbid"})
class _Probe(_Spec):
    folder: Name
    encoder: Name | None = None


@dataclass(kw_only=True, config={"extra": "forbid"})
class _Clip(_Spec):
    model: Name
    frames: Count = 8


@dataclass(kw_only=True, config={"extra": "forbid"})
class _Vlm(_Spec):
    model: Name
    frames: Count = 8
    question: Name | None = None
    scoring: Name = "sum"
    batch_size: Count = 1
    dtype: Name = "auto"
    trust_remote_code: Flag = False


def _members(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise ValueError(f"must be a list of two judges or more, not {shown(value)}")
    return list(value)


@dataclass(kw_only=True, config={"extra": "forbid"})
class _Ensemble(_Spec):
    members: Annotated[list[Any], BeforeValidator(_members)]
    weights: Several[Number] | None = None
    mean: Name = "log"


KINDS: dict[str, type[_Spec]] = {
    "embedded": _Spec, "embedded_blends": _Spec, "classifier": _Classifier, "probe": _Probe, "clip": _Clip, "vlm": _Vlm,
    "ensemble": _Ensemble,
}  # fmt: skip
"""Kind -> what it takes."""
_MADE_OF = {"classifier": "folder", "probe": "folder", "clip": "model", "vlm": "model"}


def check_spec(spec: Any, where: str = "judge") -> str | dict[str, Any]:
    """Check the form of a specification: the kind, its keys and their types. Weights are not looked for.

    Args:
        spec: "embedded", "embedded_blends", a folder, or a mapping with `kind`.
        where: what messages begin with.

    Returns:
        The specification with every value as its key's type.

    Raises:
        JudgeError: naming the key and the nearest known one.
    """
    try:
        return _checked(spec)
    except ValueError as error:
        raise JudgeError(f"{where}: {error}") from None


def read_spec(text: str, flag: str = "--judge") -> str | dict[str, Any]:
    """A specification from the command line: a mapping if it is written as one, otherwise the text; checked.

    Raises:
        JudgeError: it is no YAML, or see `check_spec`.
    """
    if not text.lstrip().startswith("{"):
        return check_spec(text, flag)
    try:
        return check_spec(read_yaml_text(text, flag, is_file=False).values, flag)
    except JudgeError:
        raise
    except ConfigError as error:
        raise JudgeError(str(error)) from None


def refuse_remote_code(spec: Any, where: str, allowed: bool = False) -> None:
    """A specification may come from a stranger: running a repository's code takes a word on the command line too.

    Raises:
        JudgeError: the specification, or a member of it, asks for it and it is not `allowed`.
    """
    if allowed or not isinstance(spec, Mapping):
        return
    if spec.get(REMOTE):
        raise JudgeError(f"{where}: {REMOTE} runs the code that lies beside {spec.get('model')}; if you trust it, add "
                         f"--{REMOTE} to the command")  # fmt: skip
    for place, member in enumerate(spec.get("members") or ()):
        refuse_remote_code(member, f"{where}: members[{place}]")


def judge_name(spec: str | Mapping[str, Any]) -> str:
    """What a judge is called in results: its `name`, or the text, or the kind and what it is made of."""
    if isinstance(spec, str):
        return spec
    if spec.get("name"):
        return str(spec["name"])
    kind = str(spec.get("kind"))
    if kind == "ensemble":
        return "ensemble of " + ", ".join(judge_name(member) for member in spec["members"])
    made_of = spec.get(_MADE_OF.get(kind, ""))
    return f"{kind} {Path(str(made_of)).name}" if made_of else kind


def _checked(spec: Any) -> str | dict[str, Any]:
    """The same; messages do not say where (`ValueError`)."""
    if isinstance(spec, str):
        if not spec.strip():
            raise ValueError("is empty; say embedded, a judge's folder, or {kind: ...}")
        return str(spec)
    if not isinstance(spec, Mapping):
        raise ValueError(f"must be embedded, a judge's folder or a mapping with kind, not {shown(spec)}")
    kind = spec.get("kind")
    if kind is None:
        raise ValueError(f"kind is missing; it is one of {', '.join(KINDS)}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"unknown kind {shown(kind)}{nearest(kind, tuple(KINDS))}")
    cls = KINDS[kind]
    try:
        made = build(cls, Document.of(spec, kind))
    except ConfigError as error:
        raise ValueError(str(error)) from None
    found = {key: getattr(made, key) for key in spec}
    if kind == "ensemble":
        found["members"] = _checked_members(spec["members"])
    return found


def _checked_members(members: Sequence[Any]) -> list[str | dict[str, Any]]:
    found = []
    for place, member in enumerate(members):
        try:
            found.append(_checked(member))
        except ValueError as error:
            raise ValueError(f"members[{place}]: {error}") from None
    names = [judge_name(member) for member in found]
    if len(set(names)) < len(names):
        raise ValueError(f"members: two members have one name ({', '.join(names)}); give each a name of its own")
    return found
