"""Reading a training configuration: YAML, then the command line, checked once at the door.

`load_config` refuses every key it does not know (naming the nearest one it does), checks types and ranges, and
returns a `TrainingConfig`. Nothing after this point reads raw dictionaries.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from emogen.training.schema import TrainingConfig


class ConfigError(ValueError):
    """A setting is unknown, missing, of the wrong type, out of range, or contradicts another."""


_SECTIONS: dict[str, type] = typing.get_type_hints(TrainingConfig)
_KEYS: dict[str, dataclasses.Field] = {
    f"{section}.{item.name}": item for section, cls in _SECTIONS.items() for item in dataclasses.fields(cls)
}
_FLAGS = {dotted.partition(".")[2]: dotted for dotted in _KEYS}  # `--max_train_steps` is `run.max_train_steps`
_HINTS = {section: typing.get_type_hints(cls) for section, cls in _SECTIONS.items()}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a YAML file and apply the command line's words.

    Args:
        path: the YAML file.
        overrides: `--max_train_steps 8`, `--max_train_steps=8` or `--run.max_train_steps 8`; values are read as
            YAML; a flag without a value says true.

    Raises:
        ConfigError: naming the file, line and key (or the flag) and, where there is one, the nearest key.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file")
    values = _read_yaml(path)
    for flag, key, value in _parse_overrides(overrides):
        values[key] = (value, f"--{flag}")
    return _build(values, source=str(path))


def config_from_dict(raw: Mapping[str, Mapping[str, Any]], source: str = "configuration") -> TrainingConfig:
    """The same checks for a nested mapping, for example one written in a notebook."""
    values = {}
    for section, entries in raw.items():
        if not isinstance(entries, Mapping):
            raise ConfigError(f"{source}: section {section!r} must be a mapping, not {entries!r}")
        values.update({f"{section}.{key}": (value, source) for key, value in entries.items()})
    return _build(values, source)


def _read_yaml(path: Path) -> dict[str, tuple[Any, str]]:
    """Dotted key -> (value, "file:line"). Walks the node tree, so that errors can name the line and a key
    written twice is refused instead of silently overwritten."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}: expected sections ({', '.join(_SECTIONS)}) at the top")
    values: dict[str, tuple[Any, str]] = {}
    for section, body in root.value:
        if isinstance(body, yaml.ScalarNode) and body.value == "":
            continue  # a section whose keys are all commented out
        where = f"{path}:{section.start_mark.line + 1}"
        if not isinstance(body, yaml.MappingNode):
            raise ConfigError(f"{where}: {section.value!r} must be a section with keys below it")
        for key, _ in body.value:
            dotted = f"{section.value}.{key.value}"
            where = f"{path}:{key.start_mark.line + 1}"
            if dotted in values:
                raise ConfigError(f"{where}: {dotted!r} is set twice (first at {values[dotted][1]})")
            values[dotted] = (plain[section.value][key.value], where)
    return values


def _parse_overrides(words: Sequence[str]) -> list[tuple[str, str, Any]]:
    """(flag as written, dotted key, value) for every flag."""
    found, words = [], list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise ConfigError(f"{word!r}: expected a flag such as --learning_rate 2e-4")
        flag, equals, text = word[2:].partition("=")
        key = _FLAGS.get(flag, flag)
        if not equals and (not words or words[0].startswith("--")):
            if not _may_be_true(key):
                raise ConfigError(f"--{flag}: needs a value")
            text = "true"
        elif not equals:
            text = words.pop(0)
        try:
            found.append((flag, key, yaml.safe_load(text)))
        except yaml.YAMLError as error:
            raise ConfigError(f"--{flag}: cannot read the value {text!r}") from error
    return found


def _may_be_true(key: str) -> bool:
    section, _, name = key.partition(".")
    hint = _HINTS.get(section, {}).get(name)
    return hint is bool or bool in typing.get_args(hint)


def _build(values: Mapping[str, tuple[Any, str]], source: str) -> TrainingConfig:
    sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for dotted, (value, where) in values.items():
        if dotted not in _KEYS:
            raise ConfigError(f"{where}: unknown key {dotted!r}{_nearest(dotted)}")
        section, _, name = dotted.partition(".")
        hint = _HINTS[section][name]
        sections[section][name] = _checked(value, hint, _KEYS[dotted].metadata, f"{where}: {dotted}")
    for dotted, item in _KEYS.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        section, _, name = dotted.partition(".")
        if required and name not in sections[section]:
            raise ConfigError(f"{source}: {dotted} must be set (in the file or as --{dotted} ...)")
    config = TrainingConfig(**{name: cls(**sections[name]) for name, cls in _SECTIONS.items()})
    _check_together(config, source)
    return config


def _nearest(dotted: str) -> str:
    last = dotted.rpartition(".")[2]
    close = difflib.get_close_matches(last, _FLAGS, n=1, cutoff=0.5)
    return f"; did you mean {_FLAGS[close[0]]!r}?" if close else f"; the sections are {', '.join(_SECTIONS)}"


