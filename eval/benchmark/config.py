"""What an evaluation compares, read from a YAML file and checked before anything is generated."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from emogen.emotion import MIKELS, parse_emotion
from emogen.eval.judges.spec import JudgeError, check_spec, judge_name, refuse_remote_code
from emogen.eval.metrics.choose import MetricError, check_needs, metric_classes
from emogen.pipelines.composition import LoraError, lora_specs
from emogen.pipelines.presets import PRESETS
from emogen.settings import ConfigError, Document, build, read_yaml, refuser
from emogen.settings.types import Flag, Free, Name, Several, Text, Whole

EvalConfigError = ConfigError
DRAWN = {"stickers": ("rendered", "real"), "cast": ("rendered", "unseen", "expressive", "real")}
"""What `prompts` says where what they name can be drawn, and the domains of each."""
MOST_SEED = 10**14
"""Every prompt samples with `100_003 * seed` and its number, which torch takes up to 2**64."""

SampleSeed = Annotated[Whole, Field(ge=0, le=MOST_SEED)]


def _spec(value: Any) -> Any:
    try:
        return check_spec(value, "")
    except JudgeError as error:
        raise ValueError(str(error).removeprefix(": ")) from None


JudgeSpec = Annotated[Any, BeforeValidator(_spec)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class SystemConfig:
    """One thing to compare: a model that generates, or clips that exist.

    Attributes:
        model: a diffusers folder, a hub id, "embedded" or "embedded_i2v". Wan models get `emotion=`; with `pipeline`
            another class of diffusers is used, which hears the emotion from the prompt.
        image: an image-to-video model: its clips begin with the prompts' pictures.
        pipeline: name of a diffusers pipeline class, for models other than Wan.
        adapter: an adapter folder, a hub id, "embedded" or "embedded_i2v".
        load: what of the adapter folder: "both", "adapter" or "lora".
        preset: "fast": few steps without guidance (`emogen.pipelines.presets`).
        lora: LoRAs beside the emotion's, FILE_OR_ID or FILE_OR_ID:WEIGHT.
        emotion: "adapter" (`emotion=`), "sentence" (EmoVid's sentence in the prompt) or "none".
        clips: a folder of finished clips with a metadata.jsonl (`file_name`, `prompt`, `emotion`, `seed`), or
            "stickers", which draws the stickers that the prompts name: what a perfect model would make; or "data", the
            data set's own clips.
        call: further arguments of the pipeline's call.
    """

    name: Text
    model: Name | None = None
    pipeline: Name | None = None
    adapter: Name | None = None
    load: Literal["both", "adapter", "lora"] = "both"
    preset: Literal["fast"] | None = None
    lora: tuple[Name, ...] = ()
    image: Flag = False
    emotion: Literal["adapter", "sentence", "none"] = "adapter"
    clips: Name | None = None
    call: Free = Field(default_factory=dict)

    def options(self, generation: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of its pipeline's call: `generation`, over it what the preset sets, over that its own."""
        preset = PRESETS[self.preset].call if self.preset else {}
        return {**generation, **preset, **self.call}


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class EvalConfig:
    """An evaluation.

    Attributes:
        prompts: "stickers" (held-out stickers, see `eval.benchmark.heldout`), "cast" (characters, see
            `eval.benchmark.cast_prompts`), or a JSONL file with `prompt` and perhaps `domain` and `image`.
        data: in place of prompts, a labelled data set (an output folder of `emogen data`, or what `train_lora.py`
            reads): of every clip of the split its caption is asked, with its own label. split: which; without it the
            benchmark, or the test part if there is none.
        num_prompts: of each domain, at most; "stickers" has the domains "rendered" and "real", "cast" also
            "unseen" and "expressive".
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

    name: Text
    systems: tuple[SystemConfig, ...]
    prompts: Name = "stickers"
    data: Name | None = None
    split: Name | None = None
    num_prompts: dict[Name, Annotated[Whole, Field(ge=0)]] = Field(default_factory=lambda: {"rendered": 4, "real": 0})
    emotions: Several[Text] = tuple(MIKELS)
    seeds: Several[SampleSeed] = (0,)
    baseline: Text | None = None
    reference: Text | None = None
    judges: Several[JudgeSpec] = ("embedded",)
    metrics: Several[Text] = ("agreement", "attributes", "temporal_flickering")
    generation: Free = Field(default_factory=dict)
    weights: dict[Name, Name] = Field(default_factory=dict)
    clip_format: Literal["png", "mp4"] = "png"

    @property
    def judge_names(self) -> tuple[str, ...]:
        """What the judges are called in the results."""
        return tuple(judge_name(spec) for spec in self.judges)

    def system(self, name: str) -> SystemConfig:
        return next(system for system in self.systems if system.name == name)


def load_eval_config(
    path: str | Path, trust_remote_code: bool = False, of_data: Mapping[str, str] | None = None
) -> EvalConfig:
    """Read and check a YAML file.

    Args:
        trust_remote_code: whether a judge may ask for its repository's code to be run.
        of_data: `data` and `split` of a command line, which win over the file's.

    Raises:
        ConfigError: naming the file, line and key, and the nearest known one.
    """
    document = read_yaml(path)
    if of_data and isinstance(document.values, dict):
        document.values = {**document.values, **of_data}
        document.places |= {(key,): f"--{key}" for key in of_data}
    return _checked(document, trust_remote_code)


def eval_config(raw: Mapping[str, Any], source: str = "configuration", trust_remote_code: bool = False) -> EvalConfig:
    """The same checks for a mapping."""
    return _checked(Document.of(raw, source), trust_remote_code)


def check_judges(judges: tuple[Any, ...], document: Document, trust_remote_code: bool) -> None:
    """Rules for judges together: no two of one name, and no code of strangers unless the command allows it.

    Raises:
        ConfigError: one is broken.
    """
    for place, spec in enumerate(judges):
        refuse_remote_code(spec, f"{document.place(('judges', place))}: judges[{place}]", trust_remote_code)
    names = [judge_name(spec) for spec in judges]
    refuser(document)(len(set(names)) < len(names), "judges", f"judges: two are called {names}")


def _checked(document: Document, trust_remote_code: bool) -> EvalConfig:
    _name_systems(document)
    config = build(EvalConfig, document)
    refuse = refuser(document)
    names = [system.name for system in config.systems]
    for system in config.systems:
        _check_system(system, refuse)
    for key in ("baseline", "reference"):
        value = getattr(config, key)
        refuse(value is not None and value not in names, key, f"{key}: {value!r} is no system ({', '.join(names)})")
    for emotion in config.emotions:
        try:
            known = parse_emotion(emotion).dominant == emotion
        except ValueError as error:
            refuse(True, "emotions", f"emotions: {error}")
        refuse(not known, "emotions", f"emotions: {emotion!r} is none of {', '.join(MIKELS)}")
    for key in ("emotions", "seeds"):
        values = getattr(config, key)
        refuse(len(set(values)) < len(values), key, f"{key}: one is named twice")
    _check_metrics(config, refuse)
    for place, spec in enumerate(config.judges):
        refuse(isinstance(spec, Mapping) and not spec.get("name"), "judges", f"judges[{place}]: a mapping needs a name")
    check_judges(config.judges, document, trust_remote_code)
    _check_prompts(config, refuse)
    return config


def _check_prompts(config: EvalConfig, refuse: Callable[[bool, str, str], None]) -> None:
    file = config.data is None and config.prompts not in DRAWN
    refuse(file and not os.path.isfile(config.prompts), "prompts", f"prompts: no file {config.prompts}")
    drawn = config.prompts in DRAWN and config.data is None
    for domain in config.num_prompts if drawn else ():
        known = DRAWN[config.prompts]
        said = f"num_prompts: prompts: {config.prompts} has no domain {domain!r}; it has {', '.join(known)}"
        refuse(domain not in known, f"num_prompts.{domain}", said)
    for system in config.systems:
        where = f"systems.{system.name}.clips"
        refuse(system.clips == "stickers" and not drawn, where,
               "clips: stickers can be drawn only for prompts: stickers or prompts: cast")  # fmt: skip
        refuse(system.clips == "data" and config.data is None, where, "clips: data needs data (or --data)")
    refuse(config.split is not None and config.data is None, "split", "split is of data; name the data set, too")


def _name_systems(document: Document) -> None:
    """`systems: {base: {...}}` as a list of systems that know their names.

    Raises:
        ConfigError: it is no mapping of mappings.
    """
    if not isinstance(document.values, dict):
        return
    systems, place = document.values.get("systems"), document.place(("systems",))
    if not isinstance(systems, Mapping) or not systems:
        raise ConfigError(f"{place}: systems must name what is compared, such as base: {{model: embedded}}")
    named = []
    for name, values in systems.items():
        place = document.place(("systems", name))
        if values is not None and not isinstance(values, Mapping):
            raise ConfigError(f"{place}: systems.{name} must be a mapping such as {{model: embedded}}, not {values!r}")
        if "name" in (values or {}):
            raise ConfigError(f"{place}: systems.{name}.name: unknown key 'name'; {name!r} is the system's name")
        document.names["systems", len(named)] = ("systems", name)
        named.append({"name": name, **(values or {})})
    document.values = {**document.values, "systems": named}


def _check_system(system: SystemConfig, refuse: Callable[[bool, str, str], None]) -> None:
    where = f"systems.{system.name}"

    def check(wrong: bool, key: str, message: str) -> None:
        refuse(wrong, f"{where}.{key}", f"{where}: {message}")

    plain = system.name.replace("_", "").replace("-", "")
    check(not (plain.isascii() and plain.isalnum()), "name", "use letters, digits, - and _")
    check((system.model is None) == (system.clips is None), "model", "give a model or clips, one of them")
    check(
        system.model is not None and system.emotion == "adapter" and system.adapter is None,
        "emotion",
        "emotion: adapter needs an adapter; say emotion: sentence or none without one",
    )
    check(
        system.emotion == "adapter" and system.load == "lora" and system.adapter is not None,
        "load",
        "load: lora leaves no adapter for emotion: adapter; say emotion: sentence",
    )
    check(system.pipeline is not None and system.adapter is not None, "pipeline", "adapters are for Wan models")
    for key in ("preset", "lora"):
        check(bool(getattr(system, key)) and system.model is None, key, f"{key} needs a model")
        check(bool(getattr(system, key)) and system.pipeline is not None, key, f"{key} is for Wan models")
    try:
        lora_specs(system.lora)
    except LoraError as error:
        check(True, "lora", str(error).removeprefix("--lora "))


def with_metrics(config: EvalConfig, metrics: Sequence[str] | None, weights: Mapping[str, str]) -> EvalConfig:
    """The same evaluation with the metrics and weights of a command line.

    Args:
        metrics: instead of the configuration's; None keeps those. weights: beside the configuration's.

    Raises:
        ConfigError: a metric is unknown or lacks what it needs.
    """

    def refuse(wrong: bool, key: str, message: str) -> None:
        if wrong:
            raise ConfigError(message.replace("metrics: ", "--metrics: ", 1))

    names = config.metrics if metrics is None else tuple(name.strip() for name in metrics)
    config = dataclasses.replace(config, metrics=names, weights={**config.weights, **weights})
    _check_metrics(config, refuse)
    return config


def _check_metrics(config: EvalConfig, refuse: Callable[[bool, str, str], None]) -> None:
    try:
        check_needs(
            metric_classes(config.metrics),
            weights=config.weights,
            reference=config.reference,
            seeds=len(config.seeds),
            images=any(system.image for system in config.systems),
        )
    except MetricError as error:
        refuse(True, "metrics", f"metrics: {error}")
