"""The researcher's walk: from clips to a labelled set, to a trained adapter, to a report.

python benchmarks/walks/researcher.py --work FOLDER
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import yaml
from walk import StepFailed, Walk, command_line


def walk_on(walk: Walk) -> None:
    """The commands of docs/quickstart/researcher.md; the clips are drawn, so that anybody can walk it."""
    clips, steps = (18, 2) if walk.quick else (90, 20)
    draw = "from emogen.stickers.dataset import write_sticker_dataset as draw"
    walk.type(f"python -c \"{draw}; draw('drawn', {clips})\"")
    walk.type("emogen data ingest drawn --output_dir set --domain sticker")
    walk.type("emogen data scenes set --detector none")
    walk.type("emogen data about set drawn/metadata.jsonl")
    walk.type("emogen data attributes set")
    walk.type("emogen data split set")
    walk.type("emogen data export set")
    walk.made("set/export/metadata.jsonl")
    size = "--height 32 --width 32 " if walk.quick else ""
    training = (
        f"--config configs/embedded_t2v.yaml --dataset_name set/export --output_dir out --max_train_steps {steps}"
    )
    few = f" --validation_steps 0 --train_batch_size 2 --lr_warmup_steps 0 {size}".rstrip() if walk.quick else ""
    walk.type(f"emogen train {training}{few} --dry_run")
    walk.type(f"emogen train {training}{few}")
    walk.made("out/emotion_adapter.safetensors")

    config = yaml.safe_load((walk.work / "configs/eval/tiny.yaml").read_text())
    config["systems"]["mine"] = {"model": "embedded", "adapter": "out"}
    kept = ("drawn", "sentence", "mine") if walk.quick else ("drawn", "sentence", "emogen", "mine")
    config["systems"] = {name: config["systems"][name] for name in kept}
    if walk.quick:
        config |= {"num_prompts": {"rendered": 1}, "generation": {"num_inference_steps": 2}}
    (walk.work / "mine.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    walk.type("emogen eval --config mine.yaml --output_dir report")
    found = json.loads(walk.made("report/results.json")[0].read_text())
    if "mine" not in found["summary"]["systems"]:
        raise StepFailed("the report does not know the trained adapter")
    walk.look(walk.made("report/report.html")[0], "report.webp")
    walk.type("emogen analyze set --output_dir page")
    walk.look(walk.made("page/report.html")[0], "analysis.webp")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    return command_line(__doc__, walk_on, argv)


if __name__ == "__main__":
    raise SystemExit(main())
