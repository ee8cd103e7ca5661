"""Faces that feel several things at once.

People's compound expressions combine the muscle movements of their parts: the upper face of one, the lower face of
the other (Du, Tao and Martinez, "Compound facial expressions of emotion", PNAS 2014). A drawn face does the same: what
can be blended is blended by the shares, the eyes are those of the largest share and the mouth that of the second, and
each of the two has its effect.
"""

from __future__ import annotations

from dataclasses import fields

from emogen.emotion import MIKELS, EmotionState

from .expression import EXPRESSIONS, NEUTRAL, Expression, Pose, weakened

SECOND_FROM = 0.25
"""The share from which a second emotion has the mouth and an effect; below, it only moves the blend."""


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
    eyes = EXPRESSIONS[first]
    mouth = EXPRESSIONS[second] if next_most >= SECOND_FROM else eyes
    parts = [(share, EXPRESSIONS[name]) for share, name in shares if share > 0]
    tints = [(share * part.pose.tint, part) for share, part in parts]
    tint = sum(weight for weight, _ in tints)

    def blend(name: str) -> float:
        return sum(share * getattr(part, name) for share, part in parts)

    pose = Pose(**{f.name: sum(share * getattr(part.pose, f.name) for share, part in parts) for f in fields(Pose)})
    return weakened(
        Expression(
            pose=pose,
            eyes=eyes.eyes,
            mouth=mouth.mouth,
            effect=eyes.effect,
            beside=mouth.effect if mouth is not eyes else "none",
            tint_color=tuple(round(sum(w * part.tint_color[i] for w, part in tints) / tint) for i in range(3))
            if tint else eyes.tint_color,
            tint_share=sum(w * part.tint_share for w, part in tints) / tint if tint else eyes.tint_share,
            blinks=eyes.blinks,
            tempo=round(blend("tempo")),
            brightness=blend("brightness"),
            colorfulness=blend("colorfulness"),
        ),
        state.intensity,
    )
