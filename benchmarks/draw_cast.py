"""What a clip of the cast costs to draw.

    python benchmarks/draw_cast.py --clips 100

Process time (CPU, one thread) of a clip of random content and emotion, in milliseconds: the mean and the 90th of 100,
for each style.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emogen.stickers.cast import draw, random_spec
from emogen.stickers.cast.styles import STYLES


def main(argv: Sequence[str] | None = None) -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100, help="of each style")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--frames", type=int, default=13)
    args = parser.parse_args(argv)
    rng = np.random.default_rng(0)
    specs = [random_spec(rng) for _ in range(args.clips)]
    everything = []
    for style in STYLES:
        draw(replace(specs[0], style=style), args.frames, args.size)  # fill the caches
        took = []
        for spec in specs:
            start = time.process_time()
            draw(replace(spec, style=style), args.frames, args.size)
            took.append(1000 * (time.process_time() - start))
        everything += took
        print(f"{style:8} {np.mean(took):6.1f} ms, 90th of 100 {np.percentile(took, 90):6.1f} ms")
    print(f"{'all':8} {np.mean(everything):6.1f} ms, 90th of 100 {np.percentile(everything, 90):6.1f} ms")


if __name__ == "__main__":
    main()
