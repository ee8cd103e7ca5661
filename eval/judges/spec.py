"""What a judge's specification may say, checked without loading anything."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from dataclasses import dataclass as dataclass_of_python
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from emogen.eval.own_modules import import_own
from emogen.settings import ConfigError, Document, build, nearest, read_yaml_text
from emogen.settings.types import Name, Number, Text, shown

__all__ = [
    "JudgeError", "JudgeKind", "JudgeSpec", "check_spec", "judge_kind", "judge_kinds", "judge_name", "nearest",
    "read_spec", "refuse_remote_code", "register_judge",
]  # fmt: skip

REMOTE = "trust_remote_code"


class JudgeError(ConfigError):
    """A judge's specification, folder, data or card is wrong; the message names which and the way out."""


@dataclass(kw_only=True, config={"extra": "forbid"})
class JudgeSpec:
    """What every kind of judge may be given; a kind's own keys are fields of a subclass, checked by their types.

    Attributes: temperature: what `emogen judge check` found. card: the file that it wrote.
    """

    kind: Name
    name: Name | None = None
    temperature: Number | None = Field(None, gt=0)
    card: Name | None = None
    licence: Text | None = None


@dataclass_of_python(frozen=True)
class JudgeKind:
    """A registered kind.

    Attributes:
        make: (specification, name, device) -> judge, with a `card`.
        spec: what a specification of the kind holds. made_of: the key that names its weights.
        owns: whether a folder with such a `config.json` is a judge of this kind.
    """

    make: Callable[[Mapping[str, Any], str, Any], Any]
    spec: type[JudgeSpec] = JudgeSpec
    made_of: str | None = None
    owns: Callable[[Mapping[str, Any]], bool] | None = None

    @property
    def needs_nothing(self) -> bool:
        """Whether the kind's name alone is a specification."""
        return all(item.default is not MISSING or item.default_factory is not MISSING
                   for item in fields(self.spec) if item.name != "kind")  # fmt: skip


_KINDS: dict[str, JudgeKind] = {}


def register_judge(kind: str, **about: Any) -> Callable[[Any], Any]:
    """Decorator of the function that makes a judge: enter a kind of judge.

    Args:
        kind: as specifications say it. about: the other fields of `JudgeKind`.

    Raises:
        ValueError: another module registered the kind.
    """

    def enter(make: Any) -> Any:
        other = _KINDS.get(kind)
        if other is not None and other.make.__module__ != make.__module__:
            raise ValueError(f"judge kind {kind!r} is registered by {other.make.__module__} already")
        _KINDS[kind] = JudgeKind(make, **about)
        return make

    return enter


def judge_kinds() -> dict[str, JudgeKind]:
    """Every kind of judge; all modules of this room are imported, so a kind in a file of its own is among them."""
    import emogen.eval.judges as room

    for module in pkgutil.iter_modules(room.__path__):
        importlib.import_module(f"{room.__name__}.{module.name}")
    return dict(sorted(_KINDS.items()))


def judge_kind(kind: Any) -> JudgeKind:
    """A kind by its name, or the one that a module of one's own registers, such as "my_package.my_judge".

    Raises:
        ValueError: there is none.
    """
    known = judge_kinds()
    if isinstance(kind, str) and kind in known:
        return known[kind]
    if isinstance(kind, str) and "." in kind and all(part.isidentifier() for part in kind.split(".")):
        import_own(kind)
        found = [one for one in _KINDS.values() if one.make.__module__ == kind]
        if len(found) != 1:
            raise ValueError(f"kind {kind}: the module registers {len(found)} judges, not one; see register_judge")
        return found[0]
    raise ValueError(f"unknown kind {shown(kind)}{nearest(kind, tuple(known))}")


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
    if spec.get("members"):
        return f"{kind} of " + ", ".join(judge_name(member) for member in spec["members"])
    made_of = spec.get(judge_kind(kind).made_of or "")
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
        raise ValueError(f"kind is missing; it is one of {', '.join(judge_kinds())}")
    cls = judge_kind(kind).spec
    try:
        made = build(cls, Document.of(spec, str(kind)))
    except ConfigError as error:
        raise ValueError(str(error)) from None
    found = {key: getattr(made, key) for key in spec}
    if "members" in found:
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
