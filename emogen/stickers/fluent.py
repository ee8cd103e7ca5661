"""Importer for Microsoft's animated Fluent emoji (MIT): real stickers with a reviewed emotion each.

The art is published on the npm registry as `@lobehub/fluent-emoji-anim-1` to `-4`: 256x256 animated WebPs with alpha,
named by their hexadecimal code points. `fluent_table.csv` beside this file gives every expressive face or figure
its Mikels emotion, its intensity and a caption of its content without emotion, read off the art itself; the `split`
column holds out whole code points, twins of nearly the same art together, and `none` marks the ambiguous ones, which
are not used. Every other emoji becomes a neutral content clip captioned by its Unicode name.
"""

from __future__ import annotations

import csv
import functools
import io
import re
import tarfile
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from emogen.files import fingerprint_bytes

TABLE = Path(__file__).with_name("fluent_table.csv")
PACKAGES = tuple(f"@lobehub/fluent-emoji-anim-{i}" for i in range(1, 5))
_CODEPOINTS = re.compile(r"[0-9a-f]{2,5}([-_]+[0-9a-f]{2,5})*")
_SKIN_TONES = re.compile(r"1f3f[b-f]")
_NOT_CONTENT = re.compile(
    r"BUTTON|SYMBOL|KEYCAP|ARROW|CLOCK FACE|SQUARED|CIRCLED|SIGN$|SIGN |ZODIAC|ARIES|TAURUS|GEMINI|CANCER|LEO|VIRGO"
    r"|LIBRA|SCORPIUS|SAGITTARIUS|CAPRICORN|AQUARIUS|PISCES|OPHIUCHUS|IDEOGRAPH|CIRCLE|SQUARE|DIAMOND|TRIANGLE|MARK"
    r"|REGIONAL|DIGIT|NUMBER|LETTER|MULTIPLICATION|DIVISION|MINUS|PLUS|FACE|HEART|GESTURE|CAT |MONKEY"
)
CONTENT_TEST_SHARE = 0.08
_UNREADABLE = (OSError, EOFError, tarfile.TarError, zlib.error)  # Pillow's own is an OSError


class BrokenEmojiError(ValueError):
    """A file that should hold an emoji and cannot be read; the message names it."""


@dataclass(frozen=True)
class FluentEmoji:
    """One emoji: where its art is and what the table says of it.

    Attributes:
        codepoint: file name without its ending, such as "1f602".
        location: path of a WebP, or of a `.tgz` when `member` names a file in it.
        emotion: one of Mikels' eight or "neutral". intensity: 0 to 1.
        color, character: main colour word and class noun of a table emoji, "" for content.
        caption: content without emotion. split: "train", "judge" or "test".
        expressive: whether it comes from the table (faces and figures, neutral ones included).
    """

    codepoint: str
    location: Path
    member: str
    name: str
    emotion: str
    intensity: float
    color: str
    character: str
    caption: str
    split: str
    expressive: bool


