"""What `emogen analyze` costs on tables as large as the paper's: seconds by analysis, and the peak of memory.

python benchmarks/analyze_cost.py                         # 1,000 and 22,752 drawn rows, the latter as in the paper
python benchmarks/analyze_cost.py --rows 5000 100000

Each table is written in parts and analysed in a process of its own, whose peak is that of the work alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from emogen.emotion import MIKELS

_PART = 1000
_WORDS = [f"{a}{b}{c}" for a in "bdfglmprst" for b in "aeiou" for c in ("n", "t", "lla", "rd", "")]


def parts_of(many: int) -> Iterator[pa.Table]:
    """Clips of films of 60, each with looks and a caption of its own."""
    rng = np.random.default_rng(0)
    for first in range(0, many, _PART):
        k = np.arange(first, min(first + _PART, many))
        label = rng.integers(8, size=len(k))
        looks = {name: rng.random(len(k)) for name in ("saturation", "brightness", "contrast", "motion")}
        words = [" ".join(rng.choice(_WORDS, 14)) for _ in k]
        film = [f"film{place // 60}" for place in k]
        yield pa.table({
            "clip_id": [f"c{place}" for place in k], "source_path": film, "group": film,
            "domain": [("movie", "animation", "sticker")[place // 60 % 3] for place in k],
            "emotion": [MIKELS[place] for place in label],
            "label_kind": [("human", "model")[int(place % 5 > 0)] for place in k],
            "judge_emotion": [MIKELS[place if rng.random() < 0.8 else rng.integers(8)] for place in label],
            "confidence": rng.random(len(k)),
            "start": k % 60 * 5.0, "end": k % 60 * 5.0 + 5, "duration": 5.0 + k % 7, "order": k % 60,
            "hue": k * 37.0 % 360, "paper_hue": k * 37 % 360, "hue_strength": rng.random(len(k)), **looks,
            "paper_colourfulness": looks["saturation"].round(1), "paper_brightness": looks["brightness"].round(1),
            "caption": [f"{text}, a {MIKELS[place]} face." for text, place in zip(words, label, strict=True)],
        })  # fmt: skip


def write_set(folder: Path, many: int) -> None:
    writer = None
    for part in parts_of(many):
        writer = writer or parquet.ParquetWriter(folder / "clips.parquet", part.schema)
        writer.write_table(part)
    writer.close()


def peak() -> float:
    """MiB, of this process since its program was started."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def analyse(folder: str) -> None:
    from emogen.analysis.run import analyze
    from emogen.analysis.sources import read_clips

    begun = last = [time.perf_counter(), time.process_time()]

    def done(name: str, since: list[float] | None = None) -> None:
        nonlocal last
        now = [time.perf_counter(), time.process_time()]
        wall, cpu = (a - b for a, b in zip(now, since or last, strict=True))
        print(f"  {name:14} {wall:7.1f} s  {cpu:7.1f} CPU s   peak {peak():,.0f} MiB", flush=True)
        last = now

    clips = read_clips(folder)
    done("read")
    analyze(clips, Path(folder) / "page", done=done)
    done("in all", begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 22_752])
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder:
        return analyse(args.folder)
    for many in args.rows:
        with tempfile.TemporaryDirectory() as folder:
            write_set(Path(folder), many)
            print(f"{many:,} rows", flush=True)
            subprocess.run([sys.executable, __file__, "--folder", folder], check=True, timeout=3600)


if __name__ == "__main__":
    main()
