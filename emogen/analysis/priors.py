"""Put to use: what the set says of each emotion, as one file that other programs read.

`emogen_priors.json` holds, with their counts, each emotion's look, length, sound and phrases, and the transitions
between emotions. `emogen.emotion.read_transitions` takes it for `sample_arc`.
"""

from __future__ import annotations

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.hue import direction
from emogen.analysis.interface import Analysis, Found, NotPossible, Result, Settings, register
from emogen.analysis.transitions import films_of
from emogen.analysis.words import phrase_counts
from emogen.emotion import MIKELS

FILE = "emogen_priors.json"
_MEASURED = ("saturation", "brightness", "contrast", "motion", "duration", "loudness", "tempo", "spectral_centroid")
_PHRASES = 20


def run(clips: Clips, settings: Settings) -> Found:
    """Write the file."""
    found = clips.labelled
    if not len(found):
        raise NotPossible("No clip that counts has one of the eight emotions.")
    counts = films_of(clips, settings.max_gap).counts().sum(0)
    emotions = {name: _emotion(found.where(found.label == k)) for k, name in enumerate(MIKELS)}
    for name, phrases in _phrases(found).items():
        emotions[name]["phrases"] = phrases
    value = {
        "format": "emogen_priors 1",
        "source": clips.source,
        "clips": len(found),
        "emotions": emotions,
        "transitions": {a: {b: int(counts[i, j]) for j, b in enumerate(MIKELS)} for i, a in enumerate(MIKELS)},
    }
    steps = int(counts.sum())
    sentence = (
        f"{FILE} holds the look of {len(found):,} clips by emotion and {steps:,} steps between emotions; "
        "`read_transitions` draws arcs from them."
    )
    results = [
        Result("clips", len(found), n=len(found)),
        Result("steps between clips that adjoin", steps, n=steps, note="counts as labelled, not corrected"),
    ]
    warnings = [] if steps >= 200 else ["There are few steps, so that arcs drawn from them lean on the paper's rates."]
    return Found(sentence, results, warnings=warnings, files={FILE: value})


def _emotion(clips: Clips) -> dict:
    """Counts, means and standard deviations of one emotion's clips."""
    value: dict = {"clips": len(clips)}
    for name in _MEASURED:
        x = clips.numbers(name)
        x = x[np.isfinite(x)]
        if len(x):
            value[name] = {"n": len(x), "mean": float(x.mean()), "sd": float(x.std(ddof=1)) if len(x) > 1 else None}
    hue = np.radians(clips.numbers("hue"))
    hue = hue[np.isfinite(hue)]
    if len(hue):
        mean, length = direction(np.array([len(hue), np.cos(hue).sum(), np.sin(hue).sum()]))
        value["hue"] = {"n": len(hue), "mean": float(mean), "resultant": float(length)}
    return value


def _phrases(clips: Clips) -> dict[str, dict[str, int]]:
    captions = clips.text("caption")
    there = np.array([bool(text) for text in captions], bool)
    counts = phrase_counts(list(captions[there]), clips.label[there])
    found = {}
    for k, name in enumerate(MIKELS):
        most = sorted((p for p in counts if counts[p][k]), key=lambda p: (-counts[p][k], p))[:_PHRASES]
        found[name] = {phrase: int(counts[phrase][k]) for phrase in most}
    return found


ANALYSIS = register(Analysis("priors", "Put to use", ("emotion",), run))
