"""Drawn films end to end: what is built into them is found again by `emogen data` and `emogen analyze`.

    python benchmarks/analyze_drawn.py draw FOLDER --films 20         FOLDER/films, FOLDER/truth.json
    emogen data ingest FOLDER/films --output_dir SET
    emogen data scenes SET --min_seconds 0.5
    emogen data attributes SET; emogen data sound SET
    python benchmarks/analyze_drawn.py votes FOLDER SET               FOLDER/votes.csv, of three people who err
    emogen data votes SET --votes FOLDER/votes.csv; emogen data merge SET
    emogen analyze SET --output_dir PAGE --confusion FOLDER/confusion.csv
    python benchmarks/analyze_drawn.py check PAGE                     what was built in, and what was found

Each film has a ground, a face and a light of its own. Emotions follow a chain that stays with .50, drifts within its
valence with .12 and leads from sadness to fear with .24. Positive shots have a lighter ground; the sound is louder
where arousal is higher, and its tone higher where valence is. People answer right 4 times of 5.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import av
import numpy as np

from emogen.emotion import MIKELS, MIKELS_VA
from emogen.stickers.palette import BODY_COLORS
from emogen.stickers.render import StickerSpec, render
from emogen.stickers.shapes import SHAPES

FPS, SIZE, SOUND = 12, 64, 24_000
STAYS, WITHIN, CHAIN = 0.50, 0.12, ("sadness", "fear", 0.24)
RIGHT, PEOPLE = 0.8, ("ann", "bob", "cem")


def chain() -> np.ndarray:
    """Probabilities `[8, 8]`."""
    table = np.zeros((8, 8))
    for half in (range(4), range(4, 8)):
        for k in half:
            table[k, list(half)] = WITHIN
            table[k, [j for j in range(8) if j not in half]] = (1 - STAYS - 3 * WITHIN) / 4
            table[k, k] = STAYS
    a, b = MIKELS.index(CHAIN[0]), MIKELS.index(CHAIN[1])
    table[a, [k for k in range(4, 8) if k not in (a, b)]] -= (CHAIN[2] - WITHIN) / 2
    table[a, b] = CHAIN[2]
    return table


def draw(folder: Path, films: int, shots: int, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    (folder / "films").mkdir(parents=True, exist_ok=True)
    truth = {}
    for number in range(films):
        states = [int(rng.integers(8))]
        while len(states) < shots:
            states.append(int(rng.choice(8, p=chain()[states[-1]])))
        name = f"film{number:03d}.mp4"
        truth[name] = _film(folder / "films" / name, states, rng)
        print(f"{number + 1} of {films} films", end="\r", flush=True)
    (folder / "truth.json").write_text(json.dumps(truth, indent=1))
    print(f"{films} films of {shots} shots: {folder / 'films'}")


def _film(path: Path, states: list[int], rng: np.random.Generator) -> list[dict]:
    """Draw one; returns each shot's start and end in seconds and its emotion."""
    shape, colour = str(rng.choice(list(SHAPES))), str(rng.choice(list(BODY_COLORS)))
    light, found, frames, sound = rng.uniform(-25, 25), [], [], []
    tone = rng.integers(3)
    for state in states:
        name = MIKELS[state]
        valence, arousal = MIKELS_VA[name]
        many = int(rng.integers(15, 23))
        clip = render(StickerSpec(shape, colour, "white", "none", name, 1.0, int(rng.integers(1e6))), many, SIZE, FPS)
        tone = (tone + 1 + rng.integers(2)) % 3  # the ground's colour changes at every cut
        level = np.clip(140 + light + 35 * np.sign(valence) + rng.normal(0, 25), 30, 250)
        ground = np.full(3, level)
        ground[tone] *= 0.4
        # the renderer dims or lights the whole scene, so its ground is what a corner shows
        white = np.abs(clip.astype(int) - clip[:, :1, :1]).max(-1, keepdims=True) < 12
        start = len(frames)
        frames += list(np.where(white, ground, clip).astype(np.uint8))
        time = np.arange(round(many / FPS * SOUND)) / SOUND
        amplitude = 10 ** ((-34 + 10 * arousal + rng.normal(0, 2)) / 20)
        sound.append(amplitude * np.sin(2 * np.pi * (900 + 350 * valence + rng.normal(0, 80)) * time))
        found.append({"start": start / FPS, "end": len(frames) / FPS, "emotion": name})
    _write(path, frames, np.concatenate(sound))
    return found


def _write(path: Path, frames: list[np.ndarray], sound: np.ndarray) -> None:
    with av.open(str(path), "w") as sink:
        seen = sink.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "18"})
        seen.width = seen.height = SIZE
        seen.pix_fmt = "yuv420p"
        heard = sink.add_stream("aac", rate=SOUND, layout="mono")
        for frame in frames:
            sink.mux(seen.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        sink.mux(seen.encode(None))
        part = av.AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[None], "s16", "mono")
        part.sample_rate = SOUND
        sink.mux(heard.encode(part))
        sink.mux(heard.encode(None))


