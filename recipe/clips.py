"""Stage 1 of the recipe: draw and import every clip the embedded model and its judge are made from.

A *store* is a pair of files: `NAME.npy`, uint8 `(N, F, H, W, 3)`, and `NAME.jsonl`, one record a clip in the same
order (`caption` describes content only; `emotion`, `intensity`, `domain`, and what was drawn).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emogen.stickers import fluent
from emogen.stickers.content import caption, sample_spec
from emogen.stickers.expression import EXPRESSIONS
from emogen.stickers.palette import BACKGROUNDS
from emogen.stickers.render import render

SIZE, FRAMES, FPS = 96, 13, 12
EMOTIONS = tuple(EXPRESSIONS)  # neutral and the eight
HUES = ("red", "orange", "green", "blue", "purple", "pink")


@dataclass(frozen=True)
class Amounts:
    """How many clips a split gets: rendered ones, variants of each real face, variants of each content emoji."""

    rendered: int
    face_variants: int
    content_variants: int


AMOUNTS = {"train": Amounts(10_800, 36, 3), "judge": Amounts(5_400, 60, 2), "test": Amounts(900, 12, 2)}
SEEDS = {"train": 11, "judge": 23, "test": 37}


def write_rendered(folder: Path, split: str, count: int) -> None:
    """Draw `count` stickers of a split, the nine labels in turn; a finished store is left as it is."""
    if is_done(folder, f"{split}_rendered"):
        return
    rng = np.random.default_rng(SEEDS[split])
    clips, records = open_store(folder, f"{split}_rendered", count), []
    for index in tqdm(range(count), desc=f"draw {split}", mininterval=10):
        spec = sample_spec(rng, split, EMOTIONS[index % len(EMOTIONS)])
        clips[index] = render(spec, FRAMES, SIZE, FPS)
        records.append({"caption": caption(spec), "short": caption(spec, rng), "domain": "rendered", **spec.to_dict()})
    close_store(folder, f"{split}_rendered", clips, records)


def write_real(folder: Path, source: Path, split: str, amounts: Amounts) -> None:
    """Import the real emoji of a split, each several times: other start, background and, if yellow, other colour."""
    if is_done(folder, f"{split}_real"):
        return
    rng = np.random.default_rng(SEEDS[split] + 1)
    emoji = [e for e in fluent.find_emoji(source) if e.split == split and fluent.is_animated(e)]
    plan = [e for e in emoji for _ in range(amounts.face_variants if e.expressive else amounts.content_variants)]
    clips, records, broken = open_store(folder, f"{split}_real", len(plan)), [], []
    for one in tqdm(plan, desc=f"import {split}", mininterval=10):
        background = list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
        color = one.color
        try:
            frames = fluent.read_frames(one, SIZE, FRAMES, stride=2, shift=int(rng.integers(-6, 7)))
        except fluent.BrokenEmojiError as error:
            broken.append(str(error))
            continue
        if one.expressive and one.color == "yellow" and rng.random() < 0.45:
            color = HUES[rng.integers(len(HUES))]
            frames = fluent.hue_shift(frames, color)
        content = one.caption.replace("yellow", color) if color != one.color else one.caption
        clips[len(records)] = over(frames, BACKGROUNDS[background])
        records.append(
            {
                "caption": f"{content} on a {background} background",
                "short": content.removeprefix("a 3d emoji of ") if rng.random() < 0.4 else content,
                "domain": "real",
                "codepoint": one.codepoint,
                "character": one.character,
                "color": color,
                "background": background,
                "emotion": one.emotion,
                "intensity": one.intensity,
                "expressive": one.expressive,
            }
        )
    for line in broken:
        print("broken:", line)
    print(f"{split}: {len(records)} real clips of {len(emoji)} emoji, {len(broken)} broken")
    close_store(folder, f"{split}_real", clips, records)


def over(rgba: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.float32) / 255
    flat = rgba[..., :3] * alpha + np.asarray(background, np.float32) * (1 - alpha)
    return flat.round().astype(np.uint8)


def open_store(folder: Path, name: str, count: int) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, (count, FRAMES, SIZE, SIZE, 3))


def close_store(folder: Path, name: str, clips: np.ndarray, records: list[dict]) -> None:
    clips.flush()
    temporary = folder / f"{name}.jsonl.tmp"
    temporary.write_text("".join(json.dumps(r) + "\n" for r in records))
    temporary.replace(folder / f"{name}.jsonl")  # written last: its presence means that the store is whole


def is_done(folder: Path, name: str) -> bool:
    return (folder / f"{name}.jsonl").exists()


def load(folder: Path, name: str) -> tuple[np.ndarray, list[dict]]:
    """The clips (memory-mapped, only as many as there are records) and the records of a store."""
    path = folder / f"{name}.jsonl"
    if not path.exists():
        raise FileNotFoundError(f"no store {path}: run the stage `clips` first")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return np.load(folder / f"{name}.npy", mmap_mode="r")[: len(records)], records


def run(folder: Path, source: Path | None) -> None:
    """All stores. Without `source` (folder of the npm packages) only rendered ones are made."""
    for split, amounts in AMOUNTS.items():
        write_rendered(folder, split, amounts.rendered)
        if source is not None:
            write_real(folder, source, split, amounts)
    (folder / "amounts.json").write_text(json.dumps({k: asdict(v) for k, v in AMOUNTS.items()}, indent=1))
