"""What a training run can be told: one typed schema, checked once, at the door.

`load_config` reads a YAML file, applies dotted overrides (`optimizer.lora_lr=2e-4`), refuses every key it
does not know (naming the nearest one it does), checks types and ranges, and returns a `TrainingConfig`.
Nothing after this point reads raw dictionaries.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


class ConfigError(ValueError):
    """A setting is unknown, missing, of the wrong type or out of range."""


def _setting(default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A field with limits: `low`/`high` (inclusive), `above`/`below` (exclusive), `choices`."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=limits)
    return field(default=default, metadata=limits)


@dataclass(kw_only=True)
class ModelConfig:
    path: str = _setting()  # a diffusers Wan folder, a hub id, or "embedded"
    dtype: str = _setting("bf16", choices=("bf16", "fp32"))  # of the frozen base
    gradient_checkpointing: bool = _setting(False)
    fold_padding: bool = _setting(False)


@dataclass(kw_only=True)
class DataConfig:
    metadata: str = _setting()  # metadata.jsonl, or the folder that holds it
    cache_dir: str | None = _setting(None)  # default: <output_dir>/cache
    height: int | None = _setting(None, low=8)  # null: what the model was made for
    width: int | None = _setting(None, low=8)
    num_frames: int | None = _setting(None, low=1)
    fps: float | None = _setting(None, above=0)
    max_sequence_length: int | None = _setting(None, low=1)
    scrub_captions: bool = _setting(True)
    short_clips: str = _setting("skip", choices=("skip", "loop", "hold"))
    max_bad_fraction: float = _setting(0.05, low=0, high=1)
    balance: float = _setting(0.0, low=0, high=1)
    preload: bool = _setting(True)
    encode_clips: int = _setting(8, low=1)
    encode_captions: int = _setting(32, low=1)


@dataclass(kw_only=True)
class LoraSettings:
    rank: int = _setting(32, low=0)  # 0: no LoRA
    alpha: float | None = _setting(None, above=0)  # null: equal to the rank
    targets: list[str] = _setting(["to_q", "to_k", "to_v", "to_out.0"])  # noqa: RUF009 (a factory)
    ffn: bool = _setting(False)


@dataclass(kw_only=True)
class AdapterSettings:
    enabled: bool = _setting(True)
    num_tokens: int = _setting(4, low=1)
    hidden_dim: int = _setting(256, low=1)
    rank: int = _setting(256, low=1)
    head_dim: int = _setting(64, low=1)


@dataclass(kw_only=True)
class ObjectiveConfig:
    timesteps: str = _setting("logit_normal", choices=("logit_normal", "uniform"))
    shift: float = _setting(2.0, above=0)
    logit_mean: float = _setting(0.0)
    logit_std: float = _setting(1.0, above=0)
    emotion_dropout: float = _setting(0.1, low=0, high=1)
    joint_dropout: float = _setting(0.1, low=0, high=1)


@dataclass(kw_only=True)
class OptimizerConfig:
    lora_lr: float = _setting(1e-4, above=0)
    adapter_lr: float = _setting(1e-4, above=0)
    weight_decay: float = _setting(0.01, low=0)
    beta1: float = _setting(0.9, low=0, below=1)
    beta2: float = _setting(0.99, low=0, below=1)
    epsilon: float = _setting(1e-8, above=0)
    max_grad_norm: float = _setting(1.0, above=0)
    schedule: str = _setting("cosine", choices=("cosine", "constant"))
    warmup_steps: int = _setting(100, low=0)
    final_lr: float = _setting(0.0, low=0, high=1)  # fraction of the peak left at the end of "cosine"


@dataclass(kw_only=True)
class RunConfig:
    output_dir: str = _setting()
    steps: int = _setting(low=1)
    batch_size: int = _setting(1, low=1)  # clips per process and micro-step
    accumulation: int = _setting(1, low=1)  # micro-steps per optimizer step
    seed: int = _setting(0, low=0)
    mixed_precision: str = _setting("bf16", choices=("bf16", "no"))
    ema_decay: float = _setting(0.0, low=0, below=1)  # 0: off
    cpu: bool = _setting(False)
    log_every: int = _setting(10, low=1)
    log_with: str | None = _setting(None, choices=("tensorboard", "wandb"))


@dataclass(kw_only=True)
class CheckpointConfig:
    every: int = _setting(500, low=1)
    keep: int = _setting(3, low=1)
    resume: str = _setting("never")  # "never", "auto" or the folder of one checkpoint
    export_dtype: str = _setting("fp32", choices=("fp32", "bf16"))


@dataclass(kw_only=True)
class ValidationConfig:
    every: int = _setting(500, low=0)  # 0: never
    clips: int = _setting(64, low=1)
    quantiles: list[float] = _setting([0.1, 0.3, 0.5, 0.7, 0.9], above=0, below=1)  # noqa: RUF009


@dataclass(kw_only=True)
class TrainingConfig:
    """Every setting of a training run. The commented YAML files under `configs/` explain each key."""

    model: ModelConfig
    data: DataConfig
    run: RunConfig
    lora: LoraSettings = field(default_factory=LoraSettings)
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


_SECTIONS: dict[str, type] = typing.get_type_hints(TrainingConfig)
_KEYS: dict[str, dataclasses.Field] = {
    f"{section}.{item.name}": item for section, cls in _SECTIONS.items() for item in dataclasses.fields(cls)
}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a YAML file and apply dotted overrides.

    Args:
        path: the YAML file.
        overrides: command-line words, `--key.sub value` or `--key.sub=value`; values are read as YAML.

    Raises:
        ConfigError: naming the file, line and key (or the flag) and, where there is one, the nearest key.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file")
    values = _read_yaml(path)
    for key, value in _parse_overrides(overrides):
        values[key] = (value, f"--{key}")
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


def _parse_overrides(words: Sequence[str]) -> list[tuple[str, Any]]:
    pairs, words = [], list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise ConfigError(f"{word!r}: expected an override such as --optimizer.lora_lr 2e-4")
        key, equals, text = word[2:].partition("=")
        if not equals:
            if not words or (words[0].startswith("--")):
                raise ConfigError(f"--{key}: needs a value, for example --{key} true")
            text = words.pop(0)
        try:
            pairs.append((key, yaml.safe_load(text)))
        except yaml.YAMLError as error:
            raise ConfigError(f"--{key}: cannot read the value {text!r}") from error
    return pairs


def _build(values: Mapping[str, tuple[Any, str]], source: str) -> TrainingConfig:
    sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for dotted, (value, where) in values.items():
        if dotted not in _KEYS:
            raise ConfigError(f"{where}: unknown key {dotted!r}{_nearest(dotted)}")
        section, _, name = dotted.partition(".")
        hint = typing.get_type_hints(_SECTIONS[section])[name]
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
    same_name = [key for key in _KEYS if key.rpartition(".")[2] == last]
    close = same_name or difflib.get_close_matches(dotted, _KEYS, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; the sections are {', '.join(_SECTIONS)}"


def _checked(value: Any, hint: Any, limits: Mapping[str, Any], what: str) -> Any:
    """`value` as the type `hint`, within `limits`; `what` starts every message."""
    if isinstance(hint, types.UnionType):  # only "X | None" occurs in the schema
        if value is None:
            return None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if typing.get_origin(hint) is list:
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigError(f"{what} must be a list such as [a, b], not {value!r}")
        return [_checked(entry, typing.get_args(hint)[0], limits, what) for entry in value]
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
    if config.lora.rank == 0 and not config.adapter.enabled:
        raise ConfigError(f"{source}: lora.rank is 0 and adapter.enabled is false: nothing would be trained")
    if config.objective.emotion_dropout + config.objective.joint_dropout > 1:
        raise ConfigError(f"{source}: objective.emotion_dropout + objective.joint_dropout must be at most 1")
    if config.adapter.rank % config.adapter.head_dim:
        raise ConfigError(
            f"{source}: adapter.rank ({config.adapter.rank}) must be a multiple of "
            f"adapter.head_dim ({config.adapter.head_dim})"
        )
    if config.run.mixed_precision == "no" and config.model.dtype != "fp32":
        raise ConfigError(f"{source}: run.mixed_precision: no needs model.dtype: fp32, not {config.model.dtype}")
    frames = config.data.num_frames
    if frames is not None and (frames - 1) % 4:
        lower = 4 * ((frames - 1) // 4) + 1
        raise ConfigError(f"{source}: data.num_frames must be 4k+1: {lower} or {lower + 4}, not {frames}")
