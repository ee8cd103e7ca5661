"""Mikels' eight emotion categories, and where each stands on the valence-arousal plane."""

from __future__ import annotations

MIKELS: tuple[str, ...] = (
    "amusement",
    "awe",
    "contentment",
    "excitement",
    "anger",
    "disgust",
    "fear",
    "sadness",
)
"""The eight categories of Mikels et al. 2005 (Behavior Research Methods 37), in the order of the EmoGen and EmoVid
evaluations: four positive, then four negative. Every distribution in emogen is in this order."""

POSITIVE: tuple[str, ...] = MIKELS[:4]
NEGATIVE: tuple[str, ...] = MIKELS[4:]

NEUTRAL = "neutral"
"""No particular emotion; to the adapter its learned null token, which adds nothing to the base model."""

MIKELS_VA: dict[str, tuple[float, float]] = {
    "amusement": (0.75, 0.40),
    "awe": (0.45, 0.55),
    "contentment": (0.70, -0.50),
    "excitement": (0.80, 0.85),
    "anger": (-0.70, 0.75),
    "disgust": (-0.75, 0.25),
    "fear": (-0.65, 0.85),
    "sadness": (-0.70, -0.45),
}
"""(valence, arousal) in [-1, 1] that each category is conditioned with. Our own placement after the circumplex of
Russell 1980 (J. Pers. Soc. Psychol. 39), chosen so that the eight are apart on the plane; not a measurement. Word
norms (`WARRINER_VA`) put awe and amusement below neutral arousal, which is how the words feel, not how a face that
shows them moves."""

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
