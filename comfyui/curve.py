"""A picture of an emotion over the clip: how strong each of the eight is at every latent frame, and where it lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from emogen.emotion import MIKELS, EmotionArc, latent_frame_times
from emogen.emotion.given import Emotion
from emogen.studio.colours import COLOURS

from .emotion_nodes import CATEGORY, EMOTION

WIDTH, HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 500, 18, 276
_PLANE = {"valence": "#444444", "arousal": "#b0b0b0"}
_SHOWN = 0.03  # curves that never reach this strength are left out


def curves(emotion: Emotion, times: list[float]) -> dict[str, list[float]]:
    """Name -> value at every time: of the eight, share times intensity; of valence and arousal, times intensity."""
    arc = emotion if isinstance(emotion, EmotionArc) else EmotionArc.constant(emotion)
    states = [arc.at(time) for time in times]
    found = {name: [s.distribution[i] * s.intensity for s in states] for i, name in enumerate(MIKELS)}
    return found | {name: [getattr(s, name) * s.intensity for s in states] for name in _PLANE}


def draw(emotion: Emotion, latent_frames: int, temporal_factor: int = 4) -> Image.Image:
    """The picture, `WIDTH` x `HEIGHT`; a dot a latent frame, for that is what the model is told."""
    times = latent_frame_times(latent_frames, temporal_factor)
    found = curves(emotion, times)
    values = [value for curve in found.values() for value in curve]
    low, high = min(-1.0, *values), max(1.0, *values)
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)

    def place(time: float, value: float) -> tuple[float, float]:
        return _LEFT + time * (_RIGHT - _LEFT), _BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP)

    for value in sorted({low, 0.0, high}):
        pen.line([place(0, value), place(1, value)], fill="#dddddd")
        pen.text((6, place(0, value)[1] - 7), f"{value:g}"[:5], fill="#666666", font=font)
    row = _TOP
    for name, curve in found.items():
        if name in MIKELS and max(map(abs, curve)) < _SHOWN:
            continue
        colour = COLOURS.get(name) or _PLANE[name]
        points = [place(time, value) for time, value in zip(times, curve, strict=True)]
        points = points if len(points) > 1 else [points[0], place(1, curve[0])]
        pen.line(points, fill=colour, width=3 if name in MIKELS else 1)
        for x, y in points:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
        pen.line([(_RIGHT + 14, row + 7), (_RIGHT + 30, row + 7)], fill=colour, width=3 if name in MIKELS else 1)
        pen.text((_RIGHT + 36, row), name, fill="#222222", font=font)
        row += 18
    text = str(emotion)
    shown = text if len(text) <= 88 else f"{text[:85]}..."
    pen.text((_LEFT, HEIGHT - 22), shown, fill="#222222", font=font)
    pen.text((_LEFT, _BOTTOM + 6), "first frame", fill="#666666", font=font)
    pen.text((_RIGHT - 58, _BOTTOM + 6), "last frame", fill="#666666", font=font)
    return picture


class PreviewEmotion:
    """Shows an emotion's curves on the node, and gives the picture."""

    DESCRIPTION = "Curves of an emotion over the clip, as the model is told at every latent frame."
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("curve", "text")
    FUNCTION = "preview"
    CATEGORY = CATEGORY
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        frames = {"default": 81, "min": 1, "max": 10000, "tooltip": "of the clip; Wan has a latent frame for every 4"}
        return {"required": {"emotion": (EMOTION,), "frames": ("INT", frames)}}

    def preview(self, emotion: Emotion, frames: int) -> dict[str, Any]:
        from nodes import PreviewImage

        picture = np.asarray(draw(emotion, (frames - 1) // 4 + 1), dtype=np.float32) / 255
        image = torch.from_numpy(picture)[None]
        return {**PreviewImage().save_images(image), "result": (image, str(emotion))}
