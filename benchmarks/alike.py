"""What the likeness of a sticker set means: `python benchmarks/alike.py --characters 28`.

Drawn characters on one ground, each in four emotions: how alike are two clips of one character, and of two? AUC is
the share of pairs of the same that are more alike than a pair of different ones. Intervals are bootstraps.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from emogen.stickers.alike import likeness
from emogen.stickers.cast import draw, random_spec


def auc(same: np.ndarray, other: np.ndarray) -> float:
    """Probability that one of `same` is larger than one of `other`."""
    return float((np.searchsorted(np.sort(other), same) / len(other)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--characters", type=int, default=28)
    parser.add_argument("--emotions", nargs="+", default=["amusement", "anger", "sadness", "awe"])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    clips = []
    for _ in range(args.characters):
        spec = replace(random_spec(rng, "train"), background="white", intensity=1.0)
        clips += [draw(replace(spec, emotion=emotion), 5, 64, 8) for emotion in args.emotions]
    found = likeness(clips)
    who = np.repeat(np.arange(args.characters), len(args.emotions))

    def figures(drawn: np.ndarray) -> tuple[float, float, float]:
        rows = np.concatenate([np.nonzero(who == character)[0] for character in drawn])
        part, names = found[np.ix_(rows, rows)], who[rows]
        apart = names[:, None] != names
        same = ~apart & (rows[:, None] != rows)
        return part[same].mean(), part[apart].mean(), auc(part[same], part[apart])

    draws = np.array([figures(rng.choice(args.characters, args.characters)) for _ in range(200)])
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    names = ("one character", "two characters", "AUC")
    for name, value, a, b in zip(names, figures(np.arange(args.characters)), low, high, strict=True):
        print(f"{name}: {value:.3f} [{a:.3f}, {b:.3f}]")
    print(f"{args.characters} characters in {len(args.emotions)} emotions")


if __name__ == "__main__":
    main()
