"""The look that goes with an emotion in a data set, and words for it in a prompt.

`emogen analyze` writes `emogen_priors.json`: of each emotion the means of how its clips look. For a model without an
adapter, `enrich` says in the prompt what sets an emotion's look apart from the others': a hint, not an emotion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emogen.emotion.arc import EmotionArc
from emogen.emotion.state import EmotionState
from emogen.emotion.taxonomy import MIKELS, NEUTRAL

MEASURES = ("saturation", "brightness", "contrast", "motion")
_WORDS = {
    "saturation": ("muted colours", "vivid colours"),
    "brightness": ("dark", "bright light"),
    "contrast": ("soft contrast", "strong contrast"),
    "motion": ("slow movement", "fast movement"),
}
_HUES = ((20, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (200, "turquoise"), (260, "blue"),
         (295, "purple"), (340, "pink"), (360, "red"))  # fmt: skip
_SEEN = 0.4  # standard deviations from the other emotions, from which a difference is worth a word
_SURE = 2.0  # standard errors
_ONE_MIND = 0.3  # resultant length of an emotion's hues
_APART = 20.0  # degrees
_MOST = 3


@dataclass(frozen=True)
class Measured:
    """One measure of one emotion's clips: how many, their mean, their standard deviation."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True)
class Look:
    """How the clips of a set look by emotion.

    Attributes:
        measures: emotion -> measure (`MEASURES`) -> what was measured.
        hues: emotion -> how many clips, mean hue in degrees, resultant length.
    """

    measures: Mapping[str, Mapping[str, Measured]]
    hues: Mapping[str, tuple[int, float, float]]

    def words(self, emotion: str) -> list[str]:
        """What sets the emotion's look apart from that of the others, the most first; [] where nothing does."""
        found = []
        for name in MEASURES:
            away = self._away(emotion, name)
            if away is not None:
                found.append((abs(away), _WORDS[name][away > 0]))
        hue = self._hue(emotion)
        if hue is not None:
            found.append(hue)
        return [word for _, word in sorted(found, reverse=True)[:_MOST]]

    def _away(self, emotion: str, name: str) -> float | None:
        """Standard deviations from the other emotions' clips; None where it is small or may be chance."""
        own = self.measures.get(emotion, {}).get(name)
        others = [held[name] for other, held in self.measures.items() if other != emotion and name in held]
        n = sum(one.n for one in others)
        if own is None or own.n < 2 or n < 2:
            return None
        mean = sum(one.n * one.mean for one in others) / n
        spread = sum((one.n - 1) * one.sd**2 + one.n * (one.mean - mean) ** 2 for one in others) / (n - 1)
        error = math.sqrt(own.sd**2 / own.n + spread / n)
        gap, size = own.mean - mean, math.sqrt((own.sd**2 + spread) / 2)
        if size <= 0 or abs(gap) < _SEEN * size or abs(gap) < _SURE * error:
            return None
        return gap / size

    def _hue(self, emotion: str) -> tuple[float, str] | None:
        if emotion not in self.hues:
            return None
        n, mean, length = self.hues[emotion]
        # Rayleigh's test, roughly: n r^2 is 3 where p is .05
        if length < _ONE_MIND or n * length**2 < 3:
            return None
        x = y = 0.0
        for other, (many, angle, resultant) in self.hues.items():
            if other != emotion:
                x += many * resultant * math.cos(math.radians(angle))
                y += many * resultant * math.sin(math.radians(angle))
        apart = abs((mean - math.degrees(math.atan2(y, x)) + 180) % 360 - 180)
        if math.hypot(x, y) > 0 and apart < _APART:
            return None
        return length, f"{next(word for upto, word in _HUES if mean % 360 <= upto)} tones"


def read_look(priors: str | Path) -> Look:
    """The look in an `emogen_priors.json`.

    Raises:
        ValueError: the file is not readable, or holds no look.
    """
    try:
        emotions = json.loads(Path(priors).read_text(encoding="utf-8"))["emotions"]
        measures = {
            name: {key: _measured(held[key]) for key in MEASURES if held.get(key)}
            for name, held in emotions.items() if name in MIKELS
        }  # fmt: skip
        hues = {name: _directed(held["hue"]) for name, held in emotions.items() if name in MIKELS and held.get("hue")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{priors}: holds no priors; `emogen analyze` writes emogen_priors.json ({error})") from error
    if not any(measures.values()):
        raise ValueError(f"{priors}: says nothing of how clips look; run `emogen data attributes` before the analysis")
    return Look(measures, hues)


def _measured(held: Mapping) -> Measured:
    value = Measured(int(held["n"]), float(held["mean"]), float(held["sd"] or 0.0))
    if not (value.n >= 0 and math.isfinite(value.mean) and math.isfinite(value.sd) and value.sd >= 0):
        raise ValueError(f"{dict(held)} is no count, mean and standard deviation")
    return value


def _directed(held: Mapping) -> tuple[int, float, float]:
    value = (int(held["n"]), float(held["mean"]), float(held["resultant"]))
    if not (value[0] >= 0 and math.isfinite(value[1]) and 0 <= value[2] <= 1):
        raise ValueError(f"{dict(held)} is no count, hue and resultant length")
    return value


def enrich(prompt: str, emotion: EmotionState | EmotionArc, look: Look) -> str:
    """The prompt with the look of its emotion behind it; as it was for neutral, a negative intensity, or where the set
    shows no look of its own. Of an arc, the emotion that it shows most of counts."""
    words = look.words(_leading(emotion))
    return f"{prompt.rstrip().rstrip('.,;')}, {', '.join(words)}" if words else prompt


def _leading(emotion: EmotionState | EmotionArc) -> str:
    states = emotion.sampled(21, temporal_factor=1) if isinstance(emotion, EmotionArc) else [emotion]
    total = [sum(max(state.intensity, 0) * state.distribution[k] for state in states) for k in range(len(MIKELS))]
    return MIKELS[total.index(max(total))] if max(total) > 0 else NEUTRAL
