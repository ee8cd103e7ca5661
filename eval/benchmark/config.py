"""What an evaluation compares, read from a YAML file and checked before anything is generated."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from emogen.emotion import MIKELS, parse_emotion
from emogen.eval.judges.spec import JudgeError, check_spec, judge_name

WAYS = ("adapter", "sentence", "none")
METRICS = ("agreement", "content", "attributes", "temporal_flickering", "first_frame_psnr", "frechet_transnetv2", "fvd",
           "fvd_videomae", "clip_score")  # fmt: skip
WEIGHTS = {"fvd": "i3d", "fvd_videomae": "videomae", "clip_score": "clip"}
"""Metrics whose weights have to be given under `weights`, and by which key."""


class EvalConfigError(ValueError):
    """A key is unknown, missing, or does not go with another; the message says where and which."""


@dataclass(frozen=True, kw_only=True)
class SystemConfig:
    """One thing to compare: a model that generates, or clips that exist.

    Attributes:
        model: a diffusers folder, a hub id, "embedded" or "embedded_i2v". Wan models get `emotion=`; with `pipeline`
            another class of diffusers is used, which hears the emotion from the prompt.
        image: an image-to-video model: its clips begin with the prompts' pictures.
        pipeline: name of a diffusers pipeline class, for models other than Wan.
        adapter: an adapter folder, a hub id, "embedded" or "embedded_i2v".
        load: what of the adapter folder: "both", "adapter" or "lora".
        emotion: "adapter" (`emotion=`), "sentence" (EmoVid's sentence in the prompt) or "none".
        clips: a folder of finished clips with a metadata.jsonl (`file_name`, `prompt`, `emotion`, `seed`), or
            "stickers", which draws the stickers that the prompts name: what a perfect model would make.
        call: further arguments of the pipeline's call.
    """

    name: str
    model: str | None = None
    pipeline: str | None = None
    adapter: str | None = None
    load: str = "both"
    image: bool = False
    emotion: str = "adapter"
    clips: str | None = None
    call: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """An evaluation.

    Attributes:
        prompts: "stickers" (held-out stickers, see `eval.heldout`), or a JSONL file with `prompt` and perhaps `domain`
            and `image`.
        num_prompts: of each domain, at most; "stickers" has the domains "rendered" and "real".
        emotions: which of the eight are asked of every prompt.
        seeds: of the sampling; every system gets the same.
        baseline: the system that the others are compared with.
        reference: the system whose clips are real, for Frechet distances and as the judge's ceiling.
        judges: "embedded", judges' folders, or mappings with a `name` and what `judges.registry.load_judge` takes; the
            first is the one in the tables.
        generation: arguments of every pipeline's call (num_inference_steps, guidance_scale, height ...).
        weights: folders or files of networks that some metrics need: `i3d`, `videomae`, `clip`.
        clip_format: "png" (animated, lossless) or "mp4".
    """

    name: str
    systems: tuple[SystemConfig, ...]
    prompts: str = "stickers"
    num_prompts: Mapping[str, int] = field(default_factory=lambda: {"rendered": 4, "real": 0})
    emotions: tuple[str, ...] = MIKELS
    seeds: tuple[int, ...] = (0,)
    baseline: str | None = None
    reference: str | None = None
    judges: tuple[str | Mapping[str, Any], ...] = ("embedded",)
    metrics: tuple[str, ...] = ("agreement", "attributes", "temporal_flickering")
    generation: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    clip_format: str = "png"

    @property
    def judge_names(self) -> tuple[str, ...]:
        """What the judges are called in the results."""
        return tuple(judge_name(spec) for spec in self.judges)

    def system(self, name: str) -> SystemConfig:
        return next(system for system in self.systems if system.name == name)


def load_eval_config(path: str | Path) -> EvalConfig:
    """Read and check a YAML file.

    Raises:
        EvalConfigError: naming the file and the key, and the nearest known one.
    """
    return eval_config(read_yaml(path), str(path))


def read_yaml(path: str | Path) -> Mapping[str, Any]:
    """A YAML file of keys and values.

    Raises:
        EvalConfigError: no such file, no YAML, or no keys.
    """
    path = Path(path)
    if not path.is_file():
        raise EvalConfigError(f"{path}: no such configuration file")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise EvalConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(raw, Mapping):
        raise EvalConfigError(f"{path}: expected keys such as name")
    return raw


def eval_config(raw: Mapping[str, Any], source: str = "configuration") -> EvalConfig:
    """The same checks for a mapping."""
    raw = dict(raw)
    systems = raw.pop("systems", None)
    if not isinstance(systems, Mapping) or not systems:
        raise EvalConfigError(f"{source}: systems must name what is compared, such as base: {{model: embedded}}")
    made = []
    for name, values in systems.items():
        values = dict(values or {})
        check_keys(values, SystemConfig, f"{source}: systems.{name}")
        made.append(SystemConfig(name=str(name), **values))
    check_keys(raw, EvalConfig, source)
    if not isinstance(raw.get("name"), str):
        raise EvalConfigError(f"{source}: name is missing")
    for key in ("emotions", "seeds", "judges", "metrics"):
        if key in raw:
            if not isinstance(raw[key], list) or not raw[key]:
                raise EvalConfigError(f"{source}: {key} must be a list such as [a, b], not {raw[key]!r}")
            raw[key] = tuple(raw[key])
    config = EvalConfig(systems=tuple(made), **raw)
    _check(config, source)
    return config


def check_keys(values: Mapping[str, Any], cls: type, where: str) -> None:
    """Refuse keys that are no fields of the dataclass, with the nearest name (`EvalConfigError`)."""
    names = [item.name for item in dataclasses.fields(cls) if item.name != "systems"]
    for key in values:
        if key not in names:
            close = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"
            raise EvalConfigError(f"{where}: unknown key {key!r}{hint}")


def _check(config: EvalConfig, source: str) -> None:
    def refuse(wrong: bool, message: str) -> None:
        if wrong:
            raise EvalConfigError(f"{source}: {message}")

    names = [system.name for system in config.systems]
    for system in config.systems:
        where = f"systems.{system.name}"
        refuse(not system.name.replace("_", "").replace("-", "").isalnum(), f"{where}: use letters, digits, - and _")
        refuse((system.model is None) == (system.clips is None), f"{where}: give a model or clips, one of them")
        refuse(system.emotion not in WAYS, f"{where}: emotion must be one of {', '.join(WAYS)}, not {system.emotion!r}")
        refuse(system.load not in ("both", "adapter", "lora"), f"{where}: load must be both, adapter or lora")
        needs = system.model is not None and system.emotion == "adapter" and system.adapter is None
        refuse(needs, f"{where}: emotion: adapter needs an adapter; say emotion: sentence or none without one")
        refuse(
            system.emotion == "adapter" and system.load == "lora" and system.adapter is not None,
            f"{where}: load: lora leaves no adapter for emotion: adapter; say emotion: sentence",
        )
        refuse(system.pipeline is not None and system.adapter is not None, f"{where}: adapters are for Wan models")
    for key in ("baseline", "reference"):
        value = getattr(config, key)
        refuse(value is not None and value not in names, f"{key}: {value!r} is no system ({', '.join(names)})")
    for emotion in config.emotions:
        try:
            refuse(parse_emotion(emotion).dominant != emotion, f"emotions: {emotion!r} is none of {', '.join(MIKELS)}")
        except ValueError as error:
            refuse(True, f"emotions: {error}")
    for metric in config.metrics:
        refuse(metric not in METRICS, f"metrics: unknown metric {metric!r}; known are {', '.join(METRICS)}")
        weights = WEIGHTS.get(metric)
        refuse(
            weights is not None and weights not in config.weights,
            f"metrics: {metric} needs weights.{weights}, a file or folder with the network",
        )
        distance = metric.startswith(("fvd", "frechet"))
        refuse(distance and config.reference is None, f"metrics: {metric} needs a reference: a system of real clips")
    for place, spec in enumerate(config.judges):
        refuse(isinstance(spec, Mapping) and not spec.get("name"), f"judges[{place}]: a mapping needs a name")
        try:
            check_spec(spec, f"judges[{place}]")
        except JudgeError as error:
            refuse(True, str(error))
    refuse(len(set(config.judge_names)) < len(config.judges), f"judges: two are called {config.judge_names}")
    for seed in config.seeds:
        refuse(not isinstance(seed, int) or isinstance(seed, bool), f"seeds: {seed!r} is no whole number")
    refuse(config.clip_format not in ("png", "mp4"), f"clip_format must be png or mp4, not {config.clip_format!r}")
    refuse(config.prompts != "stickers" and not Path(config.prompts).is_file(), f"prompts: no file {config.prompts}")
    stickers = any(system.clips == "stickers" for system in config.systems)
    refuse(stickers and config.prompts != "stickers", "clips: stickers can be drawn only for prompts: stickers")
