"""Still pictures and animated images (GIF, WebP, APNG) through Pillow, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from emogen.media.containers import Shown
from emogen.media.limits import DEFAULT_LIMITS, LimitError, Limits, VideoError
from emogen.media.metadata import EXIF_DESCRIPTION, METADATA_KEY, Timing, unpack
from emogen.media.pixels import palettise

_ORIENTATION = 0x0112
_KEPT = 64 << 20  # bytes of a clip that is decoded once, not twice
_SLOW_MS = 100.0  # how long browsers show a frame that asks for 10 ms or less
_BEGINNINGS = (b"GIF8", b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
_BRANDS = (b"avif", b"avis", b"mif1", b"heic", b"heix", b"msf1")


def is_picture(path: Path) -> bool:
    """Whether a file's first bytes are those of a picture or an animated image.

    Raises:
        FileNotFoundError: no such file.
        VideoError: it is empty, or a vector drawing, or text.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no video file {path}")
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        raise VideoError(f"{path}: is empty")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml", b"<!doctype", b"<html")):
        what = "an SVG drawing" if b"<svg" in start else "markup"
        raise VideoError(f"{path}: cannot be decoded: it is {what}, not pixels; export it as PNG")
    return (
        head.startswith(_BEGINNINGS)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _BRANDS)
    )


class Animation:
    """An image file that is open, with the same interface as `Container`; of one frame it is a still."""

    has_audio, hdr, channels, cut = False, None, 4, None

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS):
        self.path, self.limits = path, limits
        self.end, self.errors, self.damage = math.inf, 0, None
        with _open(path) as image:
            try:
                self._read_header(image)
            except LimitError:
                raise
            except Exception as error:  # decoders raise all sorts; what counts is which file
                raise undecodable(path, error) from None

    def __enter__(self) -> Animation:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing stays open between readings."""

    def _read_header(self, image: Image.Image) -> None:
        self.limits.check_size(self.path, image.height, image.width, still=True)
        self.declared_frames = getattr(image, "n_frames", 1)
        self._turn = image.getexif().get(_ORIENTATION, 1)
        self._turn = self._turn if self._turn in range(1, 9) else 1
        self.width, self.height = (image.height, image.width) if self._turn >= 5 else image.size
        if self.declared_frames > 1:
            self.limits.check_size(self.path, image.height, image.width)
        self.limits.check_length(self.path, self.declared_frames)
        _, self.timing = unpack(text_in(image))
        self.codec = (image.format or "").lower()
        self.declared_seconds = None
        self.rate = self.timing.fps if self.timing is not None else None
        # A GIF counts hundredths of a second, the others thousandths.
        self.grain = 0.01 if self.codec == "gif" else 0.001

    @property
    def kind(self) -> str:
        many = self.declared_frames > 1 or (self.timing is not None and self.timing.num_frames > 1)
        return "video" if many else "image"

    def frames(self, start: float = 0.0) -> Iterator[Shown]:
        """As `Container.frames`; always from the beginning, for these formats have no key frames.

        A clip from `write_video` comes as it was written: equal neighbours, which encoders merge, are told apart again.
        """
        timing = self.timing
        if timing is not None:
            self.limits.check_length(self.path, timing.num_frames, timing.num_frames / timing.fps)
            small = self.declared_frames * self.width * self.height * 4 <= _KEPT
            kept = [(raw or _SLOW_MS, pixels if small else None) for raw, pixels in self._coded()]
            durations = [raw for raw, _ in kept]
            if self.damage is None and timing.agrees_with(durations):
                yield from self._as_written(kept if small else self._coded(), durations, timing)
                return
        clock = 0.0
        for raw, pixels in self._coded():
            yield Shown(clock / 1000, lambda pixels=pixels: pixels)
            clock += shown_ms(raw)
            self.limits.check_length(self.path, seconds=clock / 1000)
        self.end = clock / 1000

    def _as_written(
        self, coded: Iterable[tuple[float, np.ndarray]], durations: list[float], timing: Timing
    ) -> Iterator[Shown]:
        middles = (np.arange(timing.num_frames) + 0.5) * sum(durations) / timing.num_frames
        rows = np.searchsorted(np.cumsum(durations), middles + 1e-6, side="right").clip(max=len(durations) - 1)
        if len(rows) == len(durations):
            rows = np.arange(len(rows))
        number = 0
        for index, (_, pixels) in enumerate(coded):
            while number < len(rows) and rows[number] == index:
                yield Shown(number / timing.fps, lambda pixels=pixels: pixels)
                number += 1
        self.end = timing.num_frames / timing.fps

    def _coded(self) -> Iterator[tuple[float, np.ndarray]]:
        """The stated duration of each frame of the file in ms, 0 for none, and its pixels."""
        self.errors, self.damage = 0, None
        with _open(self.path) as image:  # anew, for going back to the first frame loses some of Pillow's palettes
            for index in range(self.declared_frames):
                try:
                    image.seek(index)
                    image.load()  # the duration of a WebP frame is known only after decoding
                except EOFError:
                    self.damage = f"it ends after {index} frames"
                    return
                except Exception as error:  # decoders raise all sorts
                    self.errors, self.damage = self.errors + 1, f"{type(error).__name__}: {error}"
                    return
                yield float(image.info.get("duration") or 0), self._upright(_rgba(image, self.path))

    def count(self) -> tuple[int, float]:
        """Decode everything and count: frames, and when the last one appears."""
        total, last = 0, 0.0
        for shown in self.frames():
            total, last = total + 1, shown.time
        return total, last

    def _upright(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels as the picture's EXIF says that it was held."""
        if self._turn == 1:
            return pixels
        image = Image.fromarray(pixels)
        image.getexif()[_ORIENTATION] = self._turn
        return np.asarray(ImageOps.exif_transpose(image))


