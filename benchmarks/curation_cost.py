"""What curation costs: CPU seconds a clip for attributes against an OpenCV grab loop, and peak memory.

    python benchmarks/curation_cost.py                   attributes of 40 clips, 320x180, 2 to 5 s
    python benchmarks/curation_cost.py --rows 1000 20000 peak memory of the driver, rows of a stage that does nothing
    python benchmarks/curation_cost.py --files 1000 20000    peak memory of every command, and of its workers
    python benchmarks/curation_cost.py --table 1000 20000    the same of commands that read no clips, over made-up rows
    python benchmarks/curation_cost.py --film            peak memory for a drawn ten-minute 720p film

Times are CPU seconds of this process, so that a loaded machine changes them little.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from emogen.curation.attributes import attributes_stage
from emogen.curation.runner import How, run_stage, work_on
from emogen.curation.stage import Row, Stage

SIZE = (180, 320)
EVERY = 20


def draw(path: Path, seconds: float, size: tuple[int, int], fps: int = 24, seed: int = 0) -> None:
    """A film of a moving texture: smooth shapes and some grain, as much to decode as a real one of its size."""
    import av

    rng = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width] / height
    grain = rng.integers(-8, 9, (height, width, 3)).astype(np.int16)
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(seconds * fps)):
            t = number / fps
            red = 127 + 100 * np.sin(6 * x + t + seed)
            green = 127 + 100 * np.sin(5 * y - 1.3 * t)
            blue = 127 + 100 * np.sin(4 * (x + y) + 0.7 * t + seed)
            frame = np.stack([red, green, blue], -1).astype(np.int16) + np.roll(grain, number, 1)
            picture = av.VideoFrame.from_ndarray(frame.clip(0, 255).astype(np.uint8), format="rgb24")
            sink.mux(stream.encode(picture))
        sink.mux(stream.encode(None))


def repeat(path: Path, target: Path, times: int) -> None:
    """A film that is another one so many times, its packets copied as they are."""
    import av

    with av.open(str(target), "w") as sink:
        made, offset = None, 0
        for _ in range(times):
            with av.open(str(path)) as source:
                given = source.streams.video[0]
                made = made or sink.add_stream_from_template(given)
                for packet in source.demux(given):
                    if packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, made
                        sink.mux(packet)
                offset += given.duration


def attributes_cost(folder: Path, count: int) -> None:
    """CPU seconds a clip, of attributes and of grabbing every frame and looking at each 20th, in turns."""
    import cv2

    cv2.setNumThreads(1)
    rows: list[Row] = []
    for number in range(count):
        path = folder / f"{number}.mp4"
        seconds = 2 + 3 * number / max(count - 1, 1)
        draw(path, seconds, SIZE, seed=number)
        rows.append({"clip_id": str(number), "source_folder": str(folder), "source_path": path.name, "kind": "video",
                     "start": 0.0, "end": seconds, "source_duration": seconds})  # fmt: skip
    stage = attributes_stage()
    work_on(stage, rows[:1], folder)
    ours = grabbed = 0.0
    for row in rows:
        start = time.process_time()
        result = work_on(stage, [row], folder)[0]
        ours += time.process_time() - start
        assert result.error is None, result.error
        start = time.process_time()
        film, number = cv2.VideoCapture(str(folder / row["source_path"])), 0
        while film.grab():
            if number % EVERY == 0:
                cv2.cvtColor(film.retrieve()[1], cv2.COLOR_BGR2HSV).mean((0, 1))
            number += 1
        film.release()
        grabbed += time.process_time() - start
    times = f"{ours / grabbed:.2f} times"
    print(f"attributes: {ours / count:.4f} CPU s a clip; OpenCV grab loop {grabbed / count:.4f}: {times}")


def nothing(row: Row, settings: object, output: Path) -> list[Row]:
    """A stage that does nothing, so that what is measured is the runner and the store."""
    return [{"clip_id": row["clip_id"], "value": 1.0}]


def driver_peak(count: int) -> None:
    """Peak memory of the driver over so many rows, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        rows = ({"clip_id": f"{number:016x}", "source_path": "x" * 40} for number in range(count))
        begun = time.monotonic()
        run_stage(Stage("nothing", 1, nothing), rows, folder, How(workers=1, quiet=True))
        print(f"{count} rows: peak {_peak():.0f} MB, {time.monotonic() - begun:.0f} s")


