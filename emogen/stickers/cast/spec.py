"""`CastSpec`: everything that determines one clip, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from emogen.emotion import EmotionArc, EmotionState, parse_emotion_or_arc
from emogen.stickers.cast.accessories import ACCESSORIES
from emogen.stickers.cast.backgrounds import BACKGROUNDS
from emogen.stickers.cast.colors import COLORS
from emogen.stickers.cast.roster import CHARACTERS
from emogen.stickers.cast.styles import STYLES


@dataclass(frozen=True)
class CastSpec:
    """One clip of the cast.

    Attributes:
        character, color, style, background, accessory: keys of `CHARACTERS`, `COLORS`, `STYLES`, `BACKGROUNDS` and
            `ACCESSORIES`. The background "none" is transparent.
        emotion: what `emotion=` takes everywhere in emogen: one of the eight or "neutral", a blend
            ("awe:0.6+fear:0.4"), a point of the plane ("va:0.3,-0.5") or an arc over the clip ("0:fear 1:awe").
        intensity: 0 (neutral) to 1 (as `emotion` says): a factor.
        seed: what no caption mentions: size, place, proportions, side, phase.
        effects: whether tears, steam, sparkles and the like are drawn.

    Raises:
        ValueError: names the attribute that is unknown or out of range.
    """

    character: str = "round"
    color: str = "yellow"
    style: str = "flat"
    background: str = "white"
    accessory: str = "none"
    emotion: str = "neutral"
    intensity: float = 1.0
    seed: int = 0
    effects: bool = True

    def __post_init__(self) -> None:
        known = {
            "character": CHARACTERS,
            "color": COLORS,
            "style": STYLES,
            "background": BACKGROUNDS,
            "accessory": ACCESSORIES,
        }
        for name, table in known.items():
            if getattr(self, name) not in table:
                raise ValueError(f"cast {name}={getattr(self, name)!r} is not one of {', '.join(table)}")
        if not 0.0 <= self.intensity <= 1.0:
            raise ValueError(f"cast intensity={self.intensity} is outside 0..1")
        parse_emotion_or_arc(self.emotion)

    def states(self, num_frames: int) -> list[EmotionState]:
        """What each of `num_frames` frames shows."""
        emotion = parse_emotion_or_arc(self.emotion)
        if isinstance(emotion, EmotionArc):
            return [state.scaled(self.intensity) for state in emotion.sampled(num_frames, temporal_factor=1)]
        return [emotion.scaled(self.intensity)] * num_frames

    def to_dict(self) -> dict:
        """Plain data for JSON; `from_dict` reads it back to an equal spec."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping) -> CastSpec:
        """Read `to_dict`'s form; what is left out has its default.

        Raises:
            ValueError: names the key that is unknown.
        """
        known = [f.name for f in fields(cls)]
        if unknown := sorted(set(data) - set(known)):
            raise ValueError(f"unknown key {unknown[0]!r} in a cast spec; the keys are {', '.join(known)}")
        return cls(**data)
