"""The check from one end to the other: clips, readings, figures, files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emogen.data.records import ClipRecord
from emogen.emotion import MIKELS, NEUTRAL
from emogen.eval.benchmark.config import EvalConfigError
from emogen.eval.benchmark.run import save, versions
from emogen.eval.judges.card import cards_of, warnings_for
from emogen.eval.judges.data import labelled_records
from emogen.eval.judges.embedded import Judge
from emogen.eval.metrics.base import REGISTRY
from emogen.eval.sanity.corruptions import CORRUPTIONS, check_strengths
from emogen.eval.sanity.readings import read_all
from emogen.eval.sanity.report import draw
from emogen.eval.sanity.summary import halves_of, summarise
from emogen.stickers.dataset import write_sticker_dataset

DISTANCES = {name: cls for name, cls in REGISTRY.items() if cls.about.interval == "halves"}
PLOT = "distances.png"


def run_sanity(
    records: Sequence[ClipRecord],
    out: Path,
    *,
    networks: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    judges: Mapping[str, Judge],
    strengths: Mapping[str, Sequence[float]] | None = None,
    splits: int = 20,
    seed: int = 0,
    data: str = "clips",
    quiet: bool = True,
) -> dict[str, Any]:
    """Make real clips worse step by step, and see whether distances and judges tell.

    Args:
        records: the clips, with their labels.
        out: where `results.json` and the plot go.
        networks: name of the distance -> features of clips, as in the benchmark.
        judges: name -> judge; none is fine.
        strengths: corruption -> strengths, instead of the usual ones.
        splits: random divisions into halves that distances are averaged over.
        seed: of the divisions and corruptions.
        data: what the clips are called in the results.

    Returns:
        What is in `results.json`: the figures of `summary.summarise` and what they rest on.

    Raises:
        EvalConfigError: strengths are out of range, no network, fewer than two divisions, or too few clips.
    """
    levels = check_strengths(strengths or {})
    if not networks:
        raise EvalConfigError("no features to take a distance of")
    if splits < 2:
        raise EvalConfigError(f"splits is {splits}; at least 2 are needed to tell how far distances scatter")
    found = read_all(records, levels, networks, judges, seed, quiet)
    halves = halves_of(len(found.records), splits, seed)
    results: dict[str, Any] = {
        "data": data, "seed": seed, "splits": splits, "made_with": versions(),
        "strengths": {name: list(given) for name, given in levels.items()},
        "units": {name: CORRUPTIONS[name].unit for name in levels},
        **summarise(found, levels, list(networks), list(judges), halves),
        "settings": {name: getattr(network, "settings", {}) for name, network in networks.items()},
        "cards": cards_of(judges), "excluded": found.excluded, "notes": _notes(found.records, judges, found.excluded),
    }  # fmt: skip
    save(results, out)
    try:
        draw(results, out / PLOT)
    except ModuleNotFoundError as error:
        results["notes"].append(str(error))
        save(results, out)
    return results


def sanity_records(
    data: str | None, clips: int | None, out: Path, *, split: str = "all", seed: int = 0, quiet: bool = True
) -> list[ClipRecord]:
    """The clips: of a data set, all or `clips` of them drawn by lot; or, without one, stickers drawn for the purpose.

    Raises:
        EvalConfigError, JudgeError: no such data, or an impossible number of clips.
    """
    if data is None:
        count = 128 if clips is None else clips
        try:
            folder = write_sticker_dataset(out / f"stickers-{count}-seed{seed}", count, seed=seed, quiet=quiet)
        except ValueError as error:
            raise EvalConfigError(f"--clips: {error}") from error
        return labelled_records(folder)
    records = labelled_records(data, split)
    if clips is None:
        return records
    if not 0 < clips <= len(records):
        raise EvalConfigError(f"--clips {clips}: {data} has {len(records)} clips of the split {split!r}")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(records))[:clips])
    return [records[place] for place in chosen]


def sanity_networks(
    features: Sequence[str], weights: Mapping[str, str], device: str = "cpu"
) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """The networks of distances of the benchmark (`DISTANCES`), by their names there.

    Raises:
        EvalConfigError: an unknown name, a file that is not given, or weights or a package that are missing.
    """
    taken = {key for name in features if name in DISTANCES for key in DISTANCES[name].about.weights}
    for name in features:
        if name not in DISTANCES:
            raise EvalConfigError(f"--features: unknown distance {name!r}; known are {', '.join(DISTANCES)}")
        for key in DISTANCES[name].about.weights:
            if key not in weights:
                raise EvalConfigError(f"--features {name} needs --weights {key}=FILE")
    unknown = [key for key in weights if key not in taken]
    if unknown:
        raise EvalConfigError(f"--weights {unknown[0]}=...: none of --features {' '.join(features)} takes it")
    found = {}
    for name in features:
        try:
            found[name] = DISTANCES[name].open(weights).feature.to(device)
        except (ImportError, OSError, ValueError) as error:
            raise EvalConfigError(f"--features: {name}: {error}") from error
    return found


def _notes(records: Sequence[ClipRecord], judges: Mapping[str, Judge], excluded: Mapping[str, str]) -> list[str]:
    notes = []
    if judges and not any(record.label != NEUTRAL for record in records):
        notes.append(f"no clip is labelled with one of {', '.join(MIKELS)}: judges have nothing to be right about")
    for judge in judges.values():
        for line in warnings_for(judge, list(records)):
            line = line.replace("the generator was trained on", "it is checked on")
            notes.append("warning: " + line.replace("those of the generator", "these"))
    return notes + [f"left out: {name}: {why}" for name, why in excluded.items()]
