"""Count what is in the package, for the model card."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open

from emogen import embedded


def parameters(folder: Path) -> int:
    """Number of values in all safetensors files below a folder."""
    total = 0
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118 - not a dict
                size = 1
                for side in file.get_slice(key).get_shape():
                    size *= side
                total += size
    return total


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


if __name__ == "__main__":
    here = Path(embedded.__file__).parent
    parts = ("model/transformer", "model/text_encoder", "model/vae", "model", "adapter", "i2v/transformer",
             "i2v/image_encoder", "i2v_adapter", "judge", "judge_blends", "content")  # fmt: skip
    for part in parts:
        print(f"{part:20} {parameters(here / part):>10,} parameters {size(here / part) / 2**20:6.1f} MiB")
