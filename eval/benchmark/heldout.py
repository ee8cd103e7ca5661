"""Prompts about stickers that no training clip showed, and what each names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from emogen.emotion import NEUTRAL
from emogen.media import iterate_frames
from emogen.media.pictures import is_picture, read_picture
from emogen.stickers.cast import CastSpec, draw
from emogen.stickers.content import caption, combinations
from emogen.stickers.fluent import read_table
from emogen.stickers.palette import ACCESSORIES, BACKGROUNDS
from emogen.stickers.render import StickerSpec, render


@dataclass(frozen=True)
class HeldOutPrompt:
    """A prompt without emotion words.

    Attributes:
        text: the prompt. domain: "rendered" or "real". character: what is held out, the unit of resampling.
        named: content the prompt names, by the content reader's questions ("shape", "color", "background").
        spec: the sticker or character, where the prompt describes one that can be drawn.
        image: file of the picture that image-to-video clips begin with, or a clip that begins with it; by default the
            sticker's neutral face.
        emotion: the only one that is asked of it; None: all of the configuration's.
        start: what the face of the first picture shows, and so is not asked for; None: a neutral one.
    """

    text: str
    domain: str
    character: str
    named: dict[str, str] = field(default_factory=dict)
    spec: StickerSpec | CastSpec | None = None
    image: str | None = None
    emotion: str | None = None
    start: str | None = None

    def asks(self, emotion: str) -> bool:
        """Whether a clip of an emotion is asked for."""
        return self.emotion in (None, emotion) and emotion != self.start

    def sticker(self, emotion: str, seed: int) -> StickerSpec | CastSpec | None:
        """The sticker a rendered prompt names, with an emotion; None for other prompts."""
        return None if self.spec is None else replace(self.spec, emotion=emotion, intensity=1.0, seed=seed)


def draw_sticker(sticker: StickerSpec | CastSpec, num_frames: int = 13) -> np.ndarray:
    """uint8 `[F, H, W, 3]` at 12 frames a second, by the renderer that the sticker is of."""
    if isinstance(sticker, CastSpec):
        return draw(sticker, num_frames)
    return render(sticker, num_frames)


def rendered_prompts(count: int, seed: int = 0) -> list[HeldOutPrompt]:
    """Prompts on stickers that are in no training clip of the generator.

    Every fourth is a (shape, colour) pair that no clip shows at all; the others are (shape, colour, background)
    combinations that only the judge's training clips have, each with another (shape, colour) pair.
    """
    rng = np.random.default_rng(seed)
    orders = {split: _shuffled(combinations(split), rng) for split in ("test", "judge")}
    seen: set[tuple[str, str]] = set()
    prompts = []
    for index in range(count):
        order = orders["test" if index % 4 == 0 else "judge"]
        place = next((i for i, o in enumerate(order) if o[:2] not in seen), 0)
        shape, color, background = order.pop(place)
        seen.add((shape, color))
        accessory = "none" if rng.random() < 0.6 else list(ACCESSORIES)[1 + rng.integers(len(ACCESSORIES) - 1)]
        spec = StickerSpec(shape, color, background, accessory)
        named = {"shape": shape, "color": color, "background": background}
        prompts.append(HeldOutPrompt(caption(spec), "rendered", f"{color} {shape}", named, spec))
    return prompts


def _shuffled(options: list, rng: np.random.Generator) -> list:
    return [options[i] for i in rng.permutation(len(options))]


def real_prompts(count: int, seed: int = 0) -> list[HeldOutPrompt]:
    """Prompts on real emoji of the table's test split: first the captions that no training emoji has."""
    rng = np.random.default_rng(seed)
    table = list(read_table().values())
    trained = {row["caption"] for row in table if row["split"] == "train"}
    faces: dict[str, dict[str, str]] = {}
    for row in table:
        if row["split"] == "test":
            faces.setdefault(row["caption"], row)
    order = sorted(_shuffled([faces[k] for k in sorted(faces)], rng), key=lambda row: row["caption"] in trained)
    prompts = []
    for index in range(count):
        row = order[index % len(order)]
        background = list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
        named = {"color": row["color"], "background": background}
        prompts.append(HeldOutPrompt(f"{row['caption']} on a {background} background", "real", row["character"], named))
    return prompts


def first_frame(prompt: HeldOutPrompt, seed: int) -> Image.Image:
    """The prompt's picture: a file, or the sticker it names with a neutral face.

    Raises:
        ValueError: it has neither.
    """
    if prompt.image is not None:
        path = Path(prompt.image)
        if is_picture(path):
            return read_picture(path).convert("RGB")
        return Image.fromarray(next(iterate_frames(path, num_frames=1))[0])
    sticker = prompt.sticker(prompt.start or NEUTRAL, seed)
    if sticker is None:
        raise ValueError(f"prompt {prompt.text!r} has no picture that a clip could begin with")
    return Image.fromarray(draw_sticker(sticker, num_frames=1)[0])
