"""Art of other people: animated Fluent emoji, and static emoji of other vendors for the judges.

It is fetched from the npm registry (`python -m recipe fetch`), never shipped. Labels and splits are those of
`emogen/stickers/fluent_table.csv`.
"""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from emogen.curation.fetch_stickers import FLUENT
from emogen.curation.npm import Package, tarball, unpack
from emogen.extras import how_to_install
from emogen.stickers import fluent
from emogen.stickers.cast.backgrounds import PLACES, background
from emogen.stickers.transition import read_transition
from recipe.config import Amounts, Clips
from recipe.world import BACKGROUNDS, EMOTIONS, Item, item_rng

VENDORS = {
    "noto": Package("@iconify-json/noto", "1.2.9",
                    "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw=="),
    "twemoji": Package("@iconify-json/twemoji", "1.2.5",
                       "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw=="),
    "fluent-emoji-flat": Package("@iconify-json/fluent-emoji-flat", "1.2.6",
                                 "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw=="),
}  # fmt: skip
"""Static art by vendor; of the licences Apache-2.0, CC-BY-4.0 and MIT, in this order."""
_ART = re.compile(r"package/(assets/)?[\w-]+\.(webp|json)")
HUES = ("red", "orange", "green", "blue", "purple", "pink")
SPLIT_OF = {"train": "train", "judge_a": "judge", "judge_b": "judge", "test": "test"}
"""Our splits -> the table's. Its judge split is too small to share: the second judge learns from static art instead."""


def fetch(folder: Path) -> None:
    """Get the packages, pinned and checked, and unpack them into `folder/NAME`; what is there stays.

    Raises:
        StageError: npm is missing or fails, or gives another tarball than the pinned one.
    """
    for package in (*FLUENT, *VENDORS.values()):
        target = folder / package.folder
        if target.is_dir():
            continue
        with tarball(package, folder) as archive:
            unpack(archive, target, lambda name: name if _ART.fullmatch(name) else None)
        print(f"fetched {package.name} {package.version}", flush=True)


@dataclass(frozen=True)
class Real:
    """Animated emoji of a split, each several times: other start, background and, if it is yellow, other colour.

    Attributes:
        expressive: the faces and figures of the table, or else the other emoji, which are neutral content.
    """

    emoji: tuple[fluent.FluentEmoji, ...]
    count: int
    clips: Clips
    seed: int
    name: str

    @classmethod
    def of(cls, source: Path, split: str, amounts: Amounts, clips: Clips, seed: int) -> tuple[Real, Real]:
        """Faces, and content."""
        found = [e for e in fluent.find_emoji(source) if e.split == SPLIT_OF[split] and fluent.is_animated(e)]
        faces = tuple(e for e in found if e.expressive)
        content = tuple(e for e in found if not e.expressive)
        return (
            cls(faces, len(faces) * amounts.face_variants, clips, seed, f"faces {split}"),
            cls(content, len(content) * amounts.content_variants, clips, seed, f"content {split}"),
        )

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        rng = item_rng(self.seed, self.name, index)
        one = self.emoji[index % len(self.emoji)]
        for _ in range(len(self.emoji)):
            try:
                frames = fluent.read_frames(
                    one, self.clips.size, self.clips.frames, stride=2, shift=int(rng.integers(-6, 7))
                )
                break
            except fluent.BrokenEmojiError as error:
                print(f"left out: {error}", flush=True)
                one = self.emoji[int(rng.integers(len(self.emoji)))]
        else:
            raise RuntimeError(f"no emoji of {self.name} can be read; remove the folder and fetch it again")
        frames, color, place = _dress(rng, frames, one.color, one.expressive)
        content = one.caption.replace("yellow", color) if color != one.color else one.caption
        return Item(
            over(frames, place),
            {
                "captions": _captions(content, place),
                "domain": "real",
                "codepoint": one.codepoint,
                "figure": one.character,
                "style": "real",
                "color": color,
                "background": place,
                "emotion": one.emotion,
                "intensity": one.intensity,
            },
        )


