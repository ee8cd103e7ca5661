"""What the categories of emotion are, in which order, and where each stands on the valence-arousal plane."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NEUTRAL = "neutral"
"""No particular emotion; to the adapter its learned null token, which adds nothing to the base model."""


class Taxonomy(tuple):
    """The names of its categories in their order, which is the order of every distribution, and their places.

    It is a tuple of the names, so that it can be counted, indexed and iterated as one. An adapter's `config.json`
    records it, because the rows of the adapter's emotion table mean nothing without names.

    Args:
        name: of the taxonomy.
        places: category -> (valence, arousal) in [-1, 1]; their order is the taxonomy's.

    Raises:
        ValueError: no category, the name "neutral", or a place off the plane.
    """

    name: str
    places: dict[str, tuple[float, float]]

    def __new__(cls, name: str, places: Mapping[str, tuple[float, float]]) -> Taxonomy:
        if not places or NEUTRAL in places:
            raise ValueError(f"the taxonomy {name!r} needs at least one category, none of them {NEUTRAL!r}")
        for category, place in places.items():
            if len(place) != 2 or not all(math.isfinite(x) and -1 <= x <= 1 for x in place):
                raise ValueError(f"{category!r} is at {place!r}; a place is (valence, arousal) in -1..1")
        made = super().__new__(cls, places)
        made.name = name
        made.places = {category: (float(v), float(a)) for category, (v, a) in places.items()}
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.name, self.places

    @property
    def positive(self) -> tuple[str, ...]:
        """The categories of positive valence, in their order."""
        return tuple(name for name in self if self.places[name][0] > 0)

    @property
    def negative(self) -> tuple[str, ...]:
        """The others."""
        return tuple(name for name in self if self.places[name][0] <= 0)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` reads it back."""
        return {"name": self.name, "places": {name: list(place) for name, place in self.places.items()}}

    @classmethod
    def from_dict(cls, values: Any) -> Taxonomy:
        """Read `to_dict`'s form.

        Raises:
            ValueError: it is something else.
        """
        places = values.get("places") if isinstance(values, Mapping) else None
        if not isinstance(places, Mapping) or not isinstance(values.get("name"), str):
            raise ValueError("a taxonomy is an object with 'name' and 'places', category -> [valence, arousal]")
        try:
            return cls(values["name"], {str(key): tuple(float(x) for x in place) for key, place in places.items()})
        except TypeError as error:
            raise ValueError(f"a place of a taxonomy is no pair of numbers ({error})") from error


MIKELS = Taxonomy(
    "mikels",
    {
        "amusement": (0.75, 0.40),
        "awe": (0.45, 0.55),
        "contentment": (0.70, -0.50),
        "excitement": (0.80, 0.85),
        "anger": (-0.70, 0.75),
        "disgust": (-0.75, 0.25),
        "fear": (-0.65, 0.85),
        "sadness": (-0.70, -0.45),
    },
)
"""The eight categories of Mikels et al. 2005 (Behavior Research Methods 37), in the order of the EmoGen and EmoVid
evaluations: four positive, then four negative. Every distribution in emogen is in this order.

The places are what each category is conditioned with: our own placement after the circumplex of Russell 1980 (J. Pers.
Soc. Psychol. 39), chosen so that the eight are apart on the plane; not a measurement. Word norms (`WARRINER_VA`) put
awe and amusement below neutral arousal, which is how the words feel, not how a face that shows them moves."""

MIKELS_VA: dict[str, tuple[float, float]] = MIKELS.places
"""Category -> (valence, arousal) in [-1, 1]."""

POSITIVE: tuple[str, ...] = MIKELS.positive
NEGATIVE: tuple[str, ...] = MIKELS.negative

WARRINER_VA: dict[str, tuple[float, float]] = {
    "amusement": (0.50, -0.04),
    "awe": (0.46, -0.29),
    "contentment": (0.41, -0.10),
    "excitement": (0.66, 0.30),
    "anger": (-0.62, 0.23),
    "disgust": (-0.42, 0.00),
    "fear": (-0.52, 0.28),
    "sadness": (-0.65, -0.55),
}
"""Mean ratings of the eight words by Warriner, Kuperman and Brysbaert 2013 (Behavior Research Methods 45), mapped from
1..9 to -1..1 by `(x - 5) / 4`. Raters disagree a lot: standard deviations are 0.3 to 0.6 in valence and 0.6 to 0.7 in
arousal on this scale."""


def valence_of(emotion: str) -> int:
    """The sign of a category's valence: 1 for `POSITIVE`, -1 for `NEGATIVE`, 0 for "neutral".

    Raises:
        ValueError: for anything else.
    """
    return 0 if emotion == NEUTRAL else 1 if is_positive(emotion) else -1


def is_positive(emotion: str) -> bool:
    """Whether one of the eight has positive valence (the halves of EA-2cls).

    Raises:
        ValueError: for anything else, "neutral" too.
    """
    if emotion not in MIKELS:
        raise ValueError(f"{emotion!r} is not one of {', '.join(MIKELS)}")
    return emotion in POSITIVE