def shown_ms(duration: float) -> float:
    """How long browsers show a frame of a stated duration in ms."""
    return duration if duration > 10 else _SLOW_MS


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        raise LimitError(f"{path}: {error}; make it smaller") from None
    except Exception as error:  # a broken PNG is a SyntaxError
        raise undecodable(path, error) from None


def undecodable(path: Path, error: Exception) -> VideoError:
    """The error for a file that a decoder refused, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return VideoError(
        f"{path}: cannot be decoded ({type(error).__name__}: {lines[-1][:200] if lines else 'no reason'})"
    )


def _rgba(image: Image.Image, path: Path) -> np.ndarray:
    """uint8 `(H, W, 4)`; deeper greys keep their tones."""
    if image.mode.startswith("I"):  # 16 bits in any byte order, or 32 of which a file uses 16
        values = np.asarray(image).astype(np.float64)
        if values.min() < 0 or values.max() > 65535:
            raise VideoError(f"{path}: its greys run from {values.min():g} to {values.max():g}; give 8 or 16 bits")
        image = Image.fromarray((values / 257).round().astype(np.uint8))
    elif image.mode == "F":
        raise VideoError(f"{path}: holds floating-point greys without a scale; give 8 or 16 bits")
    return np.asarray(image.convert("RGBA"))


def read_picture(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """The first frame of a picture file, upright, as RGB or, if any of it is transparent, RGBA.

    Raises:
        FileNotFoundError: no such file.
        VideoError: it is not a picture, cannot be decoded, or is too large.
    """
    path = Path(path)
    if not is_picture(path):
        raise VideoError(f"{path}: is not a picture; give PNG, JPEG or WebP")
    with Animation(path, limits) as animation:
        shown = next(animation.frames(), None)
        if shown is None:
            raise VideoError(f"{path}: cannot be decoded ({animation.damage})")
        pixels = shown.pixels()
    return Image.fromarray(pixels if pixels[..., 3].min() < 255 else pixels[..., :3].copy())


def text_in(image: Image.Image) -> str | bytes | None:
    """The text that `write_images` kept in an opened image."""
    text = image.info.get(METADATA_KEY) or image.info.get("comment")
    return image.getexif().get(EXIF_DESCRIPTION) if text is None and "exif" in image.info else text


def text_of_picture(path: Path) -> str | bytes | None:
    """The text kept in a picture file.

    Raises:
        VideoError: it cannot be opened.
    """
    with _open(path) as image:
        return text_in(image)


def thinned(frames: np.ndarray, fps: float, ending: str) -> tuple[np.ndarray, float]:
    """A clip no faster than players show the format: 50 frames a second of a GIF, 90 of WebP and APNG. Faster ones,
    whose frames ask for 10 ms or less, are slowed down to 10 a second by every browser."""
    fastest = 50 if ending == ".gif" else 90
    if fps <= fastest or len(frames) == 1:
        return frames, fps
    count = max(1, round(len(frames) * fastest / fps))
    rows = np.arange(count) * fps / fastest
    return frames[rows.astype(int).clip(max=len(frames) - 1)], count * fps / len(frames)


def write_images(path: Path, frames: np.ndarray, fps: float, text: str, quality: int, colours: int | None) -> None:
    """Write frames uint8 `(F, H, W, 3 or 4)` by the ending of `path`; animations loop for ever."""
    ending = path.suffix.lower()
    if ending == ".gif" or (colours and ending != ".webp"):
        images = _with_palette(frames, colours or 256, ending)
    else:
        images = [Image.fromarray(f) for f in frames]
    grain = 10 if ending == ".gif" else 1
    ends = np.round(np.arange(len(frames) + 1) * 1000 / fps / grain).astype(int) * grain  # rounding does not add up
    options: dict[str, Any] = {
        "save_all": True,
        "append_images": images[1:],
        "loop": 0,
        "duration": np.diff(ends).clip(min=grain).tolist(),
    }
    if len(images) == 1:
        options["duration"] = options["duration"][0]
    if ending == ".gif":
        # Transparent parts must be wiped before the next frame; opaque clips send only what changed.
        options |= {"disposal": 2 if "transparency" in images[0].info else 1, "comment": text.encode("ascii")}
    elif ending == ".webp":
        exif = Image.Exif()
        exif[EXIF_DESCRIPTION] = text
        options |= {"quality": quality, "method": 2, "format": "WEBP", "exif": exif.tobytes().removeprefix(b"Exif\0\0")}
    else:
        options |= {"format": "PNG", "pnginfo": PngInfo()}
        options["pnginfo"].add_text(METADATA_KEY, text)
    images[0].save(path, **options)


def _with_palette(frames: np.ndarray, colours: int, ending: str) -> list[Image.Image]:
    indices, table = palettise(frames, colours, partial_alpha=ending != ".gif")
    images = []
    for index in indices:
        image = Image.fromarray(index).convert("L")
        image.putpalette(table[:, :3].tobytes(), "RGB")
        if (table[:, 3] < 255).any():
            image.info["transparency"] = 0 if ending == ".gif" else table[:, 3].tobytes()
        images.append(image)
    return images
