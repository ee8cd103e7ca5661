"""What the package holds of a work folder: `WORK/ship/package` is laid out as `emogen/embedded` is."""

from __future__ import annotations

import shutil
from pathlib import Path

from emogen.embedded import CHANGES, WEIGHTS
from emogen.files import atomic
from recipe.plan import Workshop

RUN_FILES = (
    "config.json",
    "emotion_adapter.safetensors",
    "pytorch_lora_weights.safetensors",
    "README.md",
    "training_config.yaml",
)
READERS = ("judge", "judge_blends", "content", "wellformed")


def ship(shop: Workshop) -> None:
    """Write `WORK/ship/package`; a folder of before is replaced as a whole."""
    with atomic(shop.folder("ship") / "package") as out:
        shutil.copytree(shop.folder("model") / "diffusers", out / "model")
        for name in ("adapter", "i2v_adapter"):
            _copy(shop.folder(name) / "run", out / name, RUN_FILES)
        _copy(shop.folder("fast"), out / "fast", ("pytorch_lora_weights.safetensors",))
        whole = shop.folder("i2v_model") / "diffusers"
        _copy(whole, out / "i2v", ("model_index.json", "generation_config.json"))
        for name in ("image_encoder", "image_processor", "transformer"):
            shutil.copytree(whole / name, out / "i2v" / name, ignore=shutil.ignore_patterns(WEIGHTS))
        _copy(shop.folder("i2v_model"), out / "i2v/transformer", (CHANGES,))
        for name in READERS:
            shutil.copytree(shop.folder(name) / "network", out / name)


def _copy(source: Path, target: Path, names: tuple[str, ...]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(source / name, target / name)
