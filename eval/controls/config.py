"""What a measurement of the controls asks for, read from a YAML file and checked before anything is generated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from emogen.emotion import MIKELS
from emogen.eval.benchmark.config import JudgeSpec, SampleSeed, SystemConfig, check_judges
from emogen.settings import ConfigError, Document, build, read_yaml, refuser
from emogen.settings.types import Count, Free, Name, Number, NumberAsWritten, Several, Text, Whole, as_whole, shown

STUDIES = ("intensity", "plane", "mixtures", "arcs")
SHAPES = ("step", "linear")
PAIRS = len(MIKELS) * (len(MIKELS) - 1) // 2
OURS = ("prompt", "emotion", "emotion_scale", "generator", "output_type")
"""Arguments of the call that the studies set."""


def _emotion(value: Any) -> str:
    if value not in MIKELS:
        raise ValueError(f"{shown(value)} is none of {', '.join(MIKELS)}")
    return str(value)


def _pair(value: Any) -> tuple[str, str]:
    two = isinstance(value, (list, tuple)) and len(value) == 2 and value[0] != value[1]
    if not two or not all(one in MIKELS for one in value):
        raise ValueError(f"{shown(value)} is no pair of two of {', '.join(MIKELS)}")
    return str(value[0]), str(value[1])


def _pairs(value: Any) -> Any:
    """ "all", a number of pairs, or a list of them."""
    if value == "all":
        return "all"
    if isinstance(value, (list, tuple)) and value:
        return tuple(_pair(one) for one in value)
    try:
        number = as_whole(value)
    except ValueError:
        raise ValueError(f"must be all, a number or a list of pairs, not {shown(value)}") from None
    if not 1 <= number <= PAIRS:
        raise ValueError(f"there are {PAIRS} pairs, not {number}")
    return number


Emotion = Annotated[str, BeforeValidator(_emotion)]
Pair = Annotated[tuple[str, str], BeforeValidator(_pair)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class IntensityStudy:
    """Attributes: emotions: of the eight. levels: how many intensities, evenly spaced from 0 to 1. scales: values of
    `emotion_scale` besides 1 at which intensity 1 is read too."""

    emotions: Several[Emotion] = tuple(MIKELS)
    levels: Whole = Field(7, ge=3)
    scales: tuple[NumberAsWritten, ...] = (-1.0, -0.5, 1.5, 2.0)


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class PlaneStudy:
    """Attributes: grid: points a side of the grid over the square [-1, 1] x [-1, 1] of valence and arousal."""

    grid: Whole = Field(5, ge=2)


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class MixtureStudy:
    """Attributes: pairs: "all" 28, how many of them (spread by a fixed shuffle), or a list of [a, b]."""

    pairs: Annotated[Any, BeforeValidator(_pairs)] = "all"


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class ArcStudy:
    """Attributes: pairs: [from, to]. shapes: "step" (held until `switch`) and "linear" (over the whole clip). switch: a
    time between 0 and 1. window: video frames that the judge is shown at a time. stride: frames between windows."""

    pairs: Several[Pair] = (
        ("fear", "amusement"), ("amusement", "sadness"), ("sadness", "excitement"), ("contentment", "anger"),
        ("disgust", "awe"), ("excitement", "fear"),
    )  # fmt: skip
    shapes: Several[Literal["step", "linear"]] = SHAPES
    switch: Number = Field(0.5, gt=0, lt=1)
    window: Count = 5
    stride: Count = 1


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class ControlsConfig:
    """A measurement.

    Attributes:
        system: the text-to-video model and its adapter: `model`, `adapter`, and perhaps `load` and `call`, as in a
            benchmark's systems.
        prompts: "stickers" (rendered held-out ones, see `asks.held_out_prompts`), or a JSONL file with `prompt`.
        num_prompts: how many.
        seeds: of the sampling; every ask of a prompt begins with the same noise.
        judges: as in a benchmark.
        generation: arguments of the pipeline's call.
        batch_size: clips made at a time.
    """

    name: Text
    system: SystemConfig
    prompts: Name = "stickers"
    num_prompts: Count = 8
    seeds: Several[SampleSeed] = (0,)
    judges: Several[JudgeSpec] = ("embedded",)
    generation: Free = Field(default_factory=dict)
    batch_size: Count = 8
    intensity: IntensityStudy = Field(default_factory=IntensityStudy)
    plane: PlaneStudy = Field(default_factory=PlaneStudy)
    mixtures: MixtureStudy = Field(default_factory=MixtureStudy)
    arcs: ArcStudy = Field(default_factory=ArcStudy)


def load_controls_config(path: str | Path, trust_remote_code: bool = False) -> ControlsConfig:
    """Read and check a YAML file.

    Args:
        trust_remote_code: whether a judge may ask for its repository's code to be run.

    Raises:
        ConfigError: naming the file, line and key, and the nearest known one.
    """
    return _checked(read_yaml(path), trust_remote_code)


def controls_config(
    raw: Mapping[str, Any], source: str = "configuration", trust_remote_code: bool = False
) -> ControlsConfig:
    """The same checks for a mapping."""
    return _checked(Document.of(raw, source), trust_remote_code)


def _checked(document: Document, trust_remote_code: bool) -> ControlsConfig:
    if isinstance(document.values, dict):
        system = document.values.get("system")
        if not isinstance(system, Mapping):
            place = document.place(("system",))
            raise ConfigError(f"{place}: system must say what is measured: {{model: embedded, adapter: embedded}}")
        document.values = {**document.values, "system": {"name": "model", **system}}
    config = build(ControlsConfig, document)
    refuse, system = refuser(document), config.system
    refuse(system.model is None or system.adapter is None, "system", "system: give a model and its adapter")
    refuse(system.load == "lora", "system.load", "system: load must be both or adapter, not 'lora'")
    refuse(
        system.image or system.pipeline is not None or system.clips is not None or system.emotion != "adapter",
        "system",
        "system: give a Wan text-to-video model; image, pipeline, clips and emotion are a benchmark's",
    )
    for key in OURS:
        for part, values in (("generation", config.generation), ("system.call", system.call)):
            refuse(key in values, f"{part}.{key}", f"{part}: {key} is set by the studies")
    refuse(len(set(config.seeds)) < len(config.seeds), "seeds", "seeds: one is named twice")
    check_judges(config.judges, document, trust_remote_code)
    refuse(
        config.prompts != "stickers" and not os.path.isfile(config.prompts),
        "prompts",
        f"prompts: no file {config.prompts}",
    )
    return config
