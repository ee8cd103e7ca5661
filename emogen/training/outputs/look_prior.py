"""The looks of samples against those of a data set: do sad samples look as sad clips do?

Looks are measured as `emogen data attributes` measures them. Motion is left out, for it depends on how far apart the
frames are that are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emogen.data.paper_look import attributes_of
from emogen.emotion.look import Look

COMPARED = ("saturation", "brightness", "contrast")
_FRAMES = 8  # of a clip
_LEAST = 3  # emotions over which a correlation says anything


def against_prior(clips: Sequence[tuple[str | None, np.ndarray]], prior: Look) -> dict[str, float]:
    """Numbers for logs.

    Args:
        clips: the category that was asked for (None: no one of the eight) and frames uint8 `[F, H, W, 3]`.
        prior: of the data set.

    Returns:
        `val/look/MEASURE/EMOTION`: how far the samples' mean lies from the set's, in the set's standard deviations;
        `val/look_r/MEASURE`: the correlation, over emotions, of the samples' means and the set's: 1 where the emotions
        differ in the samples as they do in the set.
    """
    seen: dict[str, list[dict]] = {}
    for emotion, frames in clips:
        if emotion is not None:
            every = max(1, len(frames) // _FRAMES)
            found = attributes_of((frame, float(k)) for k, frame in enumerate(frames[::every]))
            seen.setdefault(emotion, []).append(found.to_row())
    values: dict[str, float] = {}
    for name in COMPARED:
        pairs = []
        for emotion, rows in seen.items():
            held = prior.measures.get(emotion, {}).get(name)
            there = [row[name] for row in rows if row[name] is not None]
            if held is None or not there:
                continue
            pairs.append((float(np.mean(there)), held.mean))
            if held.sd > 0:
                values[f"val/look/{name}/{emotion}"] = (pairs[-1][0] - held.mean) / held.sd
        mine, theirs = np.array(pairs).T if pairs else (np.zeros(0), np.zeros(0))
        if len(pairs) >= _LEAST and mine.std() > 1e-12 and theirs.std() > 1e-12:
            values[f"val/look_r/{name}"] = float(np.corrcoef(mine, theirs)[0, 1])
    return values