def votes(folder: Path, curated: Path, seed: int = 1) -> None:
    """Answers of three people on every clip that was found, and how labels of their majority err."""
    import pyarrow.parquet as parquet

    truth, rng = json.loads((folder / "truth.json").read_text()), np.random.default_rng(seed)
    rows, counts = [], np.zeros((8, 8), int)
    for row in parquet.read_table(curated / "clips.parquet").to_pylist():
        if row.get("dropped") or row.get("error") or not row["clip_id"]:
            continue
        middle = (row["start"] + row["end"]) / 2
        shot = next(one for one in truth[row["source_path"]] if one["start"] <= middle <= one["end"])
        true = MIKELS.index(shot["emotion"])
        said = [true if rng.random() < RIGHT else int((true + rng.integers(1, 8)) % 8) for _ in PEOPLE]
        rows += [{"clip_id": row["clip_id"], "annotator": who, "emotion": MIKELS[k]}
                 for who, k in zip(PEOPLE, said, strict=True)]  # fmt: skip
        most = max(set(said), key=said.count)
        if said.count(most) > 1:
            counts[true, most] += 1
    with (folder / "votes.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["clip_id", "annotator", "emotion"])
        writer.writeheader()
        writer.writerows(rows)
    with (folder / "confusion.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["", *MIKELS], *([name, *line] for name, line in zip(MIKELS, counts, strict=True))])
    print(f"{len(rows)} votes: {folder / 'votes.csv'}; {np.trace(counts) / counts.sum():.0%} of the labels are right")


def check(page: Path) -> int:
    """Print what was built in and what was found; returns how many relations were not found."""
    named = {(row["analysis"], row["name"]): row for row in json.loads((page / "analysis.json").read_text())}
    missed = 0

    def line(what: str, row: dict, true: str, right: bool) -> None:
        nonlocal missed
        missed += not right
        low, high = (f"{row[key]:.3f}" if row[key] is not None else "-" for key in ("low", "high"))
        print(
            f"{'found' if right else 'MISSED':6} {what:46} {row['value']:.3f} ({low} to {high}), n {row['n']}; {true}"
        )

    row = named["look", "positive share with brightness, raw: r"]
    line("positive share rises with brightness", row, "built in", (row["low"] or 0) > 0)
    plane = {name: dict(zip(("valence", "arousal"), MIKELS_VA[name], strict=True)) for name in MIKELS}
    for part, measure, truths, what in (
        ("sound", "loudness, LUFS", plane, "arousal"),
        ("sound", "spectral centroid, Hz", plane, "valence"),
    ):
        with (page / "tables" / f"{part}_means.csv").open() as file:
            mine = [one for one in csv.DictReader(file) if one["measure"] == measure]
        r = np.corrcoef([float(one["mean"]) for one in mine], [truths[one["emotion"]][what] for one in mine])[0, 1]
        row = named[part, f"{measure}: omega squared"]
        line(f"{measure.split(',')[0]} rises with {what}, r = {r:.2f}", row, "omega squared; built in",
             r > 0.6 and row["low"] > 0)  # fmt: skip
    row = named["time", "self-persistence, corrected: all"]
    line("self-persistence, corrected", row, f"true {STAYS:.2f}", row["low"] <= STAYS <= row["high"])
    row = named["time", "stays"]
    line(
        "... as labelled",
        row,
        "lower, by wrong labels",
        row["value"] < named["time", "self-persistence, corrected: all"]["value"],
    )
    row = named["time", "leaps across valence"]
    line("leaps across valence, as labelled", row, f"true {1 - STAYS - 3 * WITHIN:.2f}, raised by wrong labels",
         row["value"] >= 1 - STAYS - 3 * WITHIN - 0.05)  # fmt: skip
    row = named["time", f"{CHAIN[0]} to {CHAIN[1]}"]
    back = float(row["note"].split("the way back ")[1].split(";")[0])
    line(f"{CHAIN[0]} to {CHAIN[1]}, more than back ({back:.2f})", row, f"true {CHAIN[2]:.2f}", row["value"] > back)
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("draw")
    one.add_argument("folder", type=Path)
    one.add_argument("--films", type=int, default=20)
    one.add_argument("--shots", type=int, default=40)
    one = commands.add_parser("votes")
    one.add_argument("folder", type=Path)
    one.add_argument("set", type=Path)
    commands.add_parser("check").add_argument("page", type=Path)
    args = parser.parse_args()
    if args.command == "draw":
        draw(args.folder, args.films, args.shots)
    elif args.command == "votes":
        votes(args.folder, args.set)
    else:
        return int(check(args.page) > 0)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
