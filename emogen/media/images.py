"""Animated images (GIF, WebP, APNG) and still ones through Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from emogen.media.colours import palettise
from emogen.media.video_file import METADATA_KEY, Timing, unpack

_EXIF_DESCRIPTION = 0x010E
_DEFAULT_MS = 100.0
_GIF_MAX_FPS = 50  # browsers play frames of 10 ms ten times slower


def read_images(path: Path) -> tuple[np.ndarray, float]:
    """Frames uint8 `(F, H, W, 4)` and frames a second."""
    frames, durations = [], []
    with Image.open(path) as image:
        _, timing = unpack(text_of(image))
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()  # the duration of a WebP frame is known only after decoding
            durations.append(float(image.info.get("duration") or _DEFAULT_MS))
            frames.append(np.asarray(image.convert("RGBA")))
    if timing is not None and timing.agrees_with(durations):
        middles = (np.arange(timing.num_frames) + 0.5) * sum(durations) / timing.num_frames
        return _at(np.stack(frames), durations, middles), timing.fps
    if len(frames) == 1:
        return np.stack(frames), 1.0
    step = min(durations)
    rounding = 10.5 if path.suffix.lower() == ".gif" else 1.5  # a GIF counts hundredths of a second
    if max(durations) - step < rounding:
        return np.stack(frames), 1000.0 * len(durations) / sum(durations)
    return _at(np.stack(frames), durations, np.arange(0, sum(durations) - step / 2, step)), 1000.0 / step


def _at(frames: np.ndarray, durations: list[float], times: np.ndarray) -> np.ndarray:
    """The frames shown at `times`, in ms."""
    if len(times) == len(frames):
        return frames
    rows = np.searchsorted(np.cumsum(durations), times + 1e-6, side="right")
    return frames[rows.clip(max=len(frames) - 1)]


def text_of(image: Image.Image) -> str | bytes | None:
    """The text that `write_images` kept in an opened image."""
    text = image.info.get(METADATA_KEY) or image.info.get("comment")
    return image.getexif().get(_EXIF_DESCRIPTION) if text is None and "exif" in image.info else text


def write_images(path: Path, frames: np.ndarray, timing: Timing, text: str, quality: int, colours: int | None) -> None:
    """Write frames uint8 `(F, H, W, 3 or 4)` by the ending of `path`; animations loop for ever."""
    ending = path.suffix.lower()
    fps = timing.fps
    if ending == ".gif" and fps > _GIF_MAX_FPS:
        rows = np.arange(max(1, round(len(frames) * _GIF_MAX_FPS / fps))) * fps / _GIF_MAX_FPS
        frames, fps = frames[rows.astype(int).clip(max=len(frames) - 1)], _GIF_MAX_FPS
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
        exif[_EXIF_DESCRIPTION] = text
        options |= {"quality": quality, "method": 2, "format": "WEBP", "exif": exif.tobytes()}
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
