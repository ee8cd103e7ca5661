"""The README.md of an exported adapter: what the Hugging Face hub shows of it.

A card travels, so no path of the machine it was made on is left in it.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCardData

from emogen.data.records import ClipRecord
from emogen.emotion import MIKELS
from emogen.files import write_text
from emogen.models.lora import default_name
from emogen.models.weights import LORA_NAME, LORA_NAMES
from emogen.training.data.plan import Plan
from emogen.training.families import EmotionModel
from emogen.training.outputs.curves import CURVES
from emogen.training.outputs.export import lora_labels
from emogen.training.outputs.previews import FOLDER
from emogen.training.outputs.private_paths import absolute_paths, hide_paths, is_absolute, last_part, last_parts
from emogen.versions import versions

TASKS = ("text-to-video", "image-to-video")
_LIBRARIES = ("emogen", "torch", "diffusers", "transformers", "accelerate", "peft")
_FEW_CLIPS, _FEW_JUDGED = 50, 100
_EMBEDDED = {"embedded": "embedded_model", "embedded_i2v": "embedded_i2v_model"}
_PLACEBO = (
    "**This is a placebo.** The labels of its training clips were shuffled (`data.shuffle_labels`), so what it makes "
    "of an emotion was not learned from them. It is meant for comparison only."
)
_PROGRAMS = {
    "comfyui": "ComfyUI: put `{file}` into `models/loras` and load it with the node LoraLoaderModelOnly.",
    "diffsynth": 'DiffSynth-Studio: `pipe.load_lora(pipe.dit, "{file}")`.',
}


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card tells.

    Attributes:
        base_model: hub id, "embedded", "embedded_i2v", or a folder, of which only the name is shown.
        pipeline, stock_pipeline: names of the classes that the folder is used with, of emogen and of diffusers.
        steps: optimizer steps done.
        records: the clips that were used; those of split "train" are counted, others are held out.
        dropped: file name -> why a clip could not be used.
        config: the resolved configuration, in sections.
        task: one of `TASKS`.
        license: the hub's name of it, such as "apache-2.0"; left out if None.
        repo_id: where the folder will lie on the hub; "this/folder" in the examples if None.
        lora_rank, lora_parameters, adapter_parameters: 0 for a part the folder does not hold.
        lora_files: program ("comfyui", "diffsynth") -> file of the folder that holds the LoRA for it.
        lora_names: the files for diffusers, one a transformer.
        images: caption -> picture, relative to the card (curves, samples).
        results: name -> "value", "n" and, for a rate, "low" and "high", as `Preview.agreement` holds them; "EA-..." is
            shown in percent.
        results_note: what was measured on and by which judge.
        command: what started the run, as a line or as its words.
        versions: of the software; by default what is installed.
        limits: what else a user must know, a sentence each.

    Raises:
        ValueError: an unknown task or program, a picture or file that lies outside the folder, a result without n, or
            neither LoRA nor adapter.
    """

    base_model: str
    steps: int
    records: Sequence[ClipRecord]
    dropped: Mapping[str, str]
    config: Mapping[str, Any]
    pipeline: str
    stock_pipeline: str
    task: str = "text-to-video"
    license: str | None = None
    repo_id: str | None = None
    lora_rank: int = 0
    lora_parameters: int = 0
    adapter_parameters: int = 0
    lora_files: Mapping[str, str] = field(default_factory=dict)
    lora_names: Sequence[str] = (LORA_NAME,)
    images: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    results_note: str = ""
    command: str | Sequence[str] | None = None
    versions: Mapping[str, str] | None = None
    limits: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task is {self.task!r}; it must be one of {', '.join(TASKS)}")
        if not self.lora_parameters and not self.adapter_parameters:
            raise ValueError("the folder holds neither a LoRA nor an adapter: there is nothing to write a card of")
        for program in self.lora_files:
            if program not in _PROGRAMS:
                raise ValueError(f"lora_files: {program!r} is not one of {', '.join(_PROGRAMS)}")
        for name, path in [*self.lora_files.items(), *self.images.items()]:
            if is_absolute(path) or ".." in Path(path).parts:
                raise ValueError(f"{name!r}: {path} must be relative to the card, inside its folder")
        for name, result in self.results.items():
            if "n" not in result or "value" not in result:
                raise ValueError(f"results: {name!r} needs a value and its n")


