"""What `emogen analyze` costs on a table as large as the paper's: seconds by analysis, and the peak of memory.

python benchmarks/analyze_cost.py                  # 22,752 drawn rows, as in the paper
python benchmarks/analyze_cost.py --rows 5000
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time

import numpy as np

from emogen.analysis.clips import clips_of
from emogen.analysis.run import analyze
from emogen.emotion import MIKELS


def rows_of(many: int) -> list[dict]:
    """Clips of films of 60, each with looks and a caption of its own."""
    rng = np.random.default_rng(0)
    label = rng.integers(8, size=many)
    words = [" ".join(rng.choice(_WORDS, 14)) for _ in range(many)]
    numbers = {name: rng.random(many) for name in ("saturation", "brightness", "contrast", "motion", "hue_strength")}
    return [
        {
            "clip_id": f"c{k}", "source_path": f"film{k // 60}", "group": f"film{k // 60}", "emotion": MIKELS[label[k]],
            "domain": ("movie", "animation", "sticker")[k // 60 % 3], "label_kind": ("human", "model")[k % 5 > 0],
            "start": k % 60 * 5.0, "end": k % 60 * 5.0 + 5, "duration": 5.0 + k % 7, "order": k % 60,
            "hue": float(k * 37 % 360), "paper_hue": k * 37 % 360, "caption": f"{words[k]}, a {MIKELS[label[k]]} face.",
            "paper_colourfulness": round(float(numbers["saturation"][k]), 1),
            "paper_brightness": round(float(numbers["brightness"][k]), 1),
            **{name: float(column[k]) for name, column in numbers.items()},
        }
        for k in range(many)
    ]  # fmt: skip


_WORDS = [f"{a}{b}{c}" for a in "bdfglmprst" for b in "aeiou" for c in ("n", "t", "lla", "rd", "")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=22_752)
    args = parser.parse_args()
    clips = clips_of(rows_of(args.rows))
    last = [time.perf_counter(), time.process_time()]

    def done(name: str) -> None:
        now = [time.perf_counter(), time.process_time()]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name:14} {now[0] - last[0]:7.1f} s  {now[1] - last[1]:7.1f} CPU s   peak {peak:,.0f} MiB", flush=True)
        last[:] = now

    begun = [time.perf_counter(), time.process_time()]
    with tempfile.TemporaryDirectory() as folder:
        analyze(clips, folder, done=done)
    print(f"{'in all':14} {time.perf_counter() - begun[0]:7.1f} s  {time.process_time() - begun[1]:7.1f} CPU s")


if __name__ == "__main__":
    main()
