"""What the embedded model can draw, in the words that it was taught."""

from __future__ import annotations

from emogen.stickers.content import STYLE
from emogen.stickers.fluent import read_table
from emogen.stickers.palette import ACCESSORIES, BACKGROUNDS, BODY_COLORS
from emogen.stickers.shapes import SHAPES


def repertoire() -> dict[str, tuple[str, ...]]:
    """Lists by what they are of, as captions say them: styles, characters, colours, accessories, backgrounds.

    The characters of the second style, art of other people, are those of the training split; each knows few emotions.
    """
    captions = dict.fromkeys(row["caption"] for row in read_table().values() if row["split"] == "train")
    style = "a 3d emoji of"
    return {
        "styles": (STYLE, style),
        f"characters, with {STYLE!r} or alone": tuple(f"a {shape.adjective} ... face" for shape in SHAPES.values()),
        "their colours": tuple(BODY_COLORS),
        "what they wear": tuple(words for words in ACCESSORIES.values() if words),
        "what they stand on, as in 'on a blue background'": tuple(BACKGROUNDS),
        f"characters with {style!r}": tuple(caption.removeprefix(f"{style} ") for caption in captions),
    }
