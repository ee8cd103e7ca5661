"""What makes an output folder readable: the model card and the curves."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emogen.training.data.plan import Plan
from emogen.training.model import WanEmotionModel
from emogen.training.outputs.card import model_card
from emogen.training.outputs.curves import draw_curves
from emogen.training.outputs.export import write_text
from emogen.training.outputs.previewer import FOLDER

CURVES = "curves.png"


def write_card(plan: Plan, model: WanEmotionModel, step: int, agreement: Mapping[str, Any] | None = None) -> None:
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
    text = model_card(
        base_model=config.model.pretrained_model_name_or_path,
        steps=step,
        records=[clip.record for clip in plan.clips],
        dropped=plan.dropped,
        config=config.to_dict(),
        task="image-to-video" if plan.specification.kind == "i2v" else "text-to-video",
        repo_id=config.run.hub_model_id,
        lora_rank=config.lora.rank,
        lora_parameters=sizes.get("lora", 0),
        adapter_parameters=sizes.get("adapter", 0),
        lora_files={name: f"pytorch_lora_weights_{name}.safetensors" for name in formats} if config.lora.rank else {},
        images=images,
        results=agreement or None,
        results_note=note,
        command=["train_lora.py", *sys.argv[1:]],
    )
    write_text(folder / "README.md", text)


def write_curves(plan: Plan) -> str:
    """Draw curves.png from log.jsonl; says why not if it cannot be drawn."""
    folder = Path(plan.config.run.output_dir)
    try:
        return f"curves in {draw_curves(folder / 'log.jsonl', folder / CURVES)}"
    except (ImportError, ValueError) as error:
        return f"no curves: {error}"
