"""The card's figures: what every part is, how long it took, and what it reaches on what it has not seen.

python -m recipe card --work WORK     # after all other stages: WORK/card/card.md, card.json and curves
python -m recipe.card                 # counts of what the package ships
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors import safe_open

from emogen.embedded import CHANGES
from emogen.files import write_json, write_text
from recipe.plan import Workshop
from recipe.progress import clock, read_log

SHIPPED = (
    "model/transformer",
    "model/text_encoder",
    "model/vae",
    "model",
    "adapter",
    "fast",
    "i2v/transformer",
    "i2v/image_encoder",
    "i2v_adapter",
    "judge",
    "judge_blends",
    "content",
)


def parameters(folder: Path) -> int:
    """Number of values in all safetensors files below a folder, or in one."""
    total = 0
    for path in sorted(folder.rglob("*.safetensors")) if folder.is_dir() else [folder]:
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118 - not a dict
                size = 1
                for side in file.get_slice(key).get_shape():
                    size *= side
                total += size
    return total


def size(folder: Path) -> int:
    """Bytes of all files below a folder, or of one."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) if folder.is_dir() else folder.stat().st_size


def parts(shop: Workshop) -> dict[str, Path]:
    """What would be shipped of a work folder; image to video shares the text-to-video model's weights."""
    model, i2v = shop.folder("model") / "diffusers", shop.folder("i2v_model")
    readers = {name: shop.folder(name) / "network" for name in ("judge", "judge_blends", "content", "wellformed")}
    return {
        "transformer": model / "transformer",
        "text encoder": model / "text_encoder",
        "autoencoder": model / "vae",
        "emotion adapter": shop.folder("adapter") / "run" / "emotion_adapter.safetensors",
        "LoRA": shop.folder("adapter") / "run" / "pytorch_lora_weights.safetensors",
        "LoRA of few steps": shop.folder("fast") / "pytorch_lora_weights.safetensors",
        "image to video": i2v / CHANGES,
        "image encoder": i2v / "diffusers" / "image_encoder",
        "its adapter": shop.folder("i2v_adapter") / "run" / "emotion_adapter.safetensors",
        "its LoRA": shop.folder("i2v_adapter") / "run" / "pytorch_lora_weights.safetensors",
        **readers,
    }


def card(shop: Workshop) -> None:
    """Write `card.json`, `card.md` and the curves of all stages into `WORK/card`."""
    folder = shop.folder("card")
    counted = {
        name: {"parameters": parameters(path), "MiB": round(size(path) / 2**20, 2)}
        for name, path in parts(shop).items()
    }
    stages, readers = {}, {}
    for note in sorted(shop.work.glob("*/stage.json"), key=lambda path: path.stat().st_mtime):
        name, about = note.parent.name, json.loads(note.read_text(encoding="utf-8"))
        log = read_log(note.parent / f"{name}.jsonl")
        stages[name] = {
            "steps": log[-1]["step"] if log else 0,
            "cpu_seconds": about["cpu_seconds"],
            "wall_seconds": about["wall_seconds"],
            "held_out": next((e for e in reversed(log) if "loss" not in e), {}),
        }
        if (note.parent / f"{name}.png").is_file():
            shutil.copyfile(note.parent / f"{name}.png", folder / f"{name}.png")
        if (note.parent / "network/card.json").is_file():
            readers[name] = json.loads((note.parent / "network/card.json").read_text(encoding="utf-8"))
    total = round(sum(part["MiB"] for part in counted.values()), 2)
    reached = json.loads((shop.folder("figures") / "figures.json").read_text(encoding="utf-8"))
    whole = {"parts": counted, "MiB": total, "stages": stages, "readers": readers, "figures": reached}
    write_json(folder / "card.json", whole)
    lines = ["| part | parameters | MiB |", "|---|---|---|"]
    lines += [f"| {name} | {part['parameters']:,} | {part['MiB']} |" for name, part in counted.items()]
    lines += [f"| in all | | {total} |", "", "| stage | steps | time | held out |", "|---|---|---|---|"]
    for name, stage in stages.items():
        said = ", ".join(f"{k} {v:.4g}" for k, v in stage["held_out"].items() if k not in ("step", "phase"))
        lines.append(f"| `{name}` | {stage['steps'] or ''} | {clock(stage['wall_seconds'])} | {said} |")
    lines += [
        "",
        "| clips | EA-8, first judge | second | least emotion | content | well formed |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in reached.items():
        first, second = one["judge"], one["judge_blends"]
        content = sum(one["content"].values()) / len(one["content"])
        lines.append(
            f"| {name} (n = {one['n']}) | {first['EA-8']:.1%} | {second['EA-8']:.1%} "
            f"| {min(first['least'], second['least']):.1%} | {content:.1%} | {one['well formed']:.1%} |"
        )
    write_text(folder / "card.md", "\n".join(lines) + "\n")


def main() -> None:
    """Count what the package ships."""
    from emogen import embedded

    here = Path(embedded.__file__).parent
    for part in SHIPPED:
        print(f"{part:20} {parameters(here / part):>10,} parameters {size(here / part) / 2**20:6.1f} MiB")


if __name__ == "__main__":
    main()
