"""One finished clip, and what a judge said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emogen.emotion import MIKELS, EmotionArc, EmotionState
from emogen.media.reader import read_video
from emogen.studio.emotion_input import plain_text


@dataclass(frozen=True)
class Reading:
    """A judge's verdict of one clip.

    Attributes:
        distribution: eight shares in the order of `MIKELS`, summing to 1.
        valence, arousal: in [-1, 1].
        confidence: in [0, 1], the probability that the clip shows any emotion at all.
        judge: its name.
    """

    distribution: tuple[float, ...]
    valence: float
    arousal: float
    confidence: float
    judge: str

    @property
    def label(self) -> str:
        """The most probable of the eight."""
        return MIKELS[max(range(len(MIKELS)), key=lambda i: self.distribution[i])]

    def to_dict(self) -> dict[str, Any]:
        """For a clip's metadata."""
        shares = {name: round(share, 4) for name, share in zip(MIKELS, self.distribution, strict=True)}
        return {"judge": self.judge, "distribution": shares, "valence": round(self.valence, 4),
                "arousal": round(self.arousal, 4), "confidence": round(self.confidence, 4)}  # fmt: skip


def read_clip(judge: Any, frames: np.ndarray) -> Reading:
    """Ask a judge (`emogen.eval.judges.embedded.Judge`) about one clip, uint8 `[F, H, W, 3]`."""
    verdict = judge(frames[None])
    valence, arousal = (float(x) for x in verdict.valence_arousal[0])
    shares = tuple(float(x) for x in verdict.distribution[0])
    return Reading(shares, valence, arousal, float(verdict.confidence[0]), judge.name)


@dataclass(frozen=True)
class Result:
    """A clip that the studio made, in this session or before.

    Attributes:
        number: counted from 1.
        emotion: as asked for, intensity included.
        path: the clip as a looping WebP, for looking.
        frames_path: its frames as sampled, a `.npy` of uint8 `[F, H, W, 3]`: other formats are made from these. None
            for a clip of before, whose frames are read from `path`.
        fps, seconds: frames a second, and what making it took; None for a clip of before.
        metadata: what made it; `sample.py --from` reads it from the file.
        served: the copy that the page shows.
    """

    number: int
    prompt: str
    emotion: EmotionState | EmotionArc
    seed: int
    path: Path
    frames_path: Path | None
    fps: float | None
    seconds: float | None
    reading: Reading | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    served: Path | None = None

    @property
    def shown(self) -> Path:
        """The file that the page shows."""
        return self.served or self.path

    @property
    def emotion_text(self) -> str:
        """The emotion as text for people; `metadata` has the exact one."""
        return plain_text(self.emotion)

    def frames(self) -> tuple[np.ndarray, float]:
        """uint8 `[F, H, W, 3]`, and frames a second.

        Raises:
            OSError, ValueError: the clip is not there any more, or is damaged.
        """
        if self.frames_path is not None and self.fps is not None:
            return np.load(self.frames_path), self.fps
        return read_video(self.path)
