"""Faces that feel several things at once.

People's compound expressions combine the muscle movements of their parts: the upper face of one, the lower face of
the other (Du, Tao and Martinez, "Compound facial expressions of emotion", PNAS 2014). A drawn face does the same, and
as in people which of two emotions has which half is fixed for the pair, whatever their shares: a happily surprised
face has the eyes of surprise. What is of neither half (movement, tint, light) is blended by the shares, and each of
the two has its effect.
"""

from __future__ import annotations

from dataclasses import fields, replace

from emogen.emotion import MIKELS, EmotionState
from emogen.stickers.expression import EXPRESSIONS, NEUTRAL, Expression, Pose, weakened

SECOND_FROM = 0.25
"""The share from which a second emotion has half of the face and an effect; below, it only moves the blend."""

EYES_FIRST = ("excitement", "fear", "awe", "anger", "contentment", "amusement", "sadness", "disgust")
"""Of two emotions the one that comes first here has the eyes: those whose eyes tell most come first, and those whose
mouth does last."""

UPPER = ("eye_height", "eye_width", "sclera", "pupil", "brow_lift", "brow_slant", "brow_show")
LOWER = ("smile", "mouth_open", "mouth_width")


def compound_expression(state: EmotionState) -> Expression:
    """The expression of a state of one or more emotions.

    Args:
        state: shares of the eight, and an intensity in [0, 1].

    Raises:
        ValueError: an intensity outside [0, 1], which has no drawing.
    """
    if not 0 <= state.intensity <= 1:
        raise ValueError(f"a sticker of intensity {state.intensity:g} cannot be drawn; it must lie between 0 and 1")
    if state.is_neutral:
        return NEUTRAL
    shares = sorted(zip(state.distribution, MIKELS, strict=True), key=lambda part: -part[0])
    (_, first), (next_most, second) = shares[:2]
    two = next_most >= SECOND_FROM
    above, below = sorted((first, second), key=EYES_FIRST.index) if two else (first, first)
    eyes, mouth = EXPRESSIONS[above], EXPRESSIONS[below]
    parts = [(share, EXPRESSIONS[name]) for share, name in shares if share > 0]
    tints = [(share * part.pose.tint, part) for share, part in parts]
    tint = sum(weight for weight, _ in tints)

    def blend(name: str) -> float:
        return sum(share * getattr(part, name) for share, part in parts)

    pose = Pose(**{f.name: sum(share * getattr(part.pose, f.name) for share, part in parts) for f in fields(Pose)})
    if two:  # each half of the face goes to its owner at twice the owner's share
        for owner, names in ((above, UPPER), (below, LOWER)):
            there = pose.towards(EXPRESSIONS[owner].pose, min(1.0, 2 * state.distribution[MIKELS.index(owner)]))
            pose = replace(pose, **{name: getattr(there, name) for name in names})
    return weakened(
        Expression(
            pose=pose,
            eyes=eyes.eyes,
            mouth=mouth.mouth,
            effect=eyes.effect,
            beside=mouth.effect if two else "none",
            tint_color=tuple(round(sum(w * part.tint_color[i] for w, part in tints) / tint) for i in range(3))
            if tint
            else eyes.tint_color,
            tint_share=sum(w * part.tint_share for w, part in tints) / tint if tint else eyes.tint_share,
            blinks=eyes.blinks,
            tempo=round(blend("tempo")),
            brightness=blend("brightness"),
            colorfulness=blend("colorfulness"),
        ),
        state.intensity,
    )
