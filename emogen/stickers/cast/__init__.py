"""A cast of characters that act: unlimited, exactly labelled clips, drawn as vectors from a short description.

    from emogen.stickers.cast import CastSpec, caption, draw, random_spec

    clip = draw(CastSpec("fox", emotion="awe"))  # uint8 (13, 128, 128, 3)

Content (who, colour, style, background, accessory) and emotion are chosen apart, so that a model can only get the
emotion from the emotion. `splits` says who is never seen by which training; `broken` draws faces that are wrong on
purpose; `python -m emogen.stickers.cast.sheet --output cast.png` shows them all.
"""

from emogen.stickers.cast.broken import WAYS, broken
from emogen.stickers.cast.captions import caption, named
from emogen.stickers.cast.draw import draw
from emogen.stickers.cast.spec import CastSpec
from emogen.stickers.cast.splits import random_spec, split_of

__all__ = ["WAYS", "CastSpec", "broken", "caption", "draw", "named", "random_spec", "split_of"]
