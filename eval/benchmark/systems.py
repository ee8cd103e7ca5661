"""Making, or finding, the clips of a system."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emogen.data.tables import Columns, RecordError, good_rows
from emogen.emotion import EmotionState, emotion_prompt
from emogen.eval.benchmark.config import EvalConfig, EvalConfigError, SystemConfig
from emogen.eval.benchmark.first_frames import first_frame
from emogen.eval.benchmark.items import Item
from emogen.media.pixels import to_uint8
from emogen.media.reader import read_video
from emogen.media.writer import write_video

_CLIPS = Columns({**dict.fromkeys(("file_name", "prompt", "emotion"), str), "seed": int})


def clip_path(out: Path, config: EvalConfig, system: str, item: Item) -> Path:
    return out / "clips" / system / f"{item.key}.{config.clip_format}"


def generate(
    config: EvalConfig, items: Sequence[Item], out: Path, rank: int = 0, world: int = 1, quiet: bool = False
) -> None:
    """Make every clip that is missing, each process a share of the prompts. What exists is left alone, so an
    interrupted evaluation goes on."""
    for system in config.systems:
        if system.clips not in (None, "stickers"):
            continue
        mine = [item for item in items if item.number % world == rank]
        todo = [item for item in mine if not clip_path(out, config, system.name, item).is_file()]
        if todo:
            make = _draw if system.clips == "stickers" else _sample
            make(system, config, todo, out, quiet)


def find_clips(config: EvalConfig, system: SystemConfig, items: Sequence[Item], out: Path) -> dict[str, Path]:
    """Item key -> file, for the clips of the system that exist."""
    if system.clips in (None, "stickers"):
        paths = {item.key: clip_path(out, config, system.name, item) for item in items}
        return {key: path for key, path in paths.items() if path.is_file()}
    return _in_folder(system, items)


def _in_folder(system: SystemConfig, items: Sequence[Item]) -> dict[str, Path]:
    """Clips from elsewhere, told by their metadata."""
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
                found[by_ask[ask]] = folder / values["file_name"]
    except RecordError as error:
        raise EvalConfigError(f"systems.{system.name}: {error}") from error
    if not found:
        raise EvalConfigError(f"systems.{system.name}: no clip of {metadata} is of this run's prompts")
    return found


def _draw(system: SystemConfig, config: EvalConfig, todo: Sequence[Item], out: Path, quiet: bool) -> None:
    """The sticker that a prompt names, with the emotion asked for: what a perfect model would make."""
    from tqdm import tqdm

    from emogen.stickers.render import render

    for item in tqdm(todo, desc=system.name, unit="clip", disable=quiet):
        spec = item.prompt.sticker(item.emotion, item.seed)
        if spec is not None:
            write_video(clip_path(out, config, system.name, item), render(spec), 12, quality=100)


def _sample(system: SystemConfig, config: EvalConfig, todo: Sequence[Item], out: Path, quiet: bool) -> None:
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
            call: dict[str, Any] = {**config.generation, **system.call}
            if system.emotion == "sentence":
                texts = [f"{text} {emotion_prompt(state)}" for text, state in zip(texts, states, strict=True)]
            if system.emotion == "none":
                texts = texts[:1]  # one clip serves all emotions
            if system.emotion == "adapter":
                call["emotion"] = states
            if system.image:
                call["image"] = first_frame(part[0].prompt, part[0].seed)
            generators = [torch.Generator().manual_seed(part[0].seed * 100_003 + part[0].number) for _ in texts]
            with torch.autocast("cpu", torch.bfloat16, enabled=not torch.cuda.is_available()):
                made = pipe(prompt=texts, generator=generators, output_type="np", **call).frames
            frames = to_uint8(made)
            fps = float(getattr(pipe, "fps", 0) or 8)
            for row, item in enumerate(part):
                path = clip_path(out, config, system.name, item)
                write_video(path, frames[min(row, len(frames) - 1)], fps, quality=100)
            bar.update(len(part))


def load_system(system: SystemConfig) -> Any:
    """The system's pipeline, with its adapter, on the GPU where there is one."""
    import torch

    cuda = torch.cuda.is_available()
    options = {"torch_dtype": torch.bfloat16} if cuda else {}
    if system.pipeline is not None:
        import diffusers

        cls = getattr(diffusers, system.pipeline, None)
        if cls is None:
            raise EvalConfigError(f"systems.{system.name}: diffusers has no pipeline {system.pipeline!r}")
        pipe = cls.from_pretrained(system.model, **options)
    else:
        from emogen import embedded, pipelines

        models = {"embedded": embedded.embedded_model, "embedded_i2v": embedded.embedded_i2v_model}
        adapters = {"embedded": embedded.embedded_adapter, "embedded_i2v": embedded.embedded_i2v_adapter}
        kind = pipelines.EmotionWanImageToVideoPipeline if system.image else pipelines.EmotionWanPipeline
        pipe = kind.from_pretrained(models[system.model]() if system.model in models else system.model, **options)
        if system.adapter is not None:
            folder = adapters[system.adapter]() if system.adapter in adapters else system.adapter
            if system.load == "lora":
                pipe.load_lora_weights(folder)
            else:
                pipe.load_emotion_adapter(folder, load_lora=system.load == "both")
    pipe.set_progress_bar_config(disable=True)
    return pipe.to("cuda" if cuda else "cpu")


def read_clip(path: Path, least_frames: int = 2) -> np.ndarray:
    """uint8 `[F, H, W, 3]`.

    Raises:
        ValueError: the file is missing, unreadable or too short; the message says which.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frames, _ = read_video(path)
        except FileNotFoundError as error:
            raise ValueError("no such file") from error
        except (OSError, ValueError) as error:
            raise ValueError(f"unreadable ({error})") from error
    if len(frames) < least_frames:
        raise ValueError(f"has {len(frames)} frame, {least_frames} are needed")
    return frames