@functools.cache
def read_table() -> dict[str, dict[str, str]]:
    """The reviewed table by code point, values as text."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {row["codepoint"]: row for row in csv.DictReader(file)}


def content_caption(codepoint: str) -> str | None:
    """Caption of a content emoji from its Unicode name; None for symbols, letters, faces and the like."""
    point = chr(int(codepoint.split("-")[0], 16))
    if "200d" in codepoint or (not 0x1F000 <= ord(point) <= 0x1FAFF and not 0x2600 <= ord(point) <= 0x27BF):
        return None
    name = unicodedata.name(point, "")
    if not name or _NOT_CONTENT.search(name):
        return None
    words = re.sub(r"[^a-z ]", " ", name.lower().replace("-", " ")).split()
    return f"a 3d emoji of {'an' if words[0][0] in 'aeiou' else 'a'} {' '.join(words)}"


def _describe(codepoint: str, location: Path, member: str) -> FluentEmoji | None:
    if not _CODEPOINTS.fullmatch(codepoint):  # some other picture that happens to lie there
        return None
    row = read_table().get(codepoint)
    if row is not None:
        if row["split"] == "none":
            return None
        return FluentEmoji(
            codepoint,
            location,
            member,
            row["name"],
            row["emotion"],
            float(row["intensity"]),
            row["color"],
            row["character"],
            row["caption"],
            row["split"],
            True,
        )
    if _SKIN_TONES.search(codepoint):
        return None
    caption = content_caption(codepoint)
    if caption is None:
        return None
    share = int(fingerprint_bytes(codepoint.encode())[:8], 16) / 2**32
    split = "test" if share < CONTENT_TEST_SHARE else "train"
    name = caption.removeprefix("a 3d emoji of ")
    return FluentEmoji(codepoint, location, member, name, "neutral", 0.0, "", "", caption, split, False)


def find_emoji(source: str | Path) -> list[FluentEmoji]:
    """All usable emoji in a folder of `npm pack` tarballs or of unpacked packages, by code point.

    Raises:
        FileNotFoundError: when there are none; the message says how to get them.
        BrokenEmojiError: when a tarball cannot be read.
    """
    source = Path(source)
    found: dict[str, FluentEmoji] = {}
    for path in sorted(source.rglob("*.webp")):
        one = _describe(path.stem.lower(), path, "")
        if one is not None:
            found.setdefault(one.codepoint, one)
    for archive in sorted(source.glob("*.tgz")):  # also beside unpacked ones: each package may come either way
        try:
            with tarfile.open(archive) as tar:
                members = [name for name in tar.getnames() if name.endswith(".webp")]
        except _UNREADABLE as error:
            raise BrokenEmojiError(f"{archive} cannot be read: {error}; run `npm pack` again") from error
        for member in members:
            one = _describe(Path(member).stem.lower(), archive, member)
            if one is not None:
                found.setdefault(one.codepoint, one)
    if not found:
        commands = " && ".join(f"npm pack {p}" for p in PACKAGES)
        raise FileNotFoundError(
            f"no animated Fluent emoji (*.webp or *.tgz) in {source}. Get them there with: {commands}"
        )
    return [found[k] for k in sorted(found)]


@functools.lru_cache(maxsize=64)
def _decode(location: Path, member: str, size: int) -> np.ndarray:
    """All frames, uint8 RGBA `(N, size, size, 4)` with premultiplied alpha; small, as many are remembered."""
    try:
        if member:
            with tarfile.open(location) as tar:
                data = io.BytesIO(tar.extractfile(member).read())
        else:
            data = io.BytesIO(location.read_bytes())
        image = Image.open(data)
        frames = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            # "RGBa" is premultiplied: resizing it keeps the colour of transparent pixels out of the edges.
            frames.append(np.asarray(image.convert("RGBA").convert("RGBa").resize((size, size), Image.LANCZOS)))
    except (*_UNREADABLE, ValueError, KeyError, SyntaxError) as error:
        raise BrokenEmojiError(f"{location}{':' + member if member else ''} cannot be read: {error}") from error
    return np.stack(frames)


def is_animated(emoji: FluentEmoji) -> bool:
    """Whether the file has more than one frame; a broken file counts, so that reading it reports the fault."""
    try:
        if emoji.member:
            return len(_decode(emoji.location, emoji.member, 32)) > 1
        with Image.open(emoji.location) as image:
            return getattr(image, "n_frames", 1) > 1
    except (UnidentifiedImageError, OSError, BrokenEmojiError):
        return True


def read_frames(
    emoji: FluentEmoji,
    size: int = 96,
    num_frames: int = 13,
    stride: int = 2,
    shift: int = 0,
    background: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """Frames of an emoji; the animation repeats when it ends.

    Args:
        size: side in pixels.
        stride: 1 keeps the 24 frames a second (42 ms) of the art, 2 gives 12.
        shift: frames of the art by which the clip starts after (or before) the place that centres it on the middle
            of the animation, where expressions peak.
        background: sRGB to lay it over; None keeps alpha.

    Returns:
        uint8 `(num_frames, size, size, 3)`, or `(..., 4)` with straight alpha when `background` is None.

    Raises:
        BrokenEmojiError: when the file cannot be read.
    """
    frames = _decode(emoji.location, emoji.member, size)
    start = len(frames) // 2 - num_frames * stride // 2 + shift
    clip = frames[(start + stride * np.arange(num_frames)) % len(frames)].astype(np.float32)
    alpha = np.clip(clip[..., 3:] / 255, 0, 1)
    if background is not None:
        flat = clip[..., :3] + np.asarray(background, np.float32) * (1 - alpha)
        return np.clip(flat, 0, 255).round().astype(np.uint8)
    straight = clip[..., :3] / np.maximum(alpha, 1 / 255)
    return np.concatenate([np.clip(straight, 0, 255), clip[..., 3:].clip(0, 255)], -1).round().astype(np.uint8)


HUE_TARGETS: dict[str, tuple[float, float, float]] = {
    "red": (0.985, 1.0, 0.92),
    "orange": (0.065, 1.05, 1.0),
    "green": (0.32, 0.85, 0.86),
    "blue": (0.60, 0.85, 0.98),
    "purple": (0.755, 0.70, 0.90),
    "pink": (0.93, 0.55, 1.02),
}
"""Colour word -> (hue in turns, factor on saturation, factor on value) that a yellow face takes."""


def hue_shift(rgba: np.ndarray, color: str) -> np.ndarray:
    """Recolour a yellow face; whites, blacks, tears, tongues and mouths keep their own colours.

    Args:
        rgba: uint8 `(F, H, W, 4)` or `(F, H, W, 3)`.
        color: a key of `HUE_TARGETS`.
    """
    if color not in HUE_TARGETS:
        raise ValueError(f"color {color!r} is not one of {', '.join(HUE_TARGETS)}")
    hue_to, saturation, value = HUE_TARGETS[color]
    rgb = rgba[..., :3].astype(np.float32) / 255
    high, low = rgb.max(-1), rgb.min(-1)
    span = high - low
    safe = np.maximum(span, 1e-6)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(high == r, (g - b) / safe, np.where(high == g, 2 + (b - r) / safe, 4 + (r - g) / safe)) / 6 % 1.0
    amount = span / np.maximum(high, 1e-6)
    # Skin runs from orange-pink shade (hue about 0.02) to yellow (0.17); mouths are purple, tears blue, ink dark.
    near = np.clip((0.20 - np.abs(((hue - 0.10 + 0.5) % 1) - 0.5) * 1.9) / 0.05, 0, 1)
    part = near * np.clip((amount - 0.25) / 0.2, 0, 1) * np.clip((high - 0.45) / 0.2, 0, 1)
    new_hue = (hue_to + (hue - 0.11) * 0.25) % 1.0
    s, v = np.clip(amount * saturation, 0, 1), np.clip(high * value, 0, 1)
    k = (np.array([5, 3, 1], np.float32) + new_hue[..., None] * 6) % 6
    moved = v[..., None] * (1 - s[..., None] * np.clip(np.minimum(k, 4 - k), 0, 1))
    out = rgb + (moved - rgb) * part[..., None]
    result = rgba.copy()
    result[..., :3] = (out * 255).round().astype(np.uint8)
    return result
