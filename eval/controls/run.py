"""The measurement from one end to the other: make the missing clips, judge them, summarise, report."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from emogen.eval.benchmark.measure import load_judges
from emogen.eval.benchmark.recipes import Recipes
from emogen.eval.benchmark.results import Controls, read_results
from emogen.eval.benchmark.run import launched, save, to_best_device, versions, writing_alone
from emogen.eval.benchmark.systems import computing, load_system, noise_seed, say_made_again
from emogen.eval.controls import arcs, intensity, mixtures, plane
from emogen.eval.controls.asks import Ask, held_out_prompts
from emogen.eval.controls.config import STUDIES, ControlsConfig
from emogen.eval.controls.readings import read_study
from emogen.eval.controls.report import write_report
from emogen.eval.judges.card import cards_of, warnings_for
from emogen.made import Recipe, note_made, why_not_made
from emogen.media.pixels import to_uint8
from emogen.media.writer import write_video
from emogen.settings import ConfigError

_MODULES: dict[str, ModuleType] = {"intensity": intensity, "plane": plane, "mixtures": mixtures, "arcs": arcs}


def run_controls(
    config: ControlsConfig, out: Path, only: Sequence[str] = STUDIES, quiet: bool = False
) -> dict[str, Any]:
    """Run the studies, or what is left of them. A clip that exists is taken if it was made by the same recipe.

    Under `accelerate launch` every process makes a share of the prompts' clips; the first one judges. Studies not in
    `only` are kept in the results if these are of the same configuration.

    Returns:
        The results, also in `out/results.json`; the page is `out/report.html`. On other processes, nothing.

    Raises:
        EvalConfigError: before anything is generated, if judges or prompts cannot be had, or another process writes
            into `out`.
    """
    state = launched()
    prompts, judges = held_out_prompts(config), load_judges(config.judges)
    asks = {study: _MODULES[study].asks(config, prompts) for study in STUDIES if study in only}
    with writing_alone(state, out):
        rank, world = state.process_index, state.num_processes
        mine = [ask for part in asks.values() for ask in part if ask.number % world == rank]
        generate(config, mine, out, quiet or not state.is_main_process)
        state.wait_for_everyone()
        if not state.is_main_process:
            return {}
        to_best_device(judges)
        described = json.loads(json.dumps(dataclasses.asdict(config)))
        before = _before(out, described, only)
        rows, excluded = dict(before.get("rows", {})), dict(before.get("excluded", {}))
        for study, part in asks.items():
            rows[study], excluded[study] = read_study(config, study, part, out, judges, quiet)
        warned = [line for judge in judges.values() for line in warnings_for(judge, config.system.adapter)]
        results = {
            "config": described, "made_with": versions(), "prompts": prompts, "judges": cards_of(judges),
            "warnings": list(dict.fromkeys(warned)), "excluded": excluded,
            "studies": {judge: {study: _MODULES[study].summarise(config, rows[study], judge)
                                for study in STUDIES if study in rows} for judge in judges},
            "rows": rows,
        }  # fmt: skip
        save(results, out)
        write_report(results, out)
        return results


def _before(out: Path, described: Mapping[str, Any], only: Sequence[str]) -> dict[str, Any]:
    """Earlier results of the same configuration."""
    if not (out / "results.json").is_file():
        return {}
    try:
        found = read_results(out, Controls)
    except ConfigError as error:
        print(f"note: {error}; its studies are measured anew", file=sys.stderr)
        return {}
    if found.get("config") == described:
        return found
    left = [study for study in found.get("rows", ()) if study not in only]
    if left:
        print(f"note: {out / 'results.json'} was of another configuration; {', '.join(left)} is no longer in it",
              file=sys.stderr)  # fmt: skip
    return {}


def generate(config: ControlsConfig, asks: Sequence[Ask], out: Path, quiet: bool = False) -> None:
    """Make the clips that are missing or of another recipe, lossless, under `out/clips`. Asks of a prompt share noise
    and go in batches."""
    import torch
    from tqdm import tqdm

    folder = out / "clips"
    recipes, every = Recipes(config.generation), {ask.file(): ask for ask in asks}
    why = {file: why_not_made(folder / file, _recipe(recipes, config, ask)) for file, ask in every.items()}
    todo = {file: ask for file, ask in every.items() if why[file] is not None}
    say_made_again("controls", why.values())
    if not todo:
        return
    pipe = load_system(config.system)
    fps, factor = float(getattr(pipe, "fps", 0) or 8), int(getattr(pipe, "vae_scale_factor_temporal", 4))
    groups: dict[tuple, list[Ask]] = {}
    for ask in todo.values():  # one emotion_scale a call; and an arc among constant ones would make arcs of them
        groups.setdefault((ask.number, ask.seed, ask.scale, ask.moving), []).append(ask)
    batches = [group[i : i + config.batch_size] for group in groups.values()
               for i in range(0, len(group), config.batch_size)]  # fmt: skip
    with tqdm(total=len(todo), desc="clips", unit="clip", disable=quiet) as bar:
        for part in batches:
            call = config.system.options(config.generation)
            noise = [torch.Generator().manual_seed(noise_seed(ask.seed, ask.number)) for ask in part]
            with computing():
                made = pipe(
                    prompt=[ask.prompt for ask in part],
                    emotion=[ask.emotion for ask in part],
                    emotion_scale=part[0].scale,
                    generator=noise,
                    output_type="np",
                    **call,
                ).frames
            for ask, clip in zip(part, to_uint8(made), strict=True):
                about = {"prompt": ask.prompt, "emotion": ask.emotion, "emotion_scale": ask.scale, "seed": ask.seed,
                         "temporal_factor": factor}  # fmt: skip
                write_video(folder / ask.file(), clip, fps, about)
                note_made(folder / ask.file(), _recipe(recipes, config, ask))
            bar.update(len(part))


def _recipe(recipes: Recipes, config: ControlsConfig, ask: Ask) -> Recipe:
    asked = {"prompt": ask.prompt, "emotion": ask.emotion, "emotion_scale": ask.scale, "seed": ask.seed,
             "noise": noise_seed(ask.seed, ask.number)}  # fmt: skip
    return recipes.sampled(config.system, asked)