@dataclass(frozen=True)
class Dissolves:
    """Real faces of one body that turn into each other, the nine labels in turn.

    Attributes:
        kind: "turn" ends with the labelled emotion and may begin with any; "change" is labelled as an arc.
    """

    body: dict[str, list[fluent.FluentEmoji]]
    kind: str
    count: int
    clips: Clips
    seed: int

    @classmethod
    def of(cls, source: Path, kind: str, count: int, clips: Clips, seed: int) -> Dissolves:
        """From the training split's faces that share the commonest body, the round yellow one."""
        bodies: dict[str, dict[str, list[fluent.FluentEmoji]]] = {}
        for emoji in fluent.find_emoji(source):
            if emoji.split == "train" and emoji.expressive and fluent.is_animated(emoji):
                bodies.setdefault(emoji.caption, {}).setdefault(emoji.emotion, []).append(emoji)
        body = max(bodies.values(), key=lambda by_emotion: sum(map(len, by_emotion.values())))
        return cls(body, kind, count, clips, seed)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        rng = item_rng(self.seed, "dissolve", self.kind, index)
        end = EMOTIONS[index % len(EMOTIONS)]
        others = [name for name in EMOTIONS if name != end and name in self.body]
        start = "neutral" if end != "neutral" and rng.random() < 0.5 else str(rng.choice(others))
        first, last = (self.body[name][rng.integers(len(self.body[name]))] for name in (start, end))
        frames = self.clips.frames
        if self.kind == "turn":
            hold, ramp = 1, int(rng.integers(2, 4))
            said = {"emotion": end, "intensity": last.intensity, "start": start}
        else:
            hold, ramp = int(rng.integers(2, frames // 2 + 1)), int(rng.integers(1, frames // 2))
            labels = [e.emotion if e.emotion == "neutral" else f"{e.emotion}:{e.intensity}" for e in (first, last)]
            times = [(hold - 1) / (frames - 1), (hold - 1 + ramp) / (frames - 1)]
            said = {"emotion": f"{times[0]:.3f}:{labels[0]}@ease {times[1]:.3f}:{labels[1]}"}
        clip = read_transition(first, last, self.clips.size, frames, hold, ramp, int(rng.integers(-4, 5)))
        clip, color, place = _dress(rng, clip, last.color, True)
        content = last.caption.replace(last.color, color)
        about = {"captions": _captions(content, place), "domain": "real", "style": "real", "codepoint": last.codepoint,
                 "from": first.codepoint, "color": color, "background": place}  # fmt: skip
        return Item(over(clip, place), about | said)


def _dress(rng: np.random.Generator, frames: np.ndarray, color: str, may_turn: bool) -> tuple[np.ndarray, str, str]:
    """Another colour, often, for a yellow face, and the name of a background."""
    if may_turn and color == "yellow" and rng.random() < 0.45:
        color = HUES[rng.integers(len(HUES))]
        frames = fluent.hue_shift(frames, color)
    return frames, color, BACKGROUNDS[rng.integers(len(BACKGROUNDS))]


def _captions(content: str, place: str) -> list[str]:
    where = PLACES.get(place, f"on a {place} background")
    return [f"{content} {where}", content, content.removeprefix("a 3d emoji of ")]


def over(rgba: np.ndarray, place: str) -> np.ndarray:
    """Frames with alpha, uint8 `[F, H, W, 4]`, laid over a background of the cast."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    ground = np.asarray(background(place, rgba.shape[1]), np.float32)
    flat = rgba[..., :3] * alpha + ground * (1 - alpha)
    return flat.round().astype(np.uint8)


def vendor_art(source: Path, size: int = 160) -> list[tuple[np.ndarray, str, float]]:
    """(RGBA image, emotion, intensity) of every table face of the train and judge splits, by every vendor fetched.

    Raises:
        ModuleNotFoundError: resvg-py, which rasterises the art, is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        message = f"static emoji art is rasterised with resvg-py: {how_to_install('recipe')}"
        raise ModuleNotFoundError(message, name="resvg_py") from error
    art = []
    for vendor in VENDORS:
        folder = source / _folder_of(source, vendor)
        icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
        chars = json.loads((folder / "chars.json").read_text(encoding="utf-8"))
        for codepoint, row in fluent.read_table().items():
            name = chars.get(codepoint) or chars.get(codepoint.removesuffix("-fe0f"))
            if row["split"] not in ("train", "judge") or name not in icons["icons"]:
                continue
            icon = icons["icons"][name]
            width, height = (icon.get(k) or icons.get(k) or 16 for k in ("width", "height"))
            svg = (
                f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
            )
            png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))
            image = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
            art.append((image, row["emotion"], float(row["intensity"])))
    return art


def _folder_of(source: Path, vendor: str) -> str:
    found = sorted(source.glob(f"{vendor}/**/icons.json"))
    if not found:
        raise FileNotFoundError(f"{source / vendor}: no icons.json; run `python -m recipe fetch` again")
    return str(found[0].parent.relative_to(source))


def jiggle(image: np.ndarray, rng: np.random.Generator, clips: Clips) -> np.ndarray:
    """A clip, uint8 `[F, H, W, 3]`, of a still RGBA image that bobs and tilts on a plain background."""
    floor = background(BACKGROUNDS[rng.integers(len(BACKGROUNDS))], clips.size)
    picture = Image.fromarray(image)
    scale, sway, bob = rng.uniform(0.72, 0.98), rng.uniform(0, 8), rng.uniform(0, 0.06)
    tempo, phase = rng.integers(1, 4), rng.uniform(0, 6.28)
    out = []
    for index in range(clips.frames):
        a = 2 * math.pi * tempo * index / 12 + phase
        side = round(clips.size * scale)
        one = picture.resize((side, side), Image.BILINEAR).rotate(sway * math.sin(a), Image.BILINEAR)
        canvas = floor.copy()
        offset = (clips.size - side) // 2
        canvas.paste(one, (offset, offset + round(clips.size * bob * math.cos(a))), one)
        out.append(np.asarray(canvas))
    return np.stack(out)
