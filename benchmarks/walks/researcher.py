"""The researcher's walk: from labelled clips to an adapter and a report, as docs/tutorials/researcher.md tells it.

python benchmarks/walks/researcher.py --work FOLDER [--pictures docs/pictures] [--quick]
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import yaml
from walk import StepFailed, Walk, command_line, told

FEW = "--max_train_steps 2 --train_batch_size 2 --lr_warmup_steps 0 --validation_steps 0 --height 32 --width 32"
"""In place of a training's own numbers."""


def quicker(command: str) -> str:
    """The same command with fewer clips and steps."""
    if command.startswith("emogen train"):
        kept = re.sub(r" --(?!config|dataset_name|output_dir|dry_run)\w+ \S+", "", command)
        return f"{kept} {FEW}"
    if command.startswith("emogen sample"):
        return f"{command} --steps 2"
    return command.replace("'my_clips', 90", "'my_clips', 18")


def walk_on(walk: Walk) -> None:
    """The clips are drawn, so that anybody can walk it."""
    for step in told("researcher"):
        if step.name:
            (walk.work / step.name).write_text(quick_evaluation(step.text) if walk.quick else step.text)
        else:
            walk.type(quicker(step.text) if walk.quick else step.text)
    walk.made("set/export/metadata.jsonl")
    walk.made("out/emotion_adapter.safetensors")
    walk.strip(walk.made("mine.webp"), "tutorial_trained.webp")
    if not walk.quick:
        walk.keep(walk.made("out/curves.png")[0], "tutorial_curves.webp")
    found = json.loads(walk.made("report/results.json")[0].read_text())
    if "mine" not in found["summary"]["systems"]:
        raise StepFailed("the report does not know the trained adapter")
    walk.look(walk.made("report/report.html")[0], "report.webp", says="mine")
    walk.look(walk.made("page/report.html")[0], "analysis.webp", says="emotion")


def quick_evaluation(text: str) -> str:
    """The same evaluation of fewer clips with fewer steps."""
    config = yaml.safe_load(text)
    del config["systems"]["emogen"]
    config |= {"num_prompts": {"rendered": 1}, "generation": {"num_inference_steps": 2}}
    return yaml.safe_dump(config, sort_keys=False)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    return command_line(__doc__, walk_on, argv)


if __name__ == "__main__":
    raise SystemExit(main())