def write_card(plan: Plan, model: EmotionModel, step: int, agreement: Mapping[str, Any] | None = None) -> None:
    """Write README.md of the output folder anew.

    Args:
        step: optimizer steps done.
        agreement: the judge's on the newest samples, as `Preview.agreement` holds it.
    """
    config, folder = plan.config, Path(plan.config.run.output_dir)
    sizes = {name: sum(value.numel() for value in values) for name, values in model.parameter_groups().items()}
    samples = sorted((folder / FOLDER).glob("step-*.webp")) if (folder / FOLDER).is_dir() else []
    images = {"Losses": CURVES} if (folder / CURVES).is_file() else {}
    if samples:
        images["Samples: a row a prompt, a column an emotion"] = f"{FOLDER}/{samples[-1].name}"
    formats = config.checkpoint.export_formats or []
    checks = config.validation
    note = ""
    if agreement:
        note = f"{len(checks.validation_prompts or [])} prompts, {checks.validation_seeds} seeds; judge: {checks.judge}"
    family = plan.family
    facts = CardFacts(
        base_model=config.model.pretrained_model_name_or_path,
        steps=step,
        records=[clip.record for clip in plan.clips],
        dropped=plan.dropped,
        config=config.to_dict(),
        pipeline=family.pipeline_class.__name__,
        stock_pipeline=family.stock_pipeline_class.__name__,
        task="image-to-video" if family.kind == "i2v" else "text-to-video",
        repo_id=config.run.hub_model_id,
        lora_rank=config.lora.rank,
        lora_parameters=sizes.get("lora", 0),
        adapter_parameters=sizes.get("adapter", 0),
        lora_files={
            name: " and ".join(default_name(name, label) for label in lora_labels(family).values()) for name in formats
        }
        if config.lora.rank
        else {},
        lora_names=list(lora_labels(family)),
        images=images,
        results=agreement or {},
        results_note=note,
        command=["train_lora.py", *sys.argv[1:]],
    )
    write_text(folder / "README.md", model_card(facts))


def model_card(facts: CardFacts) -> str:
    """The card as Markdown with YAML front matter."""
    config, records, dropped, base_model = facts.config, facts.records, facts.dropped, facts.base_model
    lora_rank, lora_parameters, adapter_parameters = facts.lora_rank, facts.lora_parameters, facts.adapter_parameters
    placebo = bool((config.get("data") or {}).get("shuffle_labels"))
    base = Path(base_model).name if os.path.isdir(base_model) else last_part(base_model)
    title = "the embedded model of emogen" if base_model in _EMBEDDED else base
    data = ModelCardData(
        base_model=base if re.fullmatch(r"[\w.-]+/[\w.-]+", base) else None,
        library_name="diffusers",
        pipeline_tag=facts.task,
        license=facts.license,
        tags=["emogen", "wan", "emotion", *["lora"] * bool(lora_parameters), *["placebo"] * placebo, facts.task],
    )
    if data.base_model is not None:
        data.base_model_relation = "adapter"
    parts = [f"a rank-{lora_rank} LoRA ({lora_parameters:,} parameters)"] * bool(lora_parameters)
    parts += [f"an emotion adapter ({adapter_parameters:,} parameters)"] * bool(adapter_parameters)
    # an error may name a clip's folder, which may hold spaces
    folders = {record.path.parent for record in records}
    known = {*absolute_paths(config), *(str(folder.absolute()) for folder in folders)}
    hide = functools.partial(hide_paths, known=known)
    train = [record for record in records if record.split == "train"]
    sections = [
        f"# Emotion conditioning for {title}\n\nHolds {' and '.join(parts)} for {facts.task}, trained for "
        f"{facts.steps:,} steps with emogen.",
        *([_PLACEBO] if placebo else []),
        "## Use\n\n" + _usage(facts, base),
        "## Results\n\n" + (_results(facts.results, facts.results_note) if facts.results else "Not measured."),
        *(f"![{caption}]({path})" for caption, path in facts.images.items()),
        "## Training data\n\n" + _data(train, len(records) - len(train), dropped, hide)
        + ("\n\nLabels are counted as they were dealt out." if placebo else ""),
        "## Limits\n\n" + "\n".join(f"- {line}" for line in [*facts.limits, *_limits(train, facts, title)]),
        "## How it was made\n\n" + _making(config, facts.command, facts.versions or _installed()),
    ]  # fmt: skip
    text = "\n\n".join(sections) + "\n"
    return f"---\n{data.to_yaml()}\n---\n{hide(text)}"


def _usage(facts: CardFacts, base: str) -> str:
    folder, kind = facts.repo_id or "this/folder", facts.stock_pipeline
    lora, adapter = facts.lora_parameters > 0, facts.adapter_parameters > 0
    image = facts.task == "image-to-video"
    load, also = f'"{base}"', ""
    if facts.base_model in _EMBEDDED:
        function = _EMBEDDED[facts.base_model]
        load, also = f"{function}()", f"from emogen import {function}\n"
    also += "from diffusers.utils import load_image\n" if image else ""
    first = 'image = load_image("first_frame.png")\n' if image else ""
    given = "image, " if image else ""
    own = "load_emotion_adapter" if adapter else "load_lora_weights"
    blocks = [
        f"```python\n{also}from emogen.pipelines import {facts.pipeline}\n\n"
        f'pipe = {facts.pipeline}.from_pretrained({load})\npipe.{own}("{folder}")\n{first}'
        f'video = pipe({given}prompt="a round yellow face", emotion="awe:0.8").frames[0]\n```'
    ]
    if not adapter:
        blocks.append("There is no emotion adapter here: `emotion=` becomes a sentence of the prompt.")
    if lora:

        def load_lora(name: str) -> str:
            second = ", load_into_transformer_2=True" if name == LORA_NAMES["transformer_2"] else ""
            return f'pipe.load_lora_weights("{folder}", weight_name="{name}"{second})\n'

        alone = ", without the emotion adapter, which only emogen knows" if adapter else ""
        only = f"from emogen import {_EMBEDDED[facts.base_model]}\n" if facts.base_model in _EMBEDDED else ""
        blocks.append(
            f"The LoRA by itself, in stock diffusers{alone}:\n\n```python\n{only}from diffusers import {kind}\n\n"
            f"pipe = {kind}.from_pretrained({load})\n{''.join(map(load_lora, facts.lora_names))}```"
        )
        blocks += [_PROGRAMS[program].format(file=file) for program, file in facts.lora_files.items()]
    return "\n\n".join(blocks)


