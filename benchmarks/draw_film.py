"""A drawn film of which everything is known: cuts, dissolves, the order of its shots, and what each one shows.

    python benchmarks/draw_film.py FOLDER                draws FOLDER/film.mp4, FOLDER/one_shot.mp4, FOLDER/truth.json
    emogen data ingest FOLDER --output_dir OUT
    emogen data scenes OUT --detector union --min_seconds 1
    python benchmarks/draw_film.py FOLDER --check OUT    what was found of it, and how far off

Shots change as in films: their grounds, shapes and movements differ, one is bright and one dark, one has grain, and in
two of them something large moves fast, which is no cut.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

FPS = 24
SIZE = (108, 192)
DISSOLVE = 12
"""Frames, half a second."""


@dataclass(frozen=True)
class Shot:
    """One shot.

    Args:
        frames: its length, half of each dissolve at its ends included.
        top, bottom: colours of the ground.
        shape: "disc", "bar" or "rings". speed: widths of the picture a second.
        emotion: what it is said to show; "none" for none of the eight.
        dissolves: whether it comes out of the shot before by a dissolve, not by a cut.
    """

    frames: int
    top: tuple[int, int, int]
    bottom: tuple[int, int, int]
    shape: str
    speed: float
    emotion: str
    dissolves: bool = False
    grain: int = 0


FILM = (
    Shot(48, (40, 60, 110), (170, 190, 220), "disc", 0.2, "contentment"),
    Shot(36, (180, 40, 30), (60, 10, 20), "bar", 0.9, "anger"),
    Shot(40, (250, 220, 80), (240, 150, 40), "rings", 0.3, "amusement"),
    Shot(44, (20, 25, 30), (5, 5, 10), "disc", 0.1, "fear", dissolves=True, grain=10),
    Shot(30, (90, 110, 60), (150, 160, 40), "bar", 0.2, "disgust"),
    Shot(16, (230, 230, 240), (200, 210, 230), "rings", 0.1, "none"),
    Shot(48, (60, 30, 120), (220, 120, 180), "rings", 0.2, "awe", dissolves=True),
    Shot(36, (70, 90, 110), (30, 40, 60), "disc", 0.05, "sadness", dissolves=True),
    Shot(40, (250, 90, 60), (250, 230, 90), "bar", 1.2, "excitement"),
    Shot(38, (20, 110, 60), (140, 220, 150), "disc", 0.2, "contentment"),
    Shot(36, (10, 60, 80), (10, 140, 150), "rings", 0.4, "awe", dissolves=True),
    Shot(44, (120, 60, 20), (30, 20, 10), "disc", 0.3, "none"),
)
ONE_SHOT = (Shot(96, (30, 120, 140), (200, 220, 190), "bar", 0.9, "contentment", grain=6),)


@dataclass(frozen=True)
class Scene:
    """What is known of a shot in the film.

    Attributes:
        start, end: frames; of a dissolve, its middle.
        by: how it begins: "start", "cut" or "dissolve".
    """

    order: int
    start: int
    end: int
    by: str
    emotion: str


def draw_shot(shot: Shot, seed: int) -> np.ndarray:
    """Its frames, uint8 `(F, H, W, 3)`."""
    height, width = SIZE
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    share = (y / height)[..., None]
    ground = np.asarray(shot.top) * (1 - share) + np.asarray(shot.bottom) * share
    ground += 12 * np.sin(x / 5 + seed)[..., None]  # something to see, also where nothing moves
    colour = 255 - (np.asarray(shot.top) + np.asarray(shot.bottom)) / 2
    frames = []
    for number in range(shot.frames):
        at = width * (0.2 + shot.speed * number / FPS) % (1.2 * width) - 0.1 * width
        if shot.shape == "bar":
            mask = abs(x - at) < width / 10
        else:
            distance = np.hypot(x - at, y - height / 2)
            mask = distance < height / 4 if shot.shape == "disc" else (distance + 2 * number) % 24 < 8
        frame = np.where(mask[..., None], colour, ground)
        if shot.grain:
            frame = frame + rng.integers(-shot.grain, shot.grain + 1, (height, width, 1))
        frames.append(frame.clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def scenes_of(shots: tuple[Shot, ...]) -> list[Scene]:
    """What is known of a film's shots."""
    found, start = [], 0
    for order, shot in enumerate(shots):
        by = "start" if not order else "dissolve" if shot.dissolves else "cut"
        found.append(Scene(order, start, start + shot.frames, by, shot.emotion))
        start += shot.frames
    return found


