"""`EmotionState`: an emotion as a value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from emogen.emotion.taxonomy import MIKELS, MIKELS_VA, NEUTRAL

_ZERO = (0.0,) * len(MIKELS)

KERNEL_WIDTH = 0.3
"""Standard deviation, on the plane, of the kernel that turns a point into shares (`EmotionState.from_va`)."""

KERNEL_RADIUS = 0.6
"""Points nearer to the middle than this are looked up at this distance, in their own direction."""


@dataclass(frozen=True)
class EmotionState:
    """A blend of Mikels' eight, a point on the valence-arousal plane, and how strong the emotion is.

    Attributes:
        distribution: eight shares in the order of `MIKELS` that sum to 1; all zero for neutral.
        valence, arousal: in [-1, 1]: unpleasant to pleasant, calm to stirred, of the emotion at full strength.
        intensity: 0 is neutral, 1 the emotion as it was learned, more exaggerates it, less than 0 points away from it.

    An intensity of 0 is no emotion whatever the shares, so such a state becomes *the* neutral one, all zero: there is
    one neutral value and it equals itself.

    Raises:
        ValueError: when a value is outside its range or not finite.
    """

    distribution: tuple[float, ...]
    valence: float
    arousal: float
    intensity: float = 1.0

    _read_text: ClassVar[Callable[..., EmotionState]]
    _write_text: ClassVar[Callable[[EmotionState], str]]

    def __post_init__(self) -> None:
        try:
            shares = tuple(float(x) for x in self.distribution)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"distribution is {self.distribution!r}; it must be {len(MIKELS)} numbers") from None
        if len(shares) != len(MIKELS):
            raise ValueError(f"distribution has {len(shares)} shares; it needs {len(MIKELS)}: {', '.join(MIKELS)}")
        if any(not math.isfinite(x) or x < 0 for x in shares):
            raise ValueError(f"distribution {shares} has a share that is negative or not a number")
        total = sum(shares)
        if total and abs(total - 1) > 1e-4:
            raise ValueError(f"distribution sums to {total:g}; it must sum to 1 (or be all zero for neutral)")
        values = {"distribution": shares} | {n: self._real(n) for n in ("valence", "arousal", "intensity")}
        for name in ("valence", "arousal"):
            if not -1 <= values[name] <= 1:
                raise ValueError(f"{name} is {values[name]:g}; it must be between -1 and 1")
        if not total and values["intensity"]:
            raise ValueError("a state without any emotion has intensity 0: use EmotionState.neutral()")
        if not values["intensity"]:
            values = {"distribution": _ZERO, "valence": 0.0, "arousal": 0.0, "intensity": 0.0}
        for name, value in values.items():  # plain floats, so that a NumPy scalar prints as text that parses
            object.__setattr__(self, name, value)

    def _real(self, name: str) -> float:
        given = getattr(self, name)
        try:
            value = float(given)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if isinstance(given, str) or not math.isfinite(value):
            raise ValueError(f"{name} is {given!r}; it must be a finite number")
        return value

    @classmethod
    def neutral(cls) -> EmotionState:
        """No emotion: all shares, valence, arousal and intensity 0."""
        return cls(_ZERO, 0.0, 0.0, 0.0)

    @classmethod
    def of(cls, emotion: str, intensity: float = 1.0) -> EmotionState:
        """One of the eight (or "neutral") by its exact name; `parse` takes what people type."""
        if emotion == NEUTRAL:
            return cls.neutral()
        if emotion not in MIKELS:
            raise ValueError(f"{emotion!r} is not one of {', '.join(MIKELS)}; EmotionState.parse takes other words")
        return cls(tuple(float(name == emotion) for name in MIKELS), *MIKELS_VA[emotion], intensity)

    @classmethod
    def parse(cls, text: str | EmotionState | Mapping) -> EmotionState:
        """See `emogen.emotion.parse_emotion`."""
        return cls._read_text(text)

    @classmethod
    def texts_by(cls, read: Callable[..., EmotionState], write: Callable[[EmotionState], str]) -> None:
        """Take over what reads a state from text and what writes one (`emogen.emotion.parse`, which hands both in when
        it is imported): words are looked up in a lexicon of states, so the value itself knows no words."""
        cls._read_text, cls._write_text = staticmethod(read), staticmethod(write)

    @classmethod
    def from_va(cls, valence: float, arousal: float) -> EmotionState:
        """The state at a point of the plane.

        The shares are a Gaussian kernel of the distances to the eight (`MIKELS_VA`, width `KERNEL_WIDTH`), and the
        intensity is the distance from the middle, at most 1: (0, 0) is neutral. A point within `KERNEL_RADIUS` of the
        middle is a weak emotion rather than a mixture of all eight, so its shares are looked up further out in the
        same direction; only the middle itself has no direction. The eight's own points come out at intensities of
        0.7 to 1 with that emotion dominant. The kernel is our choice: no norm gives such a map.

        Raises:
            ValueError: a coordinate outside [-1, 1].
        """
        if not (-1 <= valence <= 1 and -1 <= arousal <= 1):
            raise ValueError(f"va:{valence:g},{arousal:g} is off the plane; both must be between -1 and 1")
        radius = math.hypot(valence, arousal)
        if radius < 1e-6:
            return cls.neutral()
        out = max(1.0, KERNEL_RADIUS / radius)
        far = [(valence * out - v) ** 2 + (arousal * out - a) ** 2 for v, a in MIKELS_VA.values()]
        near = [math.exp(-d / (2 * KERNEL_WIDTH**2)) for d in far]
        total = sum(near)
        return cls(tuple(x / total for x in near), valence, arousal, min(1.0, radius))

    @classmethod
    def mix(cls, parts: Iterable[tuple[EmotionState, float]]) -> EmotionState:
        """A weighted blend: shares and plane position by weight times intensity; the intensities times weights add up.

        `mix([(joy, 0.7), (awe, 0.3)])` is a full-strength blend; with 0.4 and 0.2 it is a blend at intensity 0.6.

        Raises:
            ValueError: for a negative weight, or a state of negative intensity.
        """
        parts = list(parts)
        if any(weight < 0 or state.intensity < 0 for state, weight in parts):
            raise ValueError(
                "a mixture needs weights and intensities of at least 0; suppress an emotion with "
                "a negative emotion_scale or as the negative emotion instead"
            )
        parts = [(state, weight) for state, weight in parts if state.intensity * weight]
        strengths = [state.intensity * weight for state, weight in parts]
        total = sum(strengths)
        if not math.isfinite(total):
            raise ValueError("the weights of a mixture must be finite numbers")
        if not parts:
            return cls.neutral()
        if len(parts) == 1:  # a fade to or from neutral: the kind stays exactly, only the strength moves
            return replace(parts[0][0], intensity=total)
        shares = [
            sum(s.distribution[i] * k for (s, _), k in zip(parts, strengths, strict=True)) / total
            for i in range(len(MIKELS))
        ]
        norm = sum(shares)
        valence = sum(s.valence * k for (s, _), k in zip(parts, strengths, strict=True)) / total
        arousal = sum(s.arousal * k for (s, _), k in zip(parts, strengths, strict=True)) / total
        return cls(tuple(x / norm for x in shares), max(-1.0, min(1.0, valence)), max(-1.0, min(1.0, arousal)), total)

    def scaled(self, factor: float) -> EmotionState:
        """The same emotion with its intensity times `factor`; 0 gives neutral."""
        if factor == 0 or self.is_neutral:
            return EmotionState.neutral()
        return replace(self, intensity=self.intensity * factor)

    @property
    def is_neutral(self) -> bool:
        """Whether this is no emotion at all."""
        return self.intensity == 0 or not any(self.distribution)

    @property
    def dominant(self) -> str:
        """The category with the largest share (the first of equals), or "neutral".

        It says which emotion the state is about, also when the intensity is negative and points away from it.
        """
        if self.is_neutral:
            return NEUTRAL
        return MIKELS[max(range(len(MIKELS)), key=lambda i: self.distribution[i])]

    def to_dict(self) -> dict:
        """Plain data for YAML or JSON; `from_dict` reads it back to an equal state."""
        shares = {name: share for name, share in zip(MIKELS, self.distribution, strict=True) if share}
        return {"distribution": shares, "valence": self.valence, "arousal": self.arousal, "intensity": self.intensity}

    @classmethod
    def from_dict(cls, data: Mapping) -> EmotionState:
        """Read `to_dict`'s form. Shares are normalised; left-out valence and arousal are those of the blend.

        Raises:
            ValueError: names the key that is unknown, missing or out of range.
        """
        known = {"distribution", "valence", "arousal", "intensity"}
        if unknown := set(data) - known:
            first = sorted(map(str, unknown))[0]
            raise ValueError(f"unknown key {first!r} in an emotion; the keys are {', '.join(sorted(known))}")
        if "distribution" not in data:
            raise ValueError("an emotion as a mapping needs 'distribution', such as {'awe': 0.6, 'fear': 0.4}")
        shares = data["distribution"]
        if isinstance(shares, Mapping):
            if unknown := set(shares) - set(MIKELS):
                raise ValueError(f"{sorted(map(str, unknown))[0]!r} is not one of {', '.join(MIKELS)}")
            shares = [shares.get(name, 0.0) for name in MIKELS]
        try:
            shares = tuple(float(x) for x in shares)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"'distribution' is {shares!r}; it must map emotions to numbers") from None
        total = sum(shares)
        if any(x < 0 for x in shares) or not math.isfinite(total):
            raise ValueError(f"'distribution' {data['distribution']} has a share that is negative or not a number")
        if total == 0:
            if data.get("intensity"):
                raise ValueError("'distribution' has no emotion in it, but 'intensity' is not 0")
            return cls.neutral()
        if abs(total - 1) > 1e-9:  # shares that sum to 1 but for rounding stay as written, to read back as equal
            shares = tuple(x / total for x in shares)
        if len(shares) != len(MIKELS):
            raise ValueError(f"'distribution' has {len(shares)} shares; it needs {len(MIKELS)}: {', '.join(MIKELS)}")
        va = [sum(p * MIKELS_VA[n][i] for p, n in zip(shares, MIKELS, strict=True)) for i in (0, 1)]
        return cls(shares, data.get("valence", va[0]), data.get("arousal", va[1]), data.get("intensity", 1.0))

    def __str__(self) -> str:
        """Text that `parse` reads back to an equal state."""
        return self._write_text(self)
