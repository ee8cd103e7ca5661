"""The emotion stage's training folder: the form that every user's own clips have, metadata.jsonl beside WebP files.

Most clips are some of the base's own, so what the emotion stage adds is the reading of the emotion, not new pictures;
the others show blends, points of the plane and changes (`shades`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emogen.media.writer import write_video
from recipe import clips as stores

RENDERED, FACES, CONTENT, HELD_OUT = 2400, 2000, 200, 64


TURNS_RENDERED, TURNS_REAL, STEADY = 2100, 1500, 300


def write_dataset(folder: Path, out: Path, seed: int = 5) -> None:
    """Write `out/metadata.jsonl` and `out/clips/*.webp` from the training stores; finished files are kept."""
    rng = np.random.default_rng(seed)
    (out / "clips").mkdir(parents=True, exist_ok=True)
    rendered, rendered_records = stores.load(folder, "train_rendered")
    real, real_records = stores.load(folder, "train_real")
    faces = [i for i, r in enumerate(real_records) if r["expressive"]]
    content = [i for i, r in enumerate(real_records) if not r["expressive"]]
    plan = [("rendered", rendered, rendered_records, i) for i in rng.permutation(len(rendered_records))[:RENDERED]]
    plan += [("real", real, real_records, faces[i]) for i in rng.permutation(len(faces))[:FACES]]
    plan += [("real", real, real_records, content[i]) for i in rng.permutation(len(content))[:CONTENT]]
    held_out = set(rng.permutation(len(plan))[:HELD_OUT].tolist())
    for name in ("shades_rendered", "shades_real"):
        if stores.is_done(folder, name):
            store, records = stores.load(folder, name)
            plan += [(name, store, records, i) for i in range(len(records))]
    _write(out, plan, held_out, rng)


def write_turns(folder: Path, out: Path, seed: int = 6) -> None:
    """The same for image-to-video: faces that change, and some real ones that do not."""
    rng = np.random.default_rng(seed)
    (out / "clips").mkdir(parents=True, exist_ok=True)
    plan = []
    for domain, name, count in (("rendered", "turns_rendered", TURNS_RENDERED), ("real", "turns_real", TURNS_REAL),
                                ("steady", "train_real", STEADY)):  # fmt: skip
        store, records = stores.load(folder, name)
        rows = [i for i, r in enumerate(records) if r.get("expressive", True)]
        plan += [(domain, store, records, rows[i]) for i in rng.permutation(len(rows))[:count]]
    held_out = set(rng.permutation(len(plan))[:HELD_OUT].tolist())
    _write(out, plan, held_out, rng)


def _write(
    out: Path, plan: list[tuple[str, np.ndarray, list[dict], int]], held_out: set[int], rng: np.random.Generator
) -> None:
    lines = []
    for number, (domain, store, records, index) in enumerate(tqdm(plan, desc="write clips", mininterval=10)):
        record = records[index]
        name = f"clips/{domain}_{index:05d}.webp"
        if not (out / name).exists():
            write_video(out / name, np.asarray(store[index]), stores.FPS, quality=95)
        line = {
            "file_name": name,
            "caption": record["caption"] if rng.random() < 0.5 else record["short"],
            "emotion": record["emotion"],
            "domain": record["domain"],
            "split": "val" if number in held_out else "train",
        }
        if record["emotion"] != "neutral" and "intensity" in record:
            line["intensity"] = record["intensity"]
        lines.append(json.dumps(line))
    temporary = out / "metadata.jsonl.tmp"
    temporary.write_text("\n".join(lines) + "\n")
    temporary.replace(out / "metadata.jsonl")