def files_peak(count: int) -> None:
    """Peak memory of every command over so many little clips, each of a content of its own, and of its workers."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary) / "clips", Path(temporary) / "set"
        folder.mkdir()
        pictures = []
        for number in range(50):
            draw(folder / "one.mp4", 0.5, (48, 64), seed=number)
            pictures.append((folder / "one.mp4").read_bytes())
        (folder / "one.mp4").unlink()
        with open(Path(temporary) / "about.csv", "w", encoding="utf-8") as about:
            about.write("file_name,emotion,caption\n")
            for number in range(count):
                # a box of bytes that no player reads, so that contents differ
                free = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
                (folder / f"{number:06}.mp4").write_bytes(pictures[number % 50] + free)
                about.write(f"{number:06}.mp4,{('awe', 'fear', 'anger')[number % 3]},clip {number} of a texture\n")
        steps = (
            ["ingest", str(folder), "--output_dir", str(out)], ["scenes", str(out), "--detector", "none"],
            ["about", str(out), str(Path(temporary) / "about.csv")], ["attributes", str(out)], ["suggest", str(out)],
            ["split", str(out)], ["export", str(out)], ["join", str(out)], ["card", str(out)], ["status", str(out)],
        )  # fmt: skip
        for words in steps:
            subprocess.run([sys.executable, __file__, "--command", *words], check=True)


def table_peak(count: int) -> None:
    """Peak memory of the commands that look at the table alone, over rows that are made up."""
    from emogen.curation.attributes import attributes_stage
    from emogen.curation.held import Result
    from emogen.curation.ingest import ingest_stage
    from emogen.curation.scenes import clip_id, scenes_stage
    from emogen.curation.store import Parts
    from emogen.curation.workspace import Workspace
    from emogen.files import fingerprint_value

    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "set"
        workspace, rng = Workspace(out), np.random.default_rng(0)
        (out / "sources").mkdir(parents=True)
        (out / "sources" / "000000000000-1of1-00000000.jsonl").write_text(
            "".join(
                json.dumps(row) + "\n" for row in ({"files": count, "folder": temporary}, *map(_made_up, range(count)))
            )
        )
        facts = {"kind": "video", "width": 640, "height": 360, "fps": 24.0, "duration": 5.0, "frames_decoded": 120}
        looks = {"paper_hue": 20, "paper_colourfulness": 0.4, "paper_brightness": 0.5, "hue": 31.4, "motion": 0.2}
        ids = [clip_id(fingerprint_value(number), 0.0, 5.0) for number in range(count)]
        scene = {"order": 0, "start": 0.0, "end": 5.0, "duration": 5.0, "detector": "start"}
        keys = [_made_up(number)["source_key"] for number in range(count)]
        for stage, results in (
            (ingest_stage(), (Result(key, [facts]) for key in keys)),
            (scenes_stage("none"), (Result(k, [scene | {"clip_id": c}]) for k, c in zip(keys, ids, strict=True))),
            (attributes_stage(), (Result(c, [looks | {"clip_id": c, "phash": rng.bytes(24).hex()}]) for c in ids)),
        ):
            Parts(out, stage).replace(results)
            workspace.register(stage)
        with open(Path(temporary) / "about.csv", "w", encoding="utf-8") as about:
            about.write("file_name,emotion,caption\n")
            about.writelines(f"film{n:06}.mp4,awe,clip {n} of a long film\n" for n in range(count))
        for words in (["about", str(out), str(Path(temporary) / "about.csv")], ["suggest", str(out)],
                      ["split", str(out)], ["join", str(out)], ["card", str(out)], ["status", str(out)]):  # fmt: skip
            subprocess.run([sys.executable, __file__, "--command", *words], check=True)


def _made_up(number: int) -> Row:
    name = f"film{number:06}.mp4"
    return {"source_key": f"{name}|{number:064x}", "source_path": name, "source_folder": "/films/of/a/long/folder",
            "source_sha256": f"{number:064x}", "domain": "movie", "group": name}  # fmt: skip


def command_peak(words: list[str]) -> None:
    """Peak memory of one command of `emogen data`, and of its workers."""
    import contextlib
    import io

    from emogen.commands.data import build_parser
    from emogen.commands.data import main as data

    runs = "--workers" in build_parser()._subparsers._group_actions[0].choices[words[0]].format_help()
    begun = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = data([*words, "--quiet", *(["--workers", "2"] if runs else [])])
    assert status == 0, said.getvalue()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    workers = f", worker {children:.0f} MB" if runs else ""
    print(f"  {words[0]}: peak {_peak():.0f} MB{workers}, {time.monotonic() - begun:.0f} s", flush=True)


def film_peak(minutes: float) -> None:
    """Peak memory of scenes and attributes of one drawn 720p film."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        subprocess.run([sys.executable, __file__, "--draw", str(path), str(minutes * 60)], check=True)
        from emogen.curation.ingest import ingest_stage
        from emogen.curation.scenes import scenes_stage
        from emogen.curation.sources import SourceFiles

        listed = next(iter(SourceFiles(Path(folder), "movie")))
        source = listed | work_on(ingest_stage(), [listed], Path(folder))[0].rows[0]
        print(f"ingest: peak {_peak():.0f} MB")
        found = work_on(scenes_stage("content"), [source], Path(folder))[0]
        print(f"scenes: peak {_peak():.0f} MB, {found.seconds:.0f} s, {len(found.rows)} scenes, {found.error}")
        clip = source | {"clip_id": "film", "start": 0.0, "end": source["duration"]}
        clip["source_duration"] = source["duration"]
        found = work_on(attributes_stage(), [clip], Path(folder))[0]
        print(f"attributes: peak {_peak():.0f} MB, {found.seconds:.0f} s, {found.error}")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--rows", type=int, nargs="+")
    parser.add_argument("--files", type=int, nargs="+")
    parser.add_argument("--table", type=int, nargs="+")
    parser.add_argument("--command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.add_argument("--film", type=float, nargs="?", const=10.0, metavar="MINUTES")
    parser.add_argument("--draw", nargs=2, metavar=("FILE", "SECONDS"), help=argparse.SUPPRESS)
    parser.add_argument("--only_rows", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.draw:
        target = Path(args.draw[0])
        part = target.with_name("part.mp4")
        draw(part, 5.0, (720, 1280))
        repeat(part, target, max(1, round(float(args.draw[1]) / 5)))
        part.unlink()
    elif args.only_rows:
        driver_peak(args.only_rows)
    elif args.rows:
        for count in args.rows:
            subprocess.run([sys.executable, __file__, "--only_rows", str(count)], check=True)
    elif args.files:
        for count in args.files:
            print(f"{count} files:", flush=True)
            files_peak(count)
    elif args.table:
        for count in args.table:
            print(f"{count} rows:", flush=True)
            table_peak(count)
    elif args.command:
        command_peak(args.command)
    elif args.film:
        film_peak(args.film)
    else:
        with tempfile.TemporaryDirectory() as folder:
            attributes_cost(Path(folder), args.clips)


if __name__ == "__main__":
    main()
