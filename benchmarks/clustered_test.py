"""How often a test says that two equally good systems differ, when clips of one prompt are alike.

A benchmark of 20 prompts x 8 emotions is drawn many times over. Each system reads a clip right with a chance of its own
for each prompt (a beta distribution, so that clips of one prompt correlate by `--correlations`), both systems with the
same mean, so that every difference is chance. Of a test at 5 %, 5 % of the draws should be called different.

    python benchmarks/clustered_test.py            (half a minute on one core)
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import binomtest

from emogen.eval.statistics import intraclass_correlation, sign_flip, wilson


def draw(random: np.random.Generator, correlation: float, prompts: int, clips: int) -> np.ndarray:
    """Hits `[2, prompts * clips]` of two systems with a mean of one half."""
    if correlation == 0:
        chances = np.full((2, prompts, 1), 0.5)
    else:
        spread = (1 - correlation) / correlation / 2
        chances = random.beta(spread, spread, (2, prompts, 1))
    return (random.random((2, prompts, clips)) < chances).reshape(2, -1)


def mcnemar(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided exact McNemar test, which takes clips as independent."""
    more, less = int((a & ~b).sum()), int((b & ~a).sum())
    return binomtest(more, more + less).pvalue if more + less else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--correlations", type=float, nargs="+", default=[0.0, 0.2, 0.39])
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--clips", type=int, default=8, help="of each prompt")
    parser.add_argument("--draws", type=int, default=2000, help="of the benchmark")
    args = parser.parse_args()
    random, names = np.random.default_rng(0), np.repeat(np.arange(args.prompts), args.clips)
    about = f"{args.prompts} prompts x {args.clips} clips, {args.draws} draws of two equal systems"
    print(f"{about}; how many are called different at 5 %:")
    print("| correlation within prompts | as estimated | McNemar, clip by clip | whole prompts (ours) |")
    print("|---:|---:|---|---|")
    for correlation in args.correlations:
        single, clustered, found = 0, 0, []
        for _ in range(args.draws):
            a, b = draw(random, correlation, args.prompts, args.clips)
            single += mcnemar(a, b) < 0.05
            clustered += sign_flip(a, b, names, draws=1000) < 0.05
            found += [value for value in (intraclass_correlation(x, names) for x in (a, b)) if value is not None]
        shown = []
        for count in (single, clustered):
            low, high = wilson(count, args.draws)
            shown.append(f"{100 * count / args.draws:.1f} % [{100 * low:.1f}, {100 * high:.1f}]")
        print(f"| {correlation:g} | {np.mean(found):.2f} | {shown[0]} | {shown[1]} |", flush=True)


if __name__ == "__main__":
    main()
