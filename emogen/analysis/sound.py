"""Sound and emotion: loudness, tempo and spectral centroid by emotion, with the statistics of looks."""

from __future__ import annotations

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.compare import LEAST, compare_all, draw_means, effect_results
from emogen.analysis.interface import Analysis, Found, NotPossible, Settings, register

MEASURES = {
    "loudness": "loudness, LUFS",
    "tempo": "tempo, beats a minute",
    "spectral_centroid": "spectral centroid, Hz",
}


def run(clips: Clips, settings: Settings) -> Found:
    """Means, variance explained and pairs, of the clips that have sound."""
    clips = clips.labelled
    heard = np.isfinite(clips.numbers("loudness"))
    if not heard.any():
        raise NotPossible("No labelled clip has a sound that was measured; `emogen data sound` measures it.")
    if heard.sum() < LEAST:
        raise NotPossible(f"Only {heard.sum()} labelled clips have sound, which is too few to compare.")
    part = clips.where(heard)
    if len(np.unique(part.label)) < 2:
        raise NotPossible("All clips with sound have one emotion, so that sounds cannot be compared between emotions.")
    found = compare_all(MEASURES, [name for name in MEASURES if part.has(name)], part, settings)
    if not found.effects:
        raise NotPossible("All clips sound the same.")
    results = effect_results(found.effects) + found.mean_results()
    panels = {title: (title, "") for title in MEASURES.values() if any(r["measure"] == title for r in found.means)}
    warnings = found.warnings()
    if silent := int((~heard).sum()):
        warnings.append(f"{silent:,} of {len(clips):,} labelled clips have no sound and are left out.")
    return Found(found.sentence(), results, {"sound_means": draw_means(found.means, panels)}, found.tables("sound"),
                 warnings)  # fmt: skip


ANALYSIS = register(Analysis("sound", "Sound and emotion", ("emotion",), run))
