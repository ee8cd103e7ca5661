"""The frames of a clip that models look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emogen.curation.stage import Row, StageError
from emogen.media import VideoError, iterate_frames


def frames_of(row: Row, count: int) -> np.ndarray:
    """`count` frames of a clip's span, evenly spaced, uint8 `(F, H, W, 3)`; of a still its one frame.

    Args:
        row: of the working table.

    Raises:
        StageError: the clip cannot be read.
    """
    path = Path(row["source_folder"]) / row["source_path"]
    start = float(row.get("start") or 0.0)
    seconds = float(row["end"] or 0.0) - start if row.get("end") is not None else 0.0
    try:
        if row.get("kind") != "video" or seconds <= 0:
            return np.stack([frame for frame, _ in iterate_frames(path, num_frames=1)])
        # the middles of `count` equal parts of the span
        part = seconds / count
        found = iterate_frames(path, fps=1 / part, num_frames=count, start=start + part / 2)
        return np.stack([frame for frame, _ in found])
    except (VideoError, OSError, ValueError) as error:
        raise StageError(str(error)) from error
