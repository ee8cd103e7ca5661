"""Making, or finding, the clips of a system."""

from __future__ import annotations

import inspect
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emogen.data.tables import Columns, RecordError, good_rows
from emogen.emotion import EmotionState, emotion_prompt
from emogen.eval.benchmark.config import EvalConfig, EvalConfigError, SystemConfig
from emogen.eval.benchmark.heldout import draw_sticker, first_frame
from emogen.eval.benchmark.items import Item
from emogen.eval.benchmark.recipes import Recipes, picture_print
from emogen.files import atomic, fingerprint_file
from emogen.made import Recipe, note_made, why_not_made
from emogen.media.pixels import to_uint8
from emogen.media.writer import write_video
from emogen.models.text_limit import fit_prompts

MISSING = "it is missing"
MADE_HERE = (None, "stickers", "data")
"""What `clips` says where a system's clips lie in the evaluation's own folder."""
_CLIPS = Columns({**dict.fromkeys(("file_name", "prompt", "emotion"), str), "seed": int})


def clip_path(out: Path, config: EvalConfig, system: SystemConfig, item: Item) -> Path:
    ending = Path(item.prompt.image).suffix.lower() if system.clips == "data" else f".{config.clip_format}"
    return out / "clips" / system.name / f"{item.key}{ending}"


def generate(
    config: EvalConfig, items: Sequence[Item], out: Path, rank: int = 0, world: int = 1, quiet: bool = False
) -> None:
    """Make every clip that is missing, damaged, or was made by another recipe, each process a share of the prompts. The
    others are left alone, so an interrupted evaluation is resumed; what is made again is said, with the reason."""
    recipes = Recipes(config.generation)
    for system in config.systems:
        if system.clips not in MADE_HERE:
            continue
        mine = [item for item in items if item.number % world == rank and _makes(system, item)]
        why = [why_not_made(clip_path(out, config, system, item), recipe_of(recipes, system, item)) for item in mine]
        todo = [item for item, reason in zip(mine, why, strict=True) if reason is not None]
        say_made_again(system.name, why)
        if todo:
            make = {"stickers": _draw, "data": _bring}.get(system.clips, _sample)
            make(system, config, todo, out, recipes, quiet)


def say_made_again(name: str, reasons: Any) -> None:
    """A line on stderr that counts the clips that are there and are made again, by reason."""
    counts = Counter(reason for reason in reasons if reason not in (None, MISSING))
    if counts:
        listed = "; ".join(f"{count}: {reason}" for reason, count in counts.most_common())
        print(f"note: {name}: {sum(counts.values())} clips are made again ({listed})", file=sys.stderr)


def recipe_of(recipes: Recipes, system: SystemConfig, item: Item) -> Recipe:
    """By which recipe a system's clip of an item is made."""
    if system.clips == "stickers":
        return recipes.drawn(item.prompt.sticker(item.emotion, item.seed))
    if system.clips == "data":
        return {"clip": fingerprint_file(item.prompt.image)}
    ask: dict[str, Any] = {"prompt": item.prompt.text, "emotion": item.emotion, "seed": item.seed}
    ask["noise"] = noise_seed(item.seed, item.number)
    if system.image and item.prompt.image is not None:
        ask["image"] = picture_print(item.prompt.image)
    elif system.image and item.prompt.start is not None:
        ask["start"] = item.prompt.start
    return recipes.sampled(system, ask)


def _makes(system: SystemConfig, item: Item) -> bool:
    """Whether the system has a clip of the item: only prompts about a sticker can be drawn."""
    return system.clips != "stickers" or item.prompt.spec is not None


def find_clips(config: EvalConfig, system: SystemConfig, items: Sequence[Item], out: Path) -> dict[str, Path]:
    """Item key -> file, for the clips of the system that exist."""
    if system.clips in MADE_HERE:
        paths = {item.key: clip_path(out, config, system, item) for item in items if _makes(system, item)}
        return {key: path for key, path in paths.items() if path.is_file()}
    return clips_in_folder(system, items)


def clips_in_folder(system: SystemConfig, items: Sequence[Item]) -> dict[str, Path]:
    """Clips from elsewhere, told by their metadata.

    Raises:
        EvalConfigError: there is no metadata, a row is wrong, or no clip is of this run.
    """
    folder = Path(system.clips)
    metadata = folder / "metadata.jsonl"
    if not metadata.is_file():
        raise EvalConfigError(
            f"systems.{system.name}: {metadata} does not exist; it should hold one JSON object a clip: file_name, "
            "prompt, emotion and perhaps seed"
        )
    by_ask = {(item.prompt.text, item.emotion, item.seed): item.key for item in items}
    found: dict[str, Path] = {}
    try:
        for where, _, values in good_rows(metadata, _CLIPS):
            if missing := [name for name in ("file_name", "prompt", "emotion") if name not in values]:
                raise RecordError(f"{where}: {missing[0]!r} is missing; a clip needs file_name, prompt and emotion")
            ask = (values["prompt"], values["emotion"], values.get("seed", items[0].seed))
            if ask in by_ask:
                if by_ask[ask] in found:
                    raise RecordError(f"{where}: a second clip of {ask[0]!r}, {ask[1]}, seed {ask[2]}")
                found[by_ask[ask]] = _inside(folder, values["file_name"], where)
    except RecordError as error:
        raise EvalConfigError(f"systems.{system.name}: {error}") from error
    if not found:
        raise EvalConfigError(f"systems.{system.name}: no clip of {metadata} is of this run's prompts")
    return found


