"""The best of several clips of one request, as a judge reads them, and who may not measure such clips afterwards.

A clip that a judge chose looks better to that judge than it is: of N readings it is the luckiest. So a choice is kept
in the clip's metadata with the judge's weights by content, and the evaluation refuses to let that judge score the clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emogen.emotion import EmotionArc, EmotionState
from emogen.eval.judges.embedded import Judge
from emogen.eval.judges.spec import JudgeError
from emogen.files import fingerprint_file, fingerprint_folder, fingerprint_value
from emogen.media.reader import read_metadata

KEY = "chosen"
"""Under which a clip's metadata holds `Choice.described`."""
_WINDOW = 5  # frames of a clip that changes, shown to the judge at a time
_MOST_WINDOWS = 16


def fit(judge: Judge, clip: np.ndarray, emotion: EmotionState | EmotionArc) -> float:
    """How much of what was asked a judge reads in a clip, in [0, 1].

    For one emotion it is that emotion's share; for a blend or a point the overlap of the shares asked and read; for an
    arc the mean overlap in windows of five frames. A neutral clip is the better the less emotion the judge sees, and an
    emotion of negative intensity the better the less of that emotion.

    Args:
        clip: uint8 `[F, H, W, 3]`.
    """
    if isinstance(emotion, EmotionState):
        verdict = judge(clip[None])
        return _overlap(verdict.distribution[0], float(verdict.confidence[0]), emotion)
    states = emotion.sampled(len(clip), temporal_factor=1)
    last = max(len(clip) - _WINDOW, 0)
    starts = np.unique(np.linspace(0, last, min(last + 1, _MOST_WINDOWS)).round().astype(int))
    verdict = judge(np.stack([clip[start : start + _WINDOW] for start in starts]))
    parts = zip(verdict.distribution, verdict.confidence, starts, strict=True)
    found = [[_overlap(shares, float(sure), state) for state in states[start : start + _WINDOW]]
             for shares, sure, start in parts]  # fmt: skip
    return float(np.mean(found))


def _overlap(shares: np.ndarray, confidence: float, state: EmotionState) -> float:
    if state.is_neutral:
        return 1 - confidence
    common = float(np.minimum(np.asarray(shares, float), state.distribution).sum())
    return 1 - common if state.intensity < 0 else common


@dataclass(frozen=True)
class Choice:
    """Scores of the clips of several seeds, of which the best is kept.

    Attributes:
        judge: its name. prints: of its weights (`judge_prints`).
        scores: seed -> `fit`, one for each clip that was made together with that seed.
    """

    judge: str
    prints: tuple[str, ...]
    scores: Mapping[int, Sequence[float]]

    @property
    def seed(self) -> int:
        """The seed whose clips have the highest mean; the first of equals."""
        return max(self.scores, key=lambda seed: float(np.mean(self.scores[seed])))

    def described(self, index: int = 0) -> dict[str, Any]:
        """For the metadata of the clip at that place: all its scores, and, where several clips share a seed, the means
        by which the seed was chosen."""
        own = {str(seed): round(float(scores[index]), 4) for seed, scores in self.scores.items()}
        found: dict[str, Any] = {"judge": self.judge, "weights": list(self.prints), "scores": own}
        if any(len(scores) > 1 for scores in self.scores.values()):
            found["mean_scores"] = {str(seed): round(float(np.mean(scores)), 4) for seed, scores in self.scores.items()}
        return found


def judge_prints(spec: str | Mapping[str, Any]) -> tuple[str, ...]:
    """What makes a judge the same judge, whatever it is called: its weights by content, and those of its members.

    Args:
        spec: as of `load_judge`. A model of the Hub is told by its name.

    Raises:
        JudgeError: its folder cannot be read.
    """
    from emogen.embedded import embedded_judge

    if isinstance(spec, Mapping) and spec.get("members"):
        return tuple(sorted({one for member in spec["members"] for one in judge_prints(member)}))
    if isinstance(spec, str):
        spec = {"kind": spec, "folder": spec}
    kind = str(spec["kind"])
    inside = {"embedded": "judge", "embedded_blends": "judge_blends"}.get(kind)
    try:
        if inside is not None:
            return (_weights(Path(embedded_judge(inside))),)
        for key in ("folder", "model"):
            if spec.get(key) and Path(str(spec[key])).is_dir():
                return (_weights(Path(str(spec[key]))),)
    except OSError as error:
        raise JudgeError(f"the judge's weights cannot be read: {error}") from error
    return (f"{kind}:{spec.get('model') or fingerprint_value(dict(spec))}",)


def _weights(folder: Path) -> str:
    """Fingerprint of a folder's weights; a card or a configuration written beside them does not change it."""
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        return fingerprint_folder(folder)
    return fingerprint_value([fingerprint_file(file) for file in files])


def chosen_by(paths: Iterable[Path], judges: Mapping[str, Sequence[str]]) -> list[tuple[Path, str]]:
    """The clips that one of the judges chose, each with that judge's name.

    Args:
        judges: name -> `judge_prints`.
    """
    found = []
    for path in paths:
        try:
            chosen = (read_metadata(path) or {}).get(KEY)
        except (OSError, ValueError):
            continue  # a clip that cannot be read is reported where it is measured
        prints = chosen.get("weights") if isinstance(chosen, Mapping) else None
        for name, own in judges.items():
            if isinstance(prints, list) and set(own) & {str(one) for one in prints}:
                found.append((path, name))
                break
    return found