def _results(results: Mapping[str, Mapping[str, Any]], note: str) -> str:
    lines = ["| measure | value | 95 % interval | n |", "|---|---:|---|---:|"]
    for name, result in results.items():
        percent = name.startswith("EA-")

        def shown(value: float, percent: bool = percent) -> str:
            return f"{100 * value:.1f} %" if percent else f"{value:.4g}"

        both = result.get("low") is not None and result.get("high") is not None
        interval = f"{shown(result['low'])} to {shown(result['high'])}" if both else ""
        lines.append(f"| {name} | {shown(result['value'])} | {interval} | {result['n']:,} |")
    return "\n".join(lines) + (f"\n\n{note}" if note else "")


def _data(train: Sequence[ClipRecord], held_out: int, dropped: Mapping[str, str],
          hide: Callable[[str], str]) -> str:  # fmt: skip
    counts = Counter((record.label, record.domain or "not given") for record in train)
    domains = [name for name, _ in Counter(domain for _, domain in counts.elements()).most_common()]
    labels = Counter(record.label for record in train)
    lines = [f"{len(train):,} clips" + (f", and {held_out:,} held out" if held_out else "") + ".", ""]
    columns = domains if domains != ["not given"] else []
    lines += ["| emotion | clips |" + "".join(f" {_cell(name)} |" for name in columns)]
    lines += ["|---|---:|" + "---:|" * len(columns)]
    lines += [f"| {label} | {count:,} |" + "".join(f" {counts[label, name]:,} |" for name in columns)
              for label, count in labels.most_common()]  # fmt: skip
    lines += ["", "| labelled by | clips |", "|---|---:|"]
    sources = Counter(record.label_source or "not given" for record in train)
    lines += [f"| {_cell(name)} | {count:,} |" for name, count in sources.most_common()]
    if dropped:
        reasons = Counter(_reason(name, hide(why)) for name, why in dropped.items())
        lines += ["", f"{len(dropped):,} more could not be used:", "", "| why | clips |", "|---|---:|"]
        lines += [f"| {why} | {count:,} |" for why, count in reasons.most_common()]
    return "\n".join(lines)


def _reason(name: str, why: str) -> str:
    """Why a clip was dropped without its name, so that like reasons can be counted together."""
    for own in (name, Path(name).name):
        why = why.replace(own, "the clip")
    return _cell(why.removeprefix("the clip: "))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _limits(train: Sequence[ClipRecord], facts: CardFacts, base: str) -> list[str]:
    """What follows from the counts."""
    counts = Counter(record.label for record in train)
    found = [f"It makes what {base} can make, with its faults; emotions look as the labellers of the clips read them."]
    none = [name for name in MIKELS if not counts[name]]
    few = [f"{name} ({counts[name]})" for name in MIKELS if 0 < counts[name] < _FEW_CLIPS]
    if none:
        found.append(f"No clip showed {', '.join(none)}.")
    if few:
        found.append(f"Learned from fewer than {_FEW_CLIPS} clips: {', '.join(few)}.")
    if not any(record.label_source for record in train):
        found.append("Who labelled the clips is not recorded.")
    if facts.results and min(result["n"] for result in facts.results.values()) < _FEW_JUDGED:
        found.append(f"Some results rest on fewer than {_FEW_JUDGED} clips; their intervals say how little that is.")
    if facts.lora_files:
        found.append("Files for other programs hold the LoRA alone, which does not take an emotion.")
    return found


def _making(config: Mapping[str, Any], command: str | Sequence[str] | None, versions: Mapping[str, str]) -> str:
    blocks = []
    if command is not None:
        words = shlex.split(command) if isinstance(command, str) else command
        cut = [re.sub(r"(?s)^(--[\w.]+=)?(.*)$", lambda m: (m[1] or "") + last_part(m[2]), word) for word in words]
        blocks.append(f"```\n{shlex.join(cut)}\n```")
    blocks.append(", ".join(f"{name} {version}" for name, version in versions.items()) + ".")
    settings = yaml.safe_dump(last_parts(config), sort_keys=False, allow_unicode=True, width=100)
    blocks.append(f"<details><summary>Every setting</summary>\n\n```yaml\n{settings}```\n\n</details>")
    return "\n\n".join(blocks)


def _installed() -> dict[str, str]:
    return {"Python": platform.python_version(), **versions(*_LIBRARIES)}
