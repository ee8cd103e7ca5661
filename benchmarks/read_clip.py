"""Reading a few frames from the middle of a long film: memory and time beside a plain seek.

    python benchmarks/read_clip.py                      (makes a film of 10 minutes at 1280x720, some seconds)
    python benchmarks/read_clip.py --film FILM.mp4 --start 300

Each reading runs in a process of its own, whose peak memory is compared with that of one that only imports the same
libraries. The plain seek is PyAV's own: seek, decode, convert to RGB, nothing else. The old way, decoding and stacking
the whole film, would take frames x height x width x 3 bytes, which is printed and not tried.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

_PART = """
import json, resource, sys, time
import av, numpy, torch
from emogen.media import iterate_frames, probe, read_frames
from emogen.data.buckets import Bucket
from emogen.data.records import ClipRecord
from emogen.emotion import parse_emotion
from emogen.training.data.clips import PlannedClip, load_clip
torch.set_num_threads(2)

def plain(film, start, count):
    frames = []
    with av.open(film) as file:
        stream = file.streams.video[0]
        stream.thread_type = "AUTO"
        file.seek(int(start / stream.time_base), stream=stream)
        for frame in file.decode(stream):
            if frame.time >= start - 1e-6:
                frames.append(frame.to_ndarray(format="rgb24"))
                if len(frames) == count:
                    return frames

def one_by_one(film, start, count):
    for frame, _ in iterate_frames(film, num_frames=count, start=start):
        pass

def train(film, start, count):
    record = ClipRecord(path=film, file_name="film", caption="", emotion=parse_emotion("joy"))
    load_clip(PlannedClip(record, Bucket(count, 256, 448)), 16, "skip")

WAYS = {
    "nothing": lambda *a: None,
    "plain seek": plain,
    "read_frames": lambda film, start, count: read_frames(film, num_frames=count, start=start),
    "iterate_frames": one_by_one,
    "load_clip": train,
    "probe": lambda film, *a: probe(film),
}
way, film, start, count = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
begin = time.perf_counter()
WAYS[way](film, start, count)
taken = time.perf_counter() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": taken, "peak": peak}))
"""


def make_film(path: Path, minutes: float, height: int = 720, width: int = 1280, fps: int = 24) -> None:
    """Something like a test picture: coloured bars, a moving block, noise. Ten seconds are encoded, from one key frame,
    and their packets written again and again."""
    import av
    import numpy as np

    random = np.random.default_rng(0)
    bars = np.zeros((height, width, 3), np.uint8)
    for index in range(8):
        bars[:, index * width // 8 : (index + 1) * width // 8] = random.integers(0, 200, 3)
    noise = random.integers(0, 40, (8, height, width, 3), dtype=np.uint8)
    part = 10 * fps
    with av.open(str(path), "w") as file:
        options = {"preset": "veryfast", "crf": "25", "g": str(part), "bf": "0"}
        stream = file.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        packets = []
        for index in range(part):
            frame = bars + noise[index % 8]
            left = 4 * index % (width - 200)
            frame[200:400, left : left + 200] = (240, 220, 60)
            packets += stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24"))
        packets += stream.encode(None)
        kept = [(bytes(packet), packet.pts, packet.is_keyframe, packet.time_base) for packet in packets]
        for turn in range(round(minutes * 6)):
            for data, pts, key, base in kept:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, base, key
                packet.pts = packet.dts = pts + round(turn * 10 / base)
                packet.duration = round(1 / fps / base)
                file.mux(packet)


def measure(way: str, film: Path, start: float, count: int, times: int) -> tuple[float, float]:
    """Median seconds and largest peak in MB of some processes."""
    found = []
    for _ in range(times):
        done = subprocess.run([sys.executable, "-c", _PART, way, str(film), str(start), str(count)], check=True,
                              capture_output=True, text=True)  # fmt: skip
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return statistics.median(one["seconds"] for one in found), max(one["peak"] for one in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", type=Path, help="an existing one (default: made in the folder benchmarks write to)")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--start", type=float, help="seconds (default: the middle)")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--times", type=int, default=5, help="processes a way")
    parser.add_argument("--with_probe", action="store_true", help="also decode the whole film, as a dry run does once")
    args = parser.parse_args()
    film = args.film or Path("runs") / f"film-{args.minutes:g}.mp4"
    if not film.is_file():
        film.parent.mkdir(parents=True, exist_ok=True)
        begin = time.perf_counter()
        make_film(film, args.minutes)
        print(f"{film} made in {time.perf_counter() - begin:.0f} s, {film.stat().st_size / 2**20:.0f} MB")
    start = args.start if args.start is not None else args.minutes * 30
    _, base = measure("nothing", film, start, args.frames, 1)
    plain, _ = measure("plain seek", film, start, args.frames, args.times)
    print(f"{args.frames} frames from {start:g} s of {film}; {args.times} processes a way, the median")
    print(f"the imports alone take {base:.0f} MB")
    print(f"  {'way':<16}{'seconds':>9}{'of a plain seek':>17}{'peak above imports':>20}")
    ways = ["plain seek", "read_frames", "iterate_frames", "load_clip", *(["probe"] if args.with_probe else [])]
    for way in ways:
        seconds, peak = measure(way, film, start, args.frames, 1 if way == "probe" else args.times)
        print(f"  {way:<16}{seconds:>9.2f}{seconds / plain:>16.2f}x{peak - base:>17.0f} MB")
    print(f"read_frames and the plain seek return {args.frames * 720 * 1280 * 3 / 2**20:.0f} MB of frames at 1280x720")
    floats = args.frames * 256 * 448 * 12 / 2**20
    print(f"load_clip brings {args.frames} frames from the beginning to 256x448 in floats: {floats:.0f} MB")
    print(f"stacked whole, ten minutes at 24 a second would take {600 * 24 * 720 * 1280 * 3 / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