def _checked(value: Any, hint: Any, limits: Mapping[str, Any], what: str) -> Any:
    """`value` as the type `hint`, within `limits`; `what` starts every message."""
    if isinstance(hint, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        if isinstance(value, bool) and bool in options:
            return value
        hint = next(option for option in options if option not in (type(None), bool))
    if typing.get_origin(hint) is list:
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigError(f"{what} must be a list such as [a, b], not {value!r}")
        return [_checked(entry, typing.get_args(hint)[0], limits, what) for entry in value]
    if typing.get_origin(hint) is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{what} must be a mapping such as {{a: 1}}, not {value!r}")
        return dict(value)
    if hint is float and isinstance(value, str):
        with contextlib.suppress(ValueError):  # YAML 1.1 reads 1e-4 (no dot) as a string
            value = float(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint is str and "choices" in limits and value is False:
        value = "no"  # YAML 1.1 reads a bare no as false
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{what} must be {hint.__name__}, not {value!r}")
    if hint is float and not (abs(value) < float("inf")):
        raise ConfigError(f"{what} must be finite, not {value}")
    tests = {
        "low": lambda bound: value >= bound, "high": lambda bound: value <= bound,
        "above": lambda bound: value > bound, "below": lambda bound: value < bound,
        "choices": lambda bound: value in bound,
    }  # fmt: skip
    words = {"low": "at least", "high": "at most", "above": "above", "below": "below", "choices": "one of"}
    for name, bound in limits.items():
        if not tests[name](bound):
            shown = ", ".join(map(str, bound)) if name == "choices" else bound
            raise ConfigError(f"{what} must be {words[name]} {shown}, not {value!r}")
    return value


def _check_together(config: TrainingConfig, source: str) -> None:
    """Rules that span several keys."""
    model, data, run, lora = config.model, config.data, config.run, config.lora

    def refuse(wrong: bool, message: str) -> None:
        if wrong:
            raise ConfigError(f"{source}: {message}")

    refuse(
        lora.rank == 0 and not config.adapter.train_adapter,
        "lora.rank is 0 and adapter.train_adapter is false: nothing would be trained",
    )
    refuse(lora.rank == 0 and lora.lora_weights is not None, "lora.lora_weights needs a lora.rank above 0")
    refuse(
        not config.adapter.train_adapter and config.adapter.adapter_weights is not None,
        "adapter.adapter_weights needs adapter.train_adapter: true",
    )
    formats = config.checkpoint.export_formats
    refuse(
        lora.use_dora and bool(formats),
        f"lora.use_dora: {' and '.join(formats or [])} cannot hold a DoRA; leave checkpoint.export_formats out",
    )
    dropout = config.objective
    total = dropout.text_dropout + dropout.emotion_dropout + dropout.joint_dropout
    refuse(total > 1, f"objective.text_dropout, emotion_dropout and joint_dropout add up to {total:g}; at most 1")
    width, head = config.adapter.adapter_rank, config.adapter.adapter_head_dim
    refuse(width % head != 0, f"adapter.adapter_rank ({width}) must be a multiple of adapter.adapter_head_dim ({head})")
    refuse(
        run.mixed_precision == "no" and model.base_dtype != "fp32",
        f"run.mixed_precision: no needs model.base_dtype: fp32, not {model.base_dtype}",
    )
    refuse(
        run.mixed_precision == "fp16" and model.base_dtype == "bf16",
        "run.mixed_precision: fp16 needs model.base_dtype: fp16 or fp32, not bf16",
    )
    refuse(run.cpu and run.mixed_precision == "fp16", "run.mixed_precision: fp16 needs a GPU; use bf16 or no")
    refuse(
        run.cpu and model.base_storage in ("int8", "nf4"),
        f"model.base_storage: {model.base_storage} needs a GPU (bitsandbytes); use same or fp8",
    )
    refuse(
        model.compile and model.base_storage == "fp8",
        "model.compile does not go with model.base_storage: fp8 (every layer is cast by a hook)",
    )
    refuse(
        (model.attention_backend or "").lower().startswith("sage"),
        f"model.attention_backend: {model.attention_backend} has no backward pass; use native, flash or xformers",
    )
    refuse(run.push_to_hub and run.hub_model_id is None, "run.push_to_hub needs run.hub_model_id (owner/name)")
    checks = config.validation
    refuse(
        checks.preview_steps > 0 and not checks.validation_prompts,
        "validation.preview_steps needs validation.validation_prompts",
    )
    pictures, prompts = checks.validation_images or [], checks.validation_prompts or []
    refuse(
        bool(pictures) and len(pictures) != len(prompts),
        f"validation.validation_images holds {len(pictures)} images for {len(prompts)} prompts; give one for each",
    )
    refuse(
        data.buckets is not None and any((data.height, data.width, data.num_frames)),
        "data.buckets says the sizes; leave data.height, data.width and data.num_frames out",
    )
    frames = data.num_frames
    if frames is not None and (frames - 1) % 4:
        lower = 4 * ((frames - 1) // 4) + 1
        refuse(True, f"data.num_frames must be 4k+1: {lower} or {lower + 4}, not {frames}")
