"""What a measurement of the controls asks for, read from a YAML file and checked before anything is generated."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emogen.emotion import MIKELS
from emogen.eval.benchmark.config import EvalConfigError, SystemConfig, check_keys, read_yaml
from emogen.eval.judges.spec import JudgeError, check_spec, judge_name

STUDIES = ("intensity", "plane", "mixtures", "arcs")
SHAPES = ("step", "linear")


@dataclass(frozen=True, kw_only=True)
class IntensityStudy:
    """Attributes: emotions: of the eight. levels: how many intensities, evenly spaced from 0 to 1. scales: values of
    `emotion_scale` besides 1 at which intensity 1 is read too."""

    emotions: tuple[str, ...] = MIKELS
    levels: int = 7
    scales: tuple[float, ...] = (-1.0, -0.5, 1.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class PlaneStudy:
    """Attributes: grid: points a side of the grid over the square [-1, 1] x [-1, 1] of valence and arousal."""

    grid: int = 5


@dataclass(frozen=True, kw_only=True)
class MixtureStudy:
    """Attributes: pairs: "all" 28, how many of them (spread by a fixed shuffle), or a list of [a, b]."""

    pairs: str | int | tuple[tuple[str, str], ...] = "all"


@dataclass(frozen=True, kw_only=True)
class ArcStudy:
    """Attributes: pairs: [from, to]. shapes: "step" (held until `switch`) and "linear" (over the whole clip). switch: a
    time between 0 and 1. window: video frames that the judge is shown at a time. stride: frames between windows."""

    pairs: tuple[tuple[str, str], ...] = (
        ("fear", "amusement"), ("amusement", "sadness"), ("sadness", "excitement"), ("contentment", "anger"),
        ("disgust", "awe"), ("excitement", "fear"),
    )  # fmt: skip
    shapes: tuple[str, ...] = SHAPES
    switch: float = 0.5
    window: int = 5
    stride: int = 1


@dataclass(frozen=True, kw_only=True)
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

    name: str
    system: SystemConfig
    prompts: str = "stickers"
    num_prompts: int = 8
    seeds: tuple[int, ...] = (0,)
    judges: tuple[str | Mapping[str, Any], ...] = ("embedded",)
    generation: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 8
    intensity: IntensityStudy = field(default_factory=IntensityStudy)
    plane: PlaneStudy = field(default_factory=PlaneStudy)
    mixtures: MixtureStudy = field(default_factory=MixtureStudy)
    arcs: ArcStudy = field(default_factory=ArcStudy)


_PARTS = {"intensity": IntensityStudy, "plane": PlaneStudy, "mixtures": MixtureStudy, "arcs": ArcStudy}


def load_controls_config(path: str | Path) -> ControlsConfig:
    """Read and check a YAML file.

    Raises:
        EvalConfigError: naming the file and the key, and the nearest known one.
    """
    return controls_config(read_yaml(path), str(path))


def controls_config(raw: Mapping[str, Any], source: str = "configuration") -> ControlsConfig:
    """The same checks for a mapping."""
    raw = {key: _frozen(value) for key, value in raw.items()}
    system = raw.get("system")
    if not isinstance(system, Mapping):
        raise EvalConfigError(f"{source}: system must say what is measured: {{model: embedded, adapter: embedded}}")
    check_keys(system, SystemConfig, f"{source}: system")
    raw["system"] = SystemConfig(**{"name": "model", **system})
    for key, part in _PARTS.items():
        values = raw.pop(key, None) or {}
        if not isinstance(values, Mapping):
            raise EvalConfigError(f"{source}: {key} must be a mapping, not {values!r}; --only leaves studies out")
        check_keys(values, part, f"{source}: {key}")
        raw[key] = part(**{name: _frozen(value) for name, value in values.items()})
    known = [item.name for item in dataclasses.fields(ControlsConfig)]
    if extra := [key for key in raw if key not in known]:
        raise EvalConfigError(f"{source}: unknown key {extra[0]!r}; known are {', '.join(known)}")
    if not isinstance(raw.get("name"), str):
        raise EvalConfigError(f"{source}: name is missing")
    config = ControlsConfig(**raw)
    _check(config, source)
    return config


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value


def _check(config: ControlsConfig, source: str) -> None:
    def refuse(wrong: bool, message: str) -> None:
        if wrong:
            raise EvalConfigError(f"{source}: {message}")

    system = config.system
    refuse(system.model is None or system.adapter is None, "system: give a model and its adapter")
    refuse(system.load not in ("both", "adapter"), f"system: load must be both or adapter, not {system.load!r}")
    refuse(
        system.image or system.pipeline is not None or system.clips is not None or system.emotion != "adapter",
        "system: give a Wan text-to-video model; image, pipeline, clips and emotion are a benchmark's",
    )
    for where, number, least in (
        ("num_prompts", config.num_prompts, 1),
        ("batch_size", config.batch_size, 1),
        ("intensity.levels", config.intensity.levels, 3),
        ("plane.grid", config.plane.grid, 2),
        ("arcs.window", config.arcs.window, 1),
        ("arcs.stride", config.arcs.stride, 1),
    ):
        refuse(not _whole(number) or number < least, f"{where} must be a whole number from {least}, not {number!r}")
    for where, values in (
        ("seeds", config.seeds),
        ("judges", config.judges),
        ("arcs.shapes", config.arcs.shapes),
        ("arcs.pairs", config.arcs.pairs),
        ("intensity.emotions", config.intensity.emotions),
    ):
        refuse(not isinstance(values, tuple) or not values, f"{where} must be a list such as [a, b], not {values!r}")
    for seed in config.seeds:
        refuse(not _whole(seed), f"seeds: {seed!r} is no whole number")
    refuse(not isinstance(config.generation, Mapping), f"generation must be a mapping, not {config.generation!r}")
    for key in ("prompt", "emotion", "emotion_scale", "generator", "output_type"):
        refuse(key in {**config.generation, **system.call}, f"generation: {key} is set by the studies")
    for emotion in config.intensity.emotions:
        refuse(emotion not in MIKELS, f"intensity.emotions: {emotion!r} is none of {', '.join(MIKELS)}")
    scales = config.intensity.scales
    fine = isinstance(scales, tuple) and all(isinstance(s, (int, float)) and not isinstance(s, bool) for s in scales)
    refuse(not fine, f"intensity.scales must be a list of numbers such as [-1, 1.5, 2], not {scales!r}")
    pairs = config.mixtures.pairs
    if _whole(pairs):
        refuse(not 1 <= pairs <= 28, f"mixtures.pairs: there are 28 pairs, not {pairs}")
    elif pairs != "all":
        refuse(not isinstance(pairs, tuple) or not pairs, f"mixtures.pairs is all, a number or a list, not {pairs!r}")
    listed = {"mixtures.pairs": pairs if isinstance(pairs, tuple) else (), "arcs.pairs": config.arcs.pairs}
    for where, pair in ((where, pair) for where, several in listed.items() for pair in several):
        two = isinstance(pair, tuple) and len(pair) == 2 and pair[0] != pair[1]
        refuse(not two or not set(pair) <= set(MIKELS), f"{where}: {pair!r} is no pair of two of {', '.join(MIKELS)}")
    for shape in config.arcs.shapes:
        refuse(shape not in SHAPES, f"arcs.shapes: {shape!r} is none of {', '.join(SHAPES)}")
    switch = config.arcs.switch
    refuse(not isinstance(switch, (int, float)) or not 0 < switch < 1, f"arcs.switch: {switch!r} is not within 0 to 1")
    for place, spec in enumerate(config.judges):
        try:
            check_spec(spec, f"judges[{place}]")
        except JudgeError as error:
            refuse(True, str(error))
    names = [judge_name(spec) for spec in config.judges]
    refuse(len(set(names)) < len(names), f"judges: two are called {names}")
    refuse(config.prompts != "stickers" and not Path(config.prompts).is_file(), f"prompts: no file {config.prompts}")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