def _inside(folder: Path, name: str, where: str) -> Path:
    """The file of a row, which must lie in the folder: rows are a stranger's."""
    path = Path(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise RecordError(f"{where}: file_name {name!r} lies outside of the folder")
    return folder / path


def _draw(
    system: SystemConfig, config: EvalConfig, todo: Sequence[Item], out: Path, recipes: Recipes, quiet: bool
) -> None:
    """The sticker that a prompt names, with the emotion asked for: what a perfect model would make."""
    from tqdm import tqdm

    for item in tqdm(todo, desc=system.name, unit="clip", disable=quiet):
        path = clip_path(out, config, system, item)
        write_video(path, draw_sticker(item.prompt.sticker(item.emotion, item.seed)), 12, quality=100)
        note_made(path, recipe_of(recipes, system, item))


def _bring(
    system: SystemConfig, config: EvalConfig, todo: Sequence[Item], out: Path, recipes: Recipes, quiet: bool
) -> None:
    """The data set's own clips."""
    for item in todo:
        path = clip_path(out, config, system, item)
        with atomic(path) as temporary:
            shutil.copyfile(item.prompt.image, temporary)
        note_made(path, recipe_of(recipes, system, item))


def _sample(
    system: SystemConfig, config: EvalConfig, todo: Sequence[Item], out: Path, recipes: Recipes, quiet: bool
) -> None:
    """All missing clips of a prompt at a time."""
    import torch
    from tqdm import tqdm

    pipe = load_system(system)
    by_prompt: dict[tuple[int, int], list[Item]] = {}
    for item in todo:
        by_prompt.setdefault((item.number, item.seed), []).append(item)
    with tqdm(total=len(todo), desc=system.name, unit="clip", disable=quiet) as bar:
        for part in by_prompt.values():
            states = [EmotionState.of(item.emotion) for item in part]
            texts = [item.prompt.text for item in part]
            call = system.options(config.generation)
            if system.emotion == "sentence":
                limit = call.get("max_sequence_length") or _text_length(pipe)
                texts = fit_prompts(pipe.tokenizer, limit, texts, [emotion_prompt(state) for state in states])
            if system.emotion == "none":
                texts = texts[:1]  # one clip serves all emotions
            if system.emotion == "adapter":
                call["emotion"] = states
            if system.image:
                call["image"] = first_frame(part[0].prompt, part[0].seed)
            generators = [torch.Generator().manual_seed(noise_seed(part[0].seed, part[0].number)) for _ in texts]
            with computing():
                made = pipe(prompt=texts, generator=generators, output_type="np", **call).frames
            frames = to_uint8(made)
            fps = float(getattr(pipe, "fps", 0) or 8)
            for row, item in enumerate(part):
                path = clip_path(out, config, system, item)
                write_video(path, frames[min(row, len(frames) - 1)], fps, quality=100)
                note_made(path, recipe_of(recipes, system, item))
            bar.update(len(part))


def _text_length(pipe: Any) -> int:
    """Tokens that the pipeline's text encoder reads by default."""
    made_for = getattr(getattr(pipe, "generation_defaults", None), "max_sequence_length", None)
    return made_for or inspect.signature(type(pipe).__call__).parameters["max_sequence_length"].default


def noise_seed(seed: int, number: int) -> int:
    """Of a prompt's noise, which all its emotions share."""
    return seed * 100_003 + number


def computing() -> Any:
    """On a CPU, models are held in float32 and computed in bfloat16: enter this around a pipeline's call."""
    import torch

    from emogen.pipelines.loading import best_device

    return torch.autocast("cpu", torch.bfloat16, enabled=best_device() == "cpu")


def load_system(system: SystemConfig) -> Any:
    """The system's pipeline, with its adapter, on the best device there is.

    Raises:
        EvalConfigError: the model or adapter cannot be had, or do not fit.
    """
    from emogen.pipelines.composition import LoraOptions, lora_specs
    from emogen.pipelines.loading import best_device, open_pipeline

    kind = system.pipeline or ("image" if system.image else "text")
    # on a CPU, weights stay as they are stored, and `computing` sees to the rest
    dtype = "stored" if best_device() == "cpu" else None
    try:
        loras = LoraOptions(lora_specs(system.lora))
        options = {"kind": kind, "dtype": dtype, "load": system.load, "loras": loras, "preset": system.preset}
        pipe = open_pipeline(system.model, system.adapter, **options)
    except (OSError, ValueError) as error:
        raise EvalConfigError(f"systems.{system.name}: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    return pipe