def draw_film(path: str | Path, shots: tuple[Shot, ...] = FILM) -> list[Scene]:
    """Draw it as H.264, and say what is in it."""
    drawn = [draw_shot(shot, seed).astype(np.float32) for seed, shot in enumerate(shots)]
    half = DISSOLVE // 2
    for before, after, shot in zip(drawn, drawn[1:], shots[1:], strict=False):
        if shot.dissolves:  # each fades into a still of the other
            share = ((np.arange(DISSOLVE) + 0.5) / DISSOLVE)[:, None, None, None]
            before[-half:] = before[-half:] * (1 - share[:half]) + after[:1] * share[:half]
            after[:half] = before[-half - 1] * (1 - share[half:]) + after[:half] * share[half:]
    height, width = SIZE
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in np.concatenate(drawn):
            picture = av.VideoFrame.from_ndarray(frame.clip(0, 255).round().astype(np.uint8), format="rgb24")
            sink.mux(stream.encode(picture))
        sink.mux(stream.encode(None))
    return scenes_of(shots)


def compare(truth: list[Scene], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How far what was found is off.

    Args:
        rows: of the working table, of this film alone, in order.

    Returns:
        Of "cut" and "dissolve": how many there are and how many were found (within a frame, within half a dissolve);
        "wrong": borders that are none; "farthest": frames that the cuts found are off at most, to a hundredth.
    """
    found = [row["start"] * FPS for row in sorted(rows, key=lambda row: row["order"])][1:]
    told: dict[str, Any] = {"wrong": 0, "farthest": 0.0}
    taken: set[float] = set()
    for by, reach in (("cut", 1.0), ("dissolve", DISSOLVE / 2 + 1)):
        borders = [scene.start for scene in truth if scene.by == by]
        near = [min(found, key=lambda time: abs(time - border), default=-1e9) for border in borders]
        hits = [
            (time, border) for time, border in zip(near, borders, strict=True) if abs(time - border) <= reach + 1e-6
        ]
        taken |= {time for time, _ in hits}
        told[by] = (len(hits), len(borders))
        if by == "cut":
            told["farthest"] = round(max((abs(time - border) for time, border in hits), default=0.0), 2)
    told["wrong"] = len(set(found) - taken)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", type=Path, metavar="OUT")
    args = parser.parse_args()
    films = {"film.mp4": FILM, "one_shot.mp4": ONE_SHOT}
    if args.check is None:
        args.folder.mkdir(parents=True, exist_ok=True)
        truth = {
            name: [asdict(scene) for scene in draw_film(args.folder / name, shots)] for name, shots in films.items()
        }
        (args.folder / "truth.json").write_text(json.dumps(truth, indent=1))
        print(f"{args.folder}: {', '.join(f'{name} of {len(scenes)} shots' for name, scenes in truth.items())}")
        return
    import pyarrow.parquet as parquet

    rows = parquet.read_table(args.check / "clips.parquet").to_pylist()
    for name, shots in films.items():
        here = [row for row in rows if row["source_path"] == name and row["clip_id"]]
        told = compare(scenes_of(shots), here)
        cuts, dissolves = (f"{told[by][0]} of {told[by][1]} {by}s" for by in ("cut", "dissolve"))
        print(f"{name}: {len(here)} scenes; {cuts} (off by {told['farthest']:.2f} frames at most), {dissolves}, "
              f"{told['wrong']} that are none")  # fmt: skip


if __name__ == "__main__":
    main()
